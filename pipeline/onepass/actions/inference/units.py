"""The units of columns: how weights of features become coefficients, and positions of values."""

from __future__ import annotations

import math

import numpy as np
from scipy.sparse import coo_array, csr_array

from onepass.block import FloatArray
from onepass.encode.nested_kinds import Vector
from onepass.encode.scalar_kinds import Bool, Numeric, OneHot, Time
from onepass.encode.schema import Column, Schema
from onepass.encode.shapes import Bins, Product, Spline
from onepass.encode.splines import heights
from onepass.encode.tails import curbed_numbers
from onepass.errors import JobError
from onepass.text import clipped, listed, shown

_DAY = 86_400.0

_NAMED = 12
"""Levels that a message names."""


def to_columns(schema: Schema) -> csr_array:
    """Return the matrix that turns weights of features into those of columns, the intercept last.

    It is sparse, because a category may have 100,000 levels.
    """
    units = np.array(
        [unit for column in schema.columns for unit in _units(column)], np.float64
    ).reshape(-1, 2)
    n, own = len(units), np.arange(len(units) + 1)
    shifted = np.flatnonzero(units[:, 1])
    values = [1 / units[:, 0], [1.0], -units[shifted, 1] / units[shifted, 0]]
    rows, columns = [own, np.full(len(shifted), n)], [own, shifted]
    placed = (np.concatenate(rows), np.concatenate(columns))
    return csr_array(coo_array((np.concatenate(values), placed), shape=(n + 1, n + 1)))


def position(column: Column, text: str, flag: str) -> FloatArray:
    """Return the features of a value of a column, in its units: the reference is 0 in all.

    Parameters
    ----------
    text
        A level of a category, a bin or a number in it, a number, or a truth value.
    flag
        Option that named the value, for messages.

    Raises
    ------
    JobError
        If the column has no such value.
    """
    found = np.zeros(len(column.feature_names()))
    match column:
        case OneHot() | Bins():
            place = _level(column, text, flag)
            if place:
                found[place - 1] = 1.0
        case Spline() if text in column.knot_texts():
            place = column.knot_texts().index(text)
            found[place - 1] = float(place > 0)
        case Spline():
            x = np.array([number_of(column.number, text, flag)])
            found[: len(column.knots) - 1] = heights(column.knots, column.degree, x)[:, 0]
        case Numeric():
            found[0] = number_of(column, text, flag)
        case Bool() if text.lower() in {"true", "false", "1", "0"}:
            found[0] = float(text.lower() in {"true", "1"})
        case _:
            raise JobError(
                f"{flag}: values of {shown(column.name)} cannot be compared; expected a category "
                "that is not hashed, bins, a spline, a number or a truth value"
            )
    return found


def number_of(column: Numeric, text: str, flag: str) -> float:
    """Return a number as the column is read: within its bounds, or its logarithm."""
    if not _is_number(text):
        raise JobError(f"{flag}: expected a number of {shown(column.name)}, found {shown(text)}")
    return float(as_read(column, np.array([float(text)]))[0])


def as_read(column: Numeric, values: FloatArray) -> FloatArray:
    """Return numbers as the column is read: within its bounds, or their logarithms."""
    return curbed_numbers(values, column) if column.is_curbed else values


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _level(column: OneHot | Bins, text: str, flag: str) -> int:
    """Return the number of a level, of which 0 is the reference."""
    levels = column.levels
    if text in levels:
        return levels.index(text)
    if isinstance(column, Bins) and _is_number(text):
        x = number_of(column.number, text, flag)
        return int(np.searchsorted(column.edges, x, side="right"))
    raise JobError(
        f"{flag}: {shown(column.name)} has no level {shown(text)}; its levels: "
        f"{listed([clipped(one) for one in levels], _NAMED)}"
    )


def _units(column: Column) -> list[tuple[float, float]]:
    """Return the units of the column in one unit of each feature, and the column's value at 0.

    The unit of a spline is the height of the curve at the knot.
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
