"""Weights of frequent values of hashed columns, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import BaseModel

from onepass.actions.inference.margin import Margin
from onepass.encode.crosses import slots_of_texts, spoken_combination
from onepass.encode.hashing import slots_of
from onepass.encode.nested_kinds import Pairs, WeightMap
from onepass.encode.shapes import Cross
from onepass.model.covariance import quantile
from onepass.model.model import Model


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
    rows: int | None
    """Approximate number of rows with this value; None if the rows that were looked at are too few
    to tell it within a factor of two and a half, see `CountedRows`."""
    std_error: float | None = None
    """Standard error, given the other weights; None if the solver does not keep it. The weight is
    drawn towards 0 by a prior, and so is its interval."""
    low: float | None = None
    high: float | None = None
    """Upper end of the interval of the summary's `level`; `low` is its lower end."""


def hashed_values(model: Model, margin: Margin, level: float) -> Iterator[HashedValue]:
    """Yield the frequent values of each hashed column of one margin."""
    schema, reach = model.file.encoder, quantile(0.5 + level / 2, math.inf)
    for column in schema.counted():
        values = model.frequent.values(column.name)
        texts = [value for value, _ in values]
        if isinstance(column, Cross):
            slots = slots_of_texts(column, texts, schema.hash_bits)
            names = [spoken_combination(text) for text in texts]
        else:
            slots, names = slots_of(texts, column.name, schema.hash_bits), texts
        unit = column.scale if isinstance(column, WeightMap | Pairs) else 1.0
        rows = _rows(model, column.name, [n for _, n in values])
        for n, name, slot in zip(rows, names, slots, strict=True):
            weight, error = float(margin.hashed[slot]) / unit, None
            if margin.hashed_variance is not None:
                error = math.sqrt(max(0.0, float(margin.hashed_variance[slot]))) / unit
            yield HashedValue(
                column=column.name,
                value=name,
                output=margin.name,
                weight=weight,
                rows=n,
                std_error=error,
                low=None if error is None else weight - reach * error,
                high=None if error is None else weight + reach * error,
            )


def _rows(model: Model, column: str, counts: list[int]) -> list[int | None]:
    """Return the rows of the values of a column, whose counts fall."""
    counted = model.counted_rows
    if column in model.file.encoder.hive:
        return [counted.exact(n) for n in counts]
    return [counted.estimate(place, n) for place, n in enumerate(counts)]
