"""The coefficients to report: their names, and the combination of weights that each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

from onepass.actions.inference.units import position, to_columns
from onepass.block import FloatArray
from onepass.encode.scalar_kinds import Numeric, OneHot
from onepass.encode.schema import Column, Schema
from onepass.encode.shapes import Bins, Product, Spline
from onepass.errors import JobError
from onepass.text import listed, shown

INTERCEPT = "(intercept)"

_FLAG = "--reference"

_SAME = 1e-12
"""Features that differ by less are those of the reference."""

_NAMED = 20
"""Columns that a message names."""


@dataclass(frozen=True, slots=True)
class Design:
    """The coefficients to report, the intercept last."""

    names: list[str]
    columns: list[str]
    """Column of each coefficient; that of the intercept is empty."""
    read_as: list[str | None]
    """Form in which the column is read; None if as it is."""
    matrix: csr_array
    """Combination of the weights of features that each is, shape (n_names, n_dense + 1)."""
    own: NDArray[np.intp]
    """Weight of the feature of each; -1 for the first level, if another one is the reference."""
    moved: NDArray[np.bool_]
    """Whether each is against a reference that was asked for."""
    references: dict[str, str]
    """Level, bin or knot with which the coefficients of a column compare the others."""


def design(schema: Schema, moved: Mapping[str, str]) -> Design:
    """Return the coefficients to report.

    Parameters
    ----------
    moved
        Another reference of a category, of bins or of a spline, by the name of the column.

    Raises
    ------
    JobError
        If a column has no reference, or no such level.
    """
    _refuse_others(schema, moved)
    whole, first = to_columns(schema), 0
    intercept = np.zeros(whole.shape[1])
    intercept[-1] = 1.0
    parts: list[_Part] = []
    for column in schema.columns:
        width = len(column.feature_names())
        part = _part(column, moved.get(column.name), first, whole.shape[1])
        intercept[first : first + width] += part.shift
        parts.append(part)
        first += width
    matrix = vstack([*(part.rows for part in parts), csr_array(intercept[None])], format="csr")
    return Design(
        names=[*(name for part in parts for name in part.names), INTERCEPT],
        columns=[*(part.column.name for part in parts for _ in part.names), ""],
        read_as=[*(text for part in parts for text in _curbs(part)), None],
        matrix=csr_array(matrix @ whole),
        own=np.array([*(place for part in parts for place in part.own), first], np.intp),
        moved=np.array([*(one for part in parts for one in part.moved), False], np.bool_),
        references=dict(references(schema)) | dict(moved),
    )


def references(schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield the level, bin or knot with which the coefficients of a column compare the others."""
    for column in schema.columns:
        yield from references_of(column)


def references_of(column: Column) -> Iterator[tuple[str, str]]:
    """Yield the name of a column and its reference, if it has one."""
    match column:
        case OneHot() | Bins():
            yield column.name, column.levels[0]
        case Spline():
            yield column.name, column.knot_texts()[0]


@dataclass(frozen=True, slots=True)
class _Part:
    """The coefficients of one column."""

    column: Column
    names: list[str]
    rows: csr_array
    """Combination of the coefficients by the first reference, shape (n_names, n_weights)."""
    own: list[int]
    moved: list[bool]
    shift: FloatArray
    """Coefficients that the intercept takes over, shape (n_features,)."""


def _part(column: Column, reference: str | None, first: int, n_weights: int) -> _Part:
    names = column.feature_names()
    width = len(names)
    places = np.arange(first, first + width)
    if reference is None:
        rows = csr_array((np.ones(width), (np.arange(width), places)), shape=(width, n_weights))
        return _Part(column, names, rows, places.tolist(), [False] * width, np.zeros(width))
    at = position(column, reference, _FLAG)
    rows, names = _compared(column, names, at)
    kept = np.flatnonzero(abs(rows).max(axis=1).toarray().ravel() > _SAME)
    rows = csr_array(rows[kept])
    rows = csr_array((rows.data, rows.indices + first, rows.indptr), (len(kept), n_weights))
    own = [-1, *places.tolist()]
    moved = (kept <= _n_levels(column)).tolist()
    return _Part(column, [names[k] for k in kept], rows, [own[k] for k in kept], moved, at)


def _compared(column: Column, names: list[str], at: FloatArray) -> tuple[csr_array, list[str]]:
    """Return the features of each level less those of a reference, the first level among them.

    A missing number is read as the mean of a spline's features, which no reference moves.
    """
    width, n_levels, moved = len(names), _n_levels(column), np.flatnonzero(at)
    levels = np.arange(n_levels + 1)
    values = np.concatenate([np.ones(width), np.tile(-at[moved], len(levels))])
    rows = np.concatenate([np.arange(1, width + 1), np.repeat(levels, len(moved))])
    columns = np.concatenate([np.arange(width), np.tile(moved, len(levels))])
    found = csr_array(coo_array((values, (rows, columns)), shape=(width + 1, width)))
    return found, [_first(column), *names]


def _n_levels(column: Column) -> int:
    """Return the number of features that are compared with the reference."""
    return len(column.knots) - 1 if isinstance(column, Spline) else len(column.feature_names())


def _first(column: Column) -> str:
    """Return the name of the first level, as a feature."""
    ((_, level),) = references_of(column)
    between = {"spline": " at ", "bins": " "}.get(column.kind, " = ")
    return f"{column.name}{between}{level}"


def _curbs(part: _Part) -> Iterator[str | None]:
    column = part.column
    if isinstance(column, Product):
        yield "each from its mean"
        return
    curb = column.curb if isinstance(column, Numeric) and column.is_curbed else None
    for place, _ in enumerate(part.names):
        yield curb if place == 0 else None


def _refuse_others(schema: Schema, moved: Mapping[str, str]) -> None:
    known = [name for name, _ in references(schema)]
    for name in moved:
        if name not in known:
            raise JobError(
                f"{_FLAG}: {shown(name)} has no reference level; expected a category that is not "
                f"hashed, bins or a spline: {listed(known, _NAMED) or 'the model has none'}"
            )
