"""Summarise a model: coefficients in the units of its columns, with standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from onepass.actions.cautions import cautions
from onepass.actions.coefficient import Coefficient
from onepass.actions.curves import CurveOf, curves, references
from onepass.block import FloatArray
from onepass.encode.crosses import slots_of_texts, spoken_combination
from onepass.encode.hashing import slots_of
from onepass.encode.nested_kinds import Pairs, Vector, WeightMap
from onepass.encode.scalar_kinds import Numeric, Time
from onepass.encode.schema import Column, Schema
from onepass.encode.shapes import Cross, Product, Spline
from onepass.learn.updater import Identified, Weights
from onepass.model.cross_validated import CrossValidated, cross_validated
from onepass.model.model import Model

LEVEL = 0.95
"""Coverage of the confidence intervals."""

_DAY = 86_400.0


class HashedValue(BaseModel):
    """Weight of one value of a hashed column, or of one combination of a cross."""

    column: str
    value: str
    output: str | None
    """Class or quantile of the weight; None if the model has a single margin."""
    weight: float
    """Change of the prediction for rows with this value, or with any other that shares its slot.
    It is per unit of its number if the value is a key of a map or an index, and per standard
    deviation of the number if the column is crossed with one."""
    rows: int
    """Approximate number of rows with this value; long batches are sampled."""


class Summary(BaseModel):
    """Weights of a model, in the units of its columns."""

    model: str
    version: int
    solver: str
    loss: str
    label: str
    rows: int
    """Number of rows that the model has learnt."""
    where: str | None = None
    """Condition on the rows that the model learns; None for all."""
    sample: float | None = None
    """Share of the rows that the model learns; None for all."""
    intercepts: list[Coefficient]
    """Prediction for rows in which all numbers are zero and all categories are at their reference
    level; one for each class or quantile."""
    coefficients: list[Coefficient]
    """Dense features, largest effect first."""
    curves: list[CurveOf]
    """Columns that are read as splines."""
    hashed: dict[str, int]
    """Hashed columns and crosses, each with the number of slots that all of them share."""
    hashed_values: list[HashedValue]
    """Frequent values of hashed columns, largest weight first."""
    references: dict[str, str]
    """Level of each category, bin, or knot of a spline, with which its coefficients compare the
    others."""
    cross_validation: list[CrossValidated]
    """Loss of rows by weights without their fold, for each candidate; empty without folds."""
    warnings: list[str]
    """Where coefficients and standard errors must not be taken at their word."""


def summarise(model: Model) -> Summary:
    """Return the coefficients of a model, with standard errors where the solver has them."""
    schema, job = model.file.encoder, model.file.job
    rows: list[Coefficient] = []
    values: list[HashedValue] = []
    drawn: list[CurveOf] = []
    outputs = _outputs(model)
    for one in outputs:
        own = _coefficients(schema, one, _freedom(model, one.known))
        rows += own
        drawn += curves(schema, one.name, own)
        values += _hashed_values(model, one)
    is_intercept = [row.feature == INTERCEPT for row in rows]
    return Summary(
        model=job.model,
        version=model.version,
        solver=job.solver,
        loss=job.loss,
        label=schema.label.name,
        rows=model.rows,
        where=job.where,
        sample=job.sample,
        intercepts=[row for row, own in zip(rows, is_intercept, strict=True) if own],
        coefficients=sorted(
            (row for row, own in zip(rows, is_intercept, strict=True) if not own),
            key=lambda row: -abs(row.effect),
        ),
        curves=drawn,
        hashed=dict.fromkeys(schema.counted_names(), schema.n_slots),
        hashed_values=sorted(values, key=lambda value: -abs(value.weight)),
        references=dict(references(schema)),
        cross_validation=cross_validated(model.file, model.learner),
        warnings=cautions(
            model, [(one.name, one.known, one.row) for one in outputs if one.known is not None]
        ),
    )


INTERCEPT = "(intercept)"


@dataclass(frozen=True, slots=True)
class _Output:
    """Weights of one margin."""

    name: str | None
    """Class or quantile; None for a single margin."""
    dense: FloatArray
    """Weights that the rows determine, the intercept last."""
    hashed: FloatArray
    covariance: FloatArray | None
    known: Identified | None
    row: int
    """Row of the margin in `known`."""


def _outputs(model: Model) -> list[_Output]:
    heads, job = model.weights, model.file.job
    if job.loss == "softmax":
        hashed = heads[0].hashed.T
        return [_output(name, heads[0], k, hashed[k]) for k, name in enumerate(job.classes)]
    several = len(heads) > 1
    names: list[str | None] = [f"{q:g}" for q in job.quantile] if several else [None]
    return [_output(n, head, 0, head.hashed) for n, head in zip(names, heads, strict=True)]


def _output(name: str | None, weights: Weights, row: int, hashed: FloatArray) -> _Output:
    known = weights.identified
    if known is None:
        dense = np.column_stack([np.atleast_2d(weights.dense), np.atleast_1d(weights.intercept)])
        return _Output(name, dense[row], hashed, None, None, row)
    width = known.weights.shape[1]
    place = slice(row * width, (row + 1) * width)
    return _Output(name, known.weights[row], hashed, known.covariance[place, place], known, row)


def _freedom(model: Model, known: Identified | None) -> float:
    """Return the degrees of freedom of Student's t; infinity where the normal is used."""
    return known.freedom if known and model.file.job.loss == "squared" else math.inf


def _coefficients(schema: Schema, one: _Output, freedom: float) -> list[Coefficient]:
    names, to_columns = _to_columns(schema)
    effects = one.dense
    values = to_columns @ effects
    curbs = {c.name: c.curb for c in schema.columns if isinstance(c, Numeric) and c.is_curbed}
    curbs |= {c.name: "each from its mean" for c in schema.columns if isinstance(c, Product)}
    errors = _errors(one.covariance, to_columns)
    aliased = np.append(one.known.aliased, False) if one.known else np.zeros(len(names), np.bool_)
    found = []
    for name, value, error, effect, out in zip(
        names, values, errors, effects, aliased, strict=True
    ):
        known = bool(np.isfinite(error) and error > 0)
        if not (known or out or effect) and name.endswith(" is unknown"):
            # No row had such a value.
            continue
        reach = float(error * _quantile(0.5 + LEVEL / 2, freedom))
        found.append(
            Coefficient(
                feature=name,
                output=one.name,
                coefficient=float(value),
                aliased=bool(out),
                std_error=float(error) if known else None,
                z=float(value / error) if known else None,
                p_value=2 * _below(-abs(float(value / error)), freedom) if known else None,
                low=float(value) - reach if known else None,
                high=float(value) + reach if known else None,
                read_as=curbs.get(name),
                effect=float(effect),
            )
        )
    return found


def _to_columns(schema: Schema) -> tuple[list[str], FloatArray]:
    """Return feature names and the matrix that turns weights of features into those of columns.

    The intercept comes last in both.
    """
    units = [
        (name, *unit)
        for column in schema.columns
        for name, unit in zip(column.feature_names(), _units(column), strict=True)
    ]
    matrix = np.diag([*(1 / unit for _, unit, _ in units), 1.0])
    matrix[-1, :-1] = [-zero / unit for _, unit, zero in units]
    return [*(name for name, _, _ in units), INTERCEPT], matrix


def _errors(covariance: FloatArray | None, to_columns: FloatArray) -> FloatArray:
    if covariance is None:
        return np.full(len(to_columns), np.nan)
    # A feature that never varied has no standard error, and adds nothing to the intercept's.
    unknown = np.isnan(np.diag(covariance))
    known = np.where(np.isnan(covariance), 0.0, covariance)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", to_columns, known, to_columns), 0.0))
    return np.where(unknown, np.nan, errors)


def _below(z: float, freedom: float) -> float:
    return float(ndtr(z) if math.isinf(freedom) else stdtr(freedom, z))


def _quantile(share: float, freedom: float) -> float:
    return float(ndtri(share) if math.isinf(freedom) else stdtrit(freedom, share))


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


def _hashed_values(model: Model, one: _Output) -> list[HashedValue]:
    schema = model.file.encoder
    found = []
    for column in schema.counted():
        values = model.frequent.values(column.name)
        texts = [value for value, _ in values]
        if isinstance(column, Cross):
            slots = slots_of_texts(column, texts, schema.hash_bits)
            names = [spoken_combination(text) for text in texts]
        else:
            slots, names = slots_of(texts, column.name, schema.hash_bits), texts
        unit = column.scale if isinstance(column, WeightMap | Pairs) else 1.0
        found += [
            HashedValue(
                column=column.name,
                value=name,
                output=one.name,
                weight=float(one.hashed[slot]) / unit,
                rows=n,
            )
            for (_, n), name, slot in zip(values, names, slots, strict=True)
        ]
    return found
