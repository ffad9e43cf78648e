"""Coefficients of an earlier model, to which the penalty of a new one pulls."""

from __future__ import annotations

import numpy as np

from onepass.encode.feature_units import feature_units
from onepass.encode.scalar_kinds import Numeric, OneHot
from onepass.encode.schema import Column, Schema
from onepass.encode.shapes import Bins, Spline
from onepass.encode.splines import heights
from onepass.errors import JobError
from onepass.model.model import Model
from onepass.text import listed, shown

_MOST_NAMED = 8


def prior_of(path: str, loss: str, schema: Schema) -> dict[str, float]:
    """Return the coefficients of the model in a directory, by the features of another schema.

    They are in the units of the columns and of the label. The intercept is not among them, as no
    penalty holds it. A level that the model did not know has the coefficient 0. Where the reference
    levels or the knots differ, the same effects are expressed by those of the new schema.

    Raises
    ------
    JobError
        If the model has another loss, or a column of the schema is none of its dense columns or is
        read in another way.

    Also raises as `Model.load`.
    """
    model = Model.load(path)
    if model.file.job.loss != loss:
        raise JobError(
            f"--prior {shown(path)} has {model.file.job.loss} loss, and the new model {loss} loss; "
            "their coefficients have different units"
        )
    effects = _effects(model)
    own = {column.name: column for column in model.file.encoder.columns}
    found: dict[str, float] = {}
    lacking = []
    for column in schema.columns:
        if not column.feature_names():
            continue
        earlier = own.get(column.name)
        if earlier is None or not _is_alike(earlier, column):
            lacking.append(column.name)
        else:
            found |= _translated(earlier, column, effects)
    if lacking:
        raise JobError(
            f"--prior {shown(path)} does not read {listed([*map(shown, lacking)], _MOST_NAMED)} as "
            "the new model does; give both the same --numeric, --categorical, --spline, --log and "
            "--tails, or leave these columns out"
        )
    return found


def _effects(model: Model) -> dict[str, float]:
    """Return the weight of each feature in the unit of its column."""
    schema = model.file.encoder
    (weights,) = model.weights
    units = [unit for column in schema.columns for unit, _ in feature_units(column)]
    values = weights.dense / np.array(units)
    return {n: float(value) for n, value in zip(schema.feature_names(), values, strict=True)}


def _is_alike(earlier: Column, column: Column) -> bool:
    """Return whether coefficients of a column have the same meaning in both models."""
    if earlier.kind != column.kind:
        return False
    if isinstance(earlier, Numeric) and isinstance(column, Numeric):
        return earlier.log_unit == column.log_unit
    if isinstance(earlier, Spline) and isinstance(column, Spline):
        return earlier.number.log_unit == column.number.log_unit
    if isinstance(earlier, Bins) and isinstance(column, Bins):
        return earlier.edges == column.edges
    return True


def _translated(earlier: Column, column: Column, effects: dict[str, float]) -> dict[str, float]:
    names = column.feature_names()
    if isinstance(earlier, Spline) and isinstance(column, Spline):
        known = earlier.feature_names()[: len(earlier.knots) - 1]
        own = np.array([effects[name] for name in known])
        curve = own @ heights(earlier.knots, earlier.degree, np.array(column.knots))
        at_knots = {name: float(y - curve[0]) for name, y in zip(names, curve[1:], strict=False)}
        return {name: effects.get(name, 0.0) for name in names} | at_knots
    moved = 0.0
    if isinstance(earlier, OneHot) and isinstance(column, OneHot):
        # Effects are compared with the reference, which is the most frequent level of each sample.
        moved = effects.get(f"{column.name} = {column.levels[0]}", 0.0)
        reference = {f"{column.name} = {earlier.levels[0]}": -moved}
        return {name: effects.get(name, moved) - moved for name in names} | {
            name: value for name, value in reference.items() if name in names
        }
    return {name: effects.get(name, 0.0) for name in names}
