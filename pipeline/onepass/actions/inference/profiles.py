"""Profiles: the change of the prediction over the values of one column, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from pydantic import BaseModel
from scipy.sparse import csr_array

from onepass.actions.inference.contrasts import named_column
from onepass.actions.inference.estimates import Estimate, estimates
from onepass.actions.inference.hashed_values import HashedValue
from onepass.actions.inference.margin import Margin
from onepass.actions.inference.ratios import ratio
from onepass.actions.inference.units import as_read, position, to_columns
from onepass.block import FloatArray
from onepass.encode.scalar_kinds import Numeric, OneHot
from onepass.encode.schema import Column, Schema
from onepass.encode.shapes import Bins, Product, Spline, distinct_texts
from onepass.encode.splines import heights
from onepass.errors import JobError
from onepass.text import shown

_FLAG = "--curve"

_POINTS = 25
"""Points of a profile of numbers, beside the knots of a spline."""

_SPREAD = 2.0
"""Standard deviations from the mean to which the profile of a number reaches."""


_SAME = 1e-12
"""Features that differ by less are those of the reference."""

_Kind: TypeAlias = Literal["spline", "bins", "levels", "line", "product", "values"]


class ProfilePoint(BaseModel):
    """The height of a profile at one value."""

    value: str
    """Level, bin or combination, or the number as a text."""
    number: float | None = None
    """The number; None for a level."""
    rows: int | None = None
    """Approximate number of rows with the value; None if they are not counted."""
    effect: float
    """Change against the reference, in the unit of a coefficient."""
    std_error: float | None
    low: float | None
    high: float | None
    ratio: float | None
    """Exponential of the effect, if the loss has ratios, with its interval."""
    ratio_low: float | None
    ratio_high: float | None


class Profile(BaseModel):
    """The change of the prediction over the values of one column."""

    column: str
    output: str | None
    """Class or quantile; None if the model has a single margin."""
    kind: _Kind
    """Kind of the column: `values` of a hashed column or cross have weights, and no reference."""
    reference: str | None
    """Value whose effect is 0; None if there is none."""
    points: list[ProfilePoint]


def profiles(
    schema: Schema,
    found: Sequence[Margin],
    hashed: Sequence[HashedValue],
    names: Sequence[str],
    references: dict[str, str],
    level: float,
    *,
    ratios: bool,
) -> Iterator[Profile]:
    """Yield the profile of each named column, for each margin.

    Parameters
    ----------
    hashed
        Frequent values of the hashed columns.
    references
        Value with which the others are compared, by the name of the column.

    Raises
    ------
    JobError
        If there is no such column, or it has no profile.
    """
    for name in names:
        column, first = named_column(schema, name, _FLAG)
        if column in schema.counted():
            for margin in found:
                own = [one for one in hashed if one.column == name and one.output == margin.name]
                points = [_of_hashed(one, ratios=ratios) for one in own]
                yield _profile(name, margin, "values", None, points)
            continue
        values = _values(column, references.get(name))
        rows = values.rows
        shape = (rows.shape[0], schema.n_dense + 1)
        whole = csr_array((rows.data, rows.indices + first, rows.indptr), shape)
        matrix = csr_array(whole @ to_columns(schema))
        for margin in found:
            points = [
                _point(text, number, one, ratios=ratios)
                for text, number, one in zip(
                    values.texts, values.numbers, estimates(margin, matrix, level), strict=True
                )
            ]
            yield _profile(name, margin, values.kind, values.reference, points)


def _profile(
    name: str, margin: Margin, kind: _Kind, reference: str | None, points: list[ProfilePoint]
) -> Profile:
    return Profile(column=name, output=margin.name, kind=kind, reference=reference, points=points)


@dataclass(frozen=True, slots=True)
class _Values:
    """Values of a column, and the features of each less those of the reference."""

    kind: _Kind
    reference: str
    texts: list[str]
    numbers: list[float] | list[None]
    rows: csr_array
    """Shape (n_values, n_features)."""


def _values(column: Column, reference: str | None) -> _Values:
    match column:
        case OneHot() | Bins():
            reference, n = reference or column.levels[0], len(column.levels)
            places = np.arange(1, n), np.arange(n - 1)
            rows = csr_array((np.ones(n - 1), places), shape=(n, len(column.feature_names())))
            kind: _Kind = "bins" if isinstance(column, Bins) else "levels"
            rows = _less(rows, position(column, reference, _FLAG))
            return _Values(kind, reference, column.levels, [None] * n, rows)
        case Spline():
            reference = reference or column.knot_texts()[0]
            x, rows = spline_points(column, reference)
            numbers = [column.number.uncurbed(float(one)) for one in x]
            return _Values("spline", reference, distinct_texts(numbers), numbers, rows)
        case Numeric():
            reference = reference or distinct_texts([column.uncurbed(column.center)])[0]
            at = position(column, reference, _FLAG)[0]
            around = _with(float(reference), _around(column))
            read = as_read(column, np.array(around)) - at
            return _Values("line", reference, distinct_texts(around), around, _first_of(read))
        case Product():
            around, one = _around(column.numbers[0]), column.numbers[0]
            read = (as_read(one, np.array(around)) - one.center) * math.prod(
                other.scale for other in column.numbers[1:]
            )
            text = "each number at its mean"
            return _Values("product", text, distinct_texts(around), around, _first_of(read))
        case _:
            raise JobError(
                f"{_FLAG}: {shown(column.name)} has no curve; expected a number, a spline, bins, a "
                "category or a cross"
            )


def spline_points(
    column: Spline, reference: str, x: FloatArray | None = None
) -> tuple[FloatArray, csr_array]:
    """Return points of a spline as it is read, and their features less those of a reference.

    Parameters
    ----------
    x
        The points; by default some between the outer knots, and all knots.
    """
    if x is None:
        x = np.linspace(column.knots[0], column.knots[-1], _POINTS)
        x = np.unique([*x, *column.knots])
    rows = np.zeros((len(x), len(column.feature_names())))
    rows[:, : len(column.knots) - 1] = heights(column.knots, column.degree, x).T
    rows -= position(column, reference, _FLAG)
    rows[np.abs(rows).max(axis=1) < _SAME] = 0.0
    return x, csr_array(rows)


def _less(rows: csr_array, at: FloatArray) -> csr_array:
    return csr_array(rows - csr_array(np.ones((rows.shape[0], 1))) @ csr_array(at[None]))


def _first_of(values: FloatArray) -> csr_array:
    return csr_array(values[:, None])


def _around(column: Numeric) -> list[float]:
    """Return numbers around the mean of the sample, in the unit of the column."""
    ends = column.center - _SPREAD * column.scale, column.center + _SPREAD * column.scale
    found = {column.uncurbed(float(x)) for x in np.linspace(*ends, _POINTS)}
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    return sorted({float(min(max(x, low), high)) for x in found})


def _with(reference: float, numbers: list[float]) -> list[float]:
    """Return numbers with a reference among them, and no other one that would look like it."""
    near = (numbers[-1] - numbers[0]) / (2 * len(numbers))
    return sorted([reference, *(x for x in numbers if abs(x - reference) > near)])


def _point(text: str, number: float | None, one: Estimate, *, ratios: bool) -> ProfilePoint:
    # The reference has no error, because its effect is 0 by its meaning.
    is_zero = one.value == 0.0 and one.std_error is None
    low, high = (0.0, 0.0) if is_zero else (one.low, one.high)
    return ProfilePoint(
        value=text,
        number=number,
        effect=one.value,
        std_error=one.std_error,
        low=low,
        high=high,
        ratio=ratio(one.value) if ratios else None,
        ratio_low=ratio(low) if ratios else None,
        ratio_high=ratio(high) if ratios else None,
    )


def _of_hashed(one: HashedValue, *, ratios: bool) -> ProfilePoint:
    return ProfilePoint(
        value=one.value,
        rows=one.rows,
        effect=one.weight,
        std_error=one.std_error,
        low=one.low,
        high=one.high,
        ratio=ratio(one.weight) if ratios else None,
        ratio_low=ratio(one.low) if ratios else None,
        ratio_high=ratio(one.high) if ratios else None,
    )
