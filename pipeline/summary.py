"""A model's coefficients in the units of its columns."""

from __future__ import annotations

import math

from pydantic import BaseModel

from pipeline.encode.schema import Column, Numeric, Schema, Time
from pipeline.model import Model

_DAY = 86_400.0


class Coefficient(BaseModel):
    """The weight of one feature."""

    feature: str
    coefficient: float
    """Change of the prediction (logistic: of the log-odds) per unit; a trend is per day."""
    std_error: float | None
    """None where the solver has no curvature, or never saw the feature."""
    effect: float
    """Change of the prediction per standard deviation of a number, or when a 0/1 feature is on."""


class Summary(BaseModel):
    """What a model has learnt."""

    model: str
    version: int
    solver: str
    loss: str
    label: str
    rows: int
    """Rows learnt so far."""
    intercept: float
    """Prediction where all numbers are zero and all categories at their reference level."""
    coefficients: list[Coefficient]
    """Dense features, largest effect first."""
    hashed: dict[str, int]
    """Hashed columns, with the number of slots they share; empty without."""


def summarise(model: Model) -> Summary:
    """Coefficients of the newest version, with standard errors where the solver has them."""
    schema, weights = model.file.encoder, model.weights
    errors = weights.dense_stderr
    found, intercept, at = [], weights.intercept, 0
    for column in schema.columns:
        for name in column.feature_names():
            effect = float(weights.dense[at])
            unit, zero = _unit(column, name)
            error = float(errors[at]) / unit if errors is not None else math.nan
            intercept -= effect * zero / unit
            found.append(
                Coefficient(
                    feature=name,
                    coefficient=effect / unit,
                    std_error=error if math.isfinite(error) else None,
                    effect=effect,
                )
            )
            at += 1
    return Summary(
        model=model.file.job.model,
        version=model.version,
        solver=model.file.job.solver,
        loss=model.file.job.loss,
        label=schema.label.name,
        rows=model.rows,
        intercept=intercept,
        coefficients=sorted(found, key=lambda c: -abs(c.effect)),
        hashed=_hashed(schema),
    )


def _unit(column: Column, name: str) -> tuple[float, float]:
    """Units of the column per unit of the feature, and the column's value at feature zero."""
    match column:
        case Numeric() if name == column.name:
            return column.scale, column.center
        case Time() if name == f"{column.name} (trend)":
            return column.scale / _DAY, 0.0
        case _:
            return 1.0, 0.0


def _hashed(schema: Schema) -> dict[str, int]:
    return {c.name: schema.n_slots for c in schema.columns if c.kind == "hashed"}
