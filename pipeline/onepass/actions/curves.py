"""Describe the splines of a model as curves: the change of the prediction by the value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel
from scipy.sparse import csr_array

from onepass.actions.inference.estimates import estimates
from onepass.actions.inference.margin import Margin
from onepass.actions.inference.profiles import spline_points
from onepass.actions.inference.units import to_columns
from onepass.block import FloatArray
from onepass.encode.schema import Schema
from onepass.encode.shapes import Spline

_POINTS = 49
"""Points of a curve between its outer knots."""


class Point(BaseModel):
    """The height of a curve at one value."""

    value: float
    """In the unit of the column."""
    effect: float
    """Change of the prediction against the reference, in the unit of a coefficient."""
    low: float | None = None
    high: float | None = None
    """Upper end of the confidence interval, if it is known; `low` is its lower end."""


class CurveOf(BaseModel):
    """The curve of one column that is read as a spline."""

    column: str
    output: str | None
    """Class or quantile; None if the model has a single margin."""
    degree: Literal["linear", "cubic"]
    knots: list[Point]
    """The first knot is the reference, with an effect of 0, unless another one was asked for."""
    line: list[Point]
    """Points from the first knot to the last."""


def curves(
    schema: Schema, margin: Margin, references: Mapping[str, str], level: float
) -> Iterator[CurveOf]:
    """Yield the curve of each spline of one margin.

    Parameters
    ----------
    references
        Value with which the others are compared, by the name of the column.
    level
        Coverage of the intervals.
    """
    first = 0
    for column in schema.columns:
        width = len(column.feature_names())
        if isinstance(column, Spline):
            reference = references[column.name]
            inner = np.linspace(column.knots[0], column.knots[-1], _POINTS)
            line = np.unique([*inner, *column.knots])
            knots, points = (
                _points(schema, margin, column, first, reference, x, level)
                for x in (np.array(column.knots), line)
            )
            yield CurveOf(
                column=column.name,
                output=margin.name,
                degree=column.degree,
                knots=knots,
                line=points,
            )
        first += width


def _points(
    schema: Schema,
    margin: Margin,
    column: Spline,
    first: int,
    reference: str,
    x: FloatArray,
    level: float,
) -> list[Point]:
    _, rows = spline_points(column, reference, x)
    shape = (len(x), schema.n_dense + 1)
    whole = csr_array((rows.data, rows.indices + first, rows.indptr), shape)
    found = estimates(margin, csr_array(whole @ to_columns(schema)), level)
    return [
        Point(value=column.number.uncurbed(float(v)), effect=one.value, low=one.low, high=one.high)
        for v, one in zip(x, found, strict=True)
    ]
