"""Describe a column of the sample as a number, a time or a category, ready to be frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.block import FloatArray
from onepass.encode.columns import as_text, floats, plain
from onepass.encode.level_values import whole_texts
from onepass.encode.schema import Column, Hashed, Numeric, OneHot, Time, family
from onepass.encode.shapes import Bins, Spline
from onepass.encode.text_values import is_text, numbers_in_text, times_in_text, without_blanks
from onepass.encode.times import DAY, epoch_seconds
from onepass.errors import JobError
from onepass.survey.scale import location_and_scale
from onepass.survey.text_columns import TextForm

ONE_HOT_LEVELS = 64
"""Maximum number of levels of a one-hot category; one with more levels is hashed."""

NEARLY_UNIQUE = 0.9
"""Share of distinct values from which a category identifies rows instead of grouping them."""


class _TextFields(TypedDict, total=False):
    text: bool
    missing_texts: list[str]


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
    texts: pa.Array | None = None
    """The texts that the values were read from; None if the values are those of the files."""
    missing_texts: tuple[str, ...] = ()
    """Texts that stood for a missing value when `texts` were read."""

    @property
    def missing(self) -> bool:
        """Whether the lake has nulls here, which then have a feature of their own."""
        return self.null_share > 0

    @property
    def nearly_unique(self) -> bool:
        """Whether nearly every value is different, among enough values to tell."""
        return self.n_valid >= 100 and self.distinct >= NEARLY_UNIQUE * self.n_valid

    def read_as(self, form: TextForm) -> SampledColumn:
        """Return the column of the numbers or times that its texts hold."""
        values = form.values
        missing = values.null_count / max(1, len(values))
        return SampledColumn(
            self.name,
            values,
            max(self.null_share, missing),
            int(pc.count_distinct(values).as_py()),
            len(values) - values.null_count,
            self.values,
            tuple(form.missing),
        )


def sampled(name: str, values: pa.Array, known_nulls: float | None) -> SampledColumn:
    """Count the values of a column; blank text is null.

    Parameters
    ----------
    known_nulls
        Share of nulls in the whole lake, if it is known.
    """
    values = plain(values)
    n_rows = max(1, len(values))
    nulls = known_nulls or values.null_count / n_rows
    if family(values.type) == "text":
        n_before = values.null_count
        values = without_blanks(values)
        nulls = min(1.0, nulls + (values.null_count - n_before) / n_rows)
    usable = family(values.type) not in {"other", "null"}
    distinct = int(pc.count_distinct(values).as_py()) if usable else 0
    return SampledColumn(name, values, nulls, distinct, len(values) - values.null_count)


def number(column: SampledColumn) -> Numeric:
    """Describe a column of numbers by location and scale of its finite values."""
    values = floats(column.values)
    finite = values[np.isfinite(values)]
    center, scale = location_and_scale(finite)
    missing = column.missing or len(finite) < len(values)
    return Numeric(
        name=column.name, center=center, scale=scale, missing=missing, **_of_text(column)
    )


def values_of(use: Column, values: pa.Array) -> pa.Array:
    """Return the values of a column, those of text as the encoder reads them.

    Texts of a number or a time become float64, and texts that stand for a missing value null.
    """
    values = plain(values)
    match use:
        case Spline() | Bins():
            return values_of(use.number, values)
        case Numeric() if is_text(values):
            return numbers_in_text(values, use.missing_texts)
        case Time() if is_text(values):
            return times_in_text(values, use.missing_texts)
        case OneHot() | Hashed() if is_text(values) and use.blank_is_null:
            return without_blanks(values)
    return values


def numbers_of(use: Numeric, values: pa.Array) -> FloatArray:
    """Return the values of a column of numbers as the encoder reads them, null as NaN."""
    return floats(values_of(use, values))


def time(column: SampledColumn) -> Time:
    """Describe a column of dates or timestamps, with the cycles that the sample spans."""
    is_read = column.texts is not None
    seconds = floats(column.values) if is_read else epoch_seconds(column.values)
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
        | {"missing": column.missing, **_of_text(column)}
    )


def _of_text(column: SampledColumn) -> _TextFields:
    if column.texts is None:
        return {}
    return {"text": True, "missing_texts": list(column.missing_texts)}


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
    values = column.values if column.texts is None else column.texts
    kind = family(values.type)
    if kind == "real" and is_whole(values):
        values, kind = whole_texts(values).dictionary_decode(), "integer"
    if kind not in {"integer", "text", "bool"}:
        what = "with fractions " if kind == "real" else ""
        raise JobError(
            f"--categorical names {column.name!r}, but type {values.type} {what}has no levels"
        )
    fields: dict[str, object] = {"name": column.name, "family": kind}
    # Any file may store the integers as floats, or have blanks among its texts.
    fields |= {"whole": kind == "integer", "blank_is_null": kind == "text"}
    distinct = int(pc.count_distinct(values).as_py())
    if distinct > ONE_HOT_LEVELS and kind != "bool":
        return Hashed.model_validate(fields), f"{why}, more than {ONE_HOT_LEVELS} levels"
    missing = column.missing or values.null_count > 0
    return OneHot.model_validate(fields | {"levels": _levels(values), "missing": missing}), why


def is_whole(values: pa.Array) -> bool:
    """Whether numbers, of which there is one at least, are whole; NaN and infinity do not count."""
    if family(values.type) == "integer":
        return True
    numbers = floats(values)
    numbers = numbers[np.isfinite(numbers)]
    return bool(len(numbers)) and bool((numbers == np.floor(numbers)).all())


def _levels(values: pa.Array) -> list[str]:
    """Return the distinct values as text, the most frequent first, equally frequent ones sorted."""
    counts = pc.value_counts(as_text(values.drop_null()).cast(pa.string()))
    pairs = [(-item["counts"], item["values"]) for item in counts.to_pylist()]
    return [level for _, level in sorted(pairs)]
