"""The unit of each dense feature in the unit of its column."""

from __future__ import annotations

import math

from onepass.encode.nested_kinds import Vector
from onepass.encode.scalar_kinds import Numeric, Time
from onepass.encode.schema import Column
from onepass.encode.shapes import Product, Spline

_DAY = 86_400.0


def feature_units(column: Column) -> list[tuple[float, float]]:
    """Return the units of the column in one unit of each feature, and the column's value at 0.

    The unit of a spline is the height of the curve at the knot, that of a time is a day.
    """
    units = [(1.0, 0.0)] * len(column.feature_names())
    match column:
        case Numeric():
            units[0] = column.scale, column.center
        case Vector():
            units[: column.length] = zip(column.scale, column.center, strict=True)
        case Spline():
            units[: len(column.scale)] = zip(column.scale, column.center, strict=True)
        case Product():
            own = math.prod(number.scale for number in column.numbers)
            units[0] = column.scale * own, column.center * own
        case Time() if column.parts[:1] == ["trend"]:
            units[0] = column.scale / _DAY, 0.0
    return units
