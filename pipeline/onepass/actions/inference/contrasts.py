"""Contrasts: the difference of the prediction between two values of a column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import BaseModel
from scipy.sparse import csr_array

from onepass.actions.inference.estimates import estimates
from onepass.actions.inference.margin import Margin
from onepass.actions.inference.ratios import ratio
from onepass.actions.inference.units import position, to_columns
from onepass.block import FloatArray
from onepass.encode.schema import Column, Schema
from onepass.errors import JobError
from onepass.text import listed, shown

_FLAG = "--contrast"

_NAMED = 20
"""Columns that a message names."""


class Contrast(BaseModel):
    """Difference of the prediction, or of its link, between two values of a column."""

    column: str
    value: str
    against: str
    output: str | None
    """Class or quantile; None if the model has a single margin."""
    difference: float
    """In the unit of a coefficient: that at `value` less that at `against`."""
    std_error: float | None
    z: float | None
    p_value: float | None
    low: float | None
    high: float | None
    ratio: float | None
    """Exponential of the difference, if the loss has ratios, with its interval."""
    ratio_low: float | None
    ratio_high: float | None


def contrasts(
    schema: Schema, found: Sequence[Margin], wanted: Sequence[str], level: float, *, ratios: bool
) -> Iterator[Contrast]:
    """Yield the contrasts that are asked for, each written ``COLUMN=VALUE:AGAINST``.

    Raises
    ------
    JobError
        If a contrast is not written so, or the column has no such value.
    """
    if not wanted:
        return
    named = [_parsed(schema, text) for text in wanted]
    matrix = csr_array(csr_array(np.array([one[-1] for one in named])) @ to_columns(schema))
    for margin in found:
        for (column, value, against, _), one in zip(
            named, estimates(margin, matrix, level), strict=True
        ):
            yield Contrast(
                column=column,
                value=value,
                against=against,
                output=margin.name,
                difference=one.value,
                std_error=one.std_error,
                z=one.z,
                p_value=one.p_value,
                low=one.low,
                high=one.high,
                ratio=ratio(one.value) if ratios else None,
                ratio_low=ratio(one.low) if ratios else None,
                ratio_high=ratio(one.high) if ratios else None,
            )


def named_column(schema: Schema, name: str, flag: str) -> tuple[Column, int]:
    """Return a column, and the number of its first feature.

    Raises
    ------
    JobError
        If there is no such column.
    """
    first = 0
    for column in schema.columns:
        if column.name == name:
            return column, first
        first += len(column.feature_names())
    names = listed([one.name for one in schema.columns], _NAMED)
    raise JobError(f"{flag}: the model has no column {shown(name)}; its columns: {names}")


def _parsed(schema: Schema, text: str) -> tuple[str, str, str, FloatArray]:
    """Return the column, both values, and the difference of their features."""
    name, equals, values = text.partition("=")
    if not equals or ":" not in values:
        raise JobError(
            f"{_FLAG}: expected COLUMN=VALUE:AGAINST, such as vehicle=van:car, found {shown(text)}"
        )
    column, first = named_column(schema, name, _FLAG)
    value, against, difference = _split(column, values)
    row = np.zeros(schema.n_dense + 1)
    row[first : first + len(difference)] = difference
    return name, value, against, row


def _split(column: Column, text: str) -> tuple[str, str, FloatArray]:
    """Return both values and the difference of their features; a level may have colons itself."""
    parts = text.split(":")
    refused: JobError | None = None
    for place in range(1, len(parts)):
        value, against = ":".join(parts[:place]), ":".join(parts[place:])
        try:
            at, base = (position(column, one, _FLAG) for one in (value, against))
        except JobError as error:
            refused = error
            continue
        return value, against, at - base
    assert refused is not None
    raise refused
