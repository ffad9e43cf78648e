"""Describe the splines of a model as curves: the change of the prediction by the value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel

from onepass.actions.coefficient import Coefficient
from onepass.block import FloatArray
from onepass.encode.scalar_kinds import OneHot
from onepass.encode.schema import Schema
from onepass.encode.shapes import Bins, Spline
from onepass.encode.splines import heights

_POINTS = 49
"""Points of a curve between its outer knots."""


class Point(BaseModel):
    """The height of a curve at one value."""

    value: float
    """In the unit of the column."""
    effect: float
    """Change of the prediction against the first knot, in the unit of a coefficient."""
    low: float | None = None
    high: float | None = None
    """Upper end of the 95 % confidence interval, if it is known; `low` is its lower end."""


class CurveOf(BaseModel):
    """The curve of one column that is read as a spline."""

    column: str
    output: str | None
    """Class or quantile; None if the model has a single margin."""
    degree: Literal["linear", "cubic"]
    knots: list[Point]
    """The first knot is the reference, with an effect of 0."""
    line: list[Point]
    """Points from the first knot to the last, without intervals."""


def curves(
    schema: Schema, output: str | None, coefficients: Sequence[Coefficient]
) -> Iterator[CurveOf]:
    """Yield the curve of each spline of one margin."""
    by_name = {one.feature: one for one in coefficients}
    for column in schema.columns:
        if isinstance(column, Spline):
            own = [by_name[name] for name in column.feature_names()[: len(column.knots) - 1]]
            values = [column.number.uncurbed(knot) for knot in column.knots]
            found = [Point(value=values[0], effect=0.0)]
            found += [
                Point(value=value, effect=one.coefficient, low=one.low, high=one.high)
                for value, one in zip(values[1:], own, strict=True)
            ]
            line = _line(column, np.array([one.coefficient for one in own]))
            yield CurveOf(
                column=column.name, output=output, degree=column.degree, knots=found, line=line
            )


def references(schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield the level, bin or knot with which the coefficients of a column compare the others."""
    for column in schema.columns:
        match column:
            case OneHot() | Bins():
                yield column.name, column.levels[0]
            case Spline():
                yield column.name, column.knot_texts()[0]


def _line(column: Spline, effects: FloatArray) -> list[Point]:
    x = np.unique([*np.linspace(column.knots[0], column.knots[-1], _POINTS), *column.knots])
    y = effects @ heights(column.knots, column.degree, x)
    return [
        Point(value=column.number.uncurbed(float(a)), effect=float(b))
        for a, b in zip(x, y, strict=True)
    ]
