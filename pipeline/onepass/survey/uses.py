"""Describe a column of the sample as a number, a time or a category, ready to be frozen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.encode.columns import as_text, floats
from onepass.encode.schema import Column, Hashed, Numeric, OneHot, Time, family
from onepass.encode.times import DAY, epoch_seconds
from onepass.errors import JobError
from onepass.survey.scale import location_and_scale

ONE_HOT_LEVELS = 64
"""Maximum number of levels of a one-hot category; one with more levels is hashed."""

NEARLY_UNIQUE = 0.9
"""Share of distinct values from which a category identifies rows instead of grouping them."""


@dataclass(frozen=True, slots=True)
class SampledColumn:
    """A column of the sample, with counts of its values."""

    name: str
    values: pa.Array
    null_share: float
    """Share of null rows: in the whole lake if the footers tell it, else in the sample."""
    distinct: int
    """Number of distinct values."""
    n_valid: int
    """Number of values that are not null."""

    @property
    def missing(self) -> bool:
        """Whether the lake has nulls here, which then have a feature of their own."""
        return self.null_share > 0

    @property
    def nearly_unique(self) -> bool:
        """Whether nearly every value is different, among enough values to tell."""
        return self.n_valid >= 100 and self.distinct >= NEARLY_UNIQUE * self.n_valid


def number(column: SampledColumn) -> Numeric:
    """Describe a column of numbers by location and scale of its finite values."""
    values = floats(column.values)
    finite = values[np.isfinite(values)]
    center, scale = location_and_scale(finite)
    missing = column.missing or len(finite) < len(values)
    return Numeric(name=column.name, center=center, scale=scale, missing=missing)


def time(column: SampledColumn) -> Time:
    """Describe a column of dates or timestamps, with the cycles that the sample spans."""
    seconds = epoch_seconds(column.values)
    seconds = seconds[np.isfinite(seconds)]
    center, scale = location_and_scale(seconds)
    span = float(np.ptp(seconds))
    parts = ["trend"]
    if not pa.types.is_date(column.values.type) and np.any(seconds % DAY):
        parts.append("hour")
    if span >= 7 * DAY:
        parts.append("weekday")
    if span >= 365 * DAY:
        parts.append("year")
    return Time.model_validate(
        {"name": column.name, "center": center, "scale": scale, "parts": parts}
        | {"missing": column.missing}
    )


def category(column: SampledColumn, why: str) -> tuple[Column, str]:
    """Describe a category, one-hot or hashed by its number of levels.

    Parameters
    ----------
    why
        Reason to use the column as a category.

    Returns
    -------
    The description and the full reason.

    Raises
    ------
    JobError
        If values of this type have no levels.
    """
    kind = family(column.values.type)
    if kind not in {"integer", "text", "bool"}:
        raise JobError(
            f"--categorical names {column.name!r}, but type {column.values.type} has no levels"
        )
    if column.distinct > ONE_HOT_LEVELS and kind != "bool":
        hashed = Hashed.model_validate({"name": column.name, "family": kind})
        return hashed, f"{why}, more than {ONE_HOT_LEVELS} levels"
    one_hot = OneHot.model_validate(
        {"name": column.name, "family": kind, "levels": _levels(column.values)}
        | {"missing": column.missing}
    )
    return one_hot, why


def _levels(values: pa.Array) -> list[str]:
    """Return the distinct values as text, the most frequent first, equally frequent ones sorted."""
    counts = pc.value_counts(as_text(values.drop_null()).cast(pa.string()))
    pairs = [(-item["counts"], item["values"]) for item in counts.to_pylist()]
    return [level for _, level in sorted(pairs)]
