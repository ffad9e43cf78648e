"""Describe a column of the sample as a number, a time or a category, ready to be frozen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.block import FloatArray
from onepass.encode.columns import as_text, floats, plain
from onepass.encode.level_values import whole_texts
from onepass.encode.missing import (
    MISSING_TEXTS,
    as_words,
    is_missing,
    missing_moments,
    missing_numbers,
    without_missing,
    without_numbers,
)
from onepass.encode.scalar_kinds import Hashed, Numeric, OneHot, Time
from onepass.encode.schema import Column, family
from onepass.encode.shapes import Bins, Spline
from onepass.encode.text_values import numbers_in_text
from onepass.encode.texts import is_text
from onepass.encode.times import DAY, epoch_seconds, moments, shown_zone, span_seconds
from onepass.encode.zones import local_seconds
from onepass.errors import JobError
from onepass.survey.scale import location_and_scale
from onepass.survey.text_columns import TextForm

ONE_HOT_LEVELS = 64
"""Maximum number of levels of a one-hot category; one with more levels is hashed."""

NEARLY_UNIQUE = 0.9
"""Share of distinct values from which a category identifies rows instead of grouping them."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words for a missing value, in lower case."""

    named: tuple[str, ...] = ()
    """Those that the job names, which may be numbers and dates."""

    @property
    def all(self) -> tuple[str, ...]:
        """All words that are looked for in text."""
        return as_words([*MISSING_TEXTS, *self.named])


NO_WORDS = Words()
"""No further words than the usual ones."""


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
    words: Words = NO_WORDS
    """Words for a missing value."""
    found: tuple[str, ...] = ()
    """Values of the sample that stand for a missing one, as they are written; "" for blanks."""
    found_share: float = 0.0
    """Share of the rows with such a value."""
    format: str | None = None
    """Format of times, if they are read by one."""
    clock: bool = False
    """Whether the values are times of day."""
    decimal_mark: str | None = None
    """Decimal mark of numbers in text as people write them."""

    @property
    def missing(self) -> bool:
        """Whether the lake has nulls here, which then have a feature of their own."""
        return self.null_share > 0

    @property
    def nearly_unique(self) -> bool:
        """Whether nearly every value is different, among enough values to tell."""
        return self.n_valid >= 100 and self.distinct >= NEARLY_UNIQUE * self.n_valid

    def read_as(self, form: TextForm) -> SampledColumn:
        """Return the column of the numbers or times that its texts or numbers hold."""
        values = form.values
        return replace(
            self,
            values=values,
            null_share=max(self.null_share, values.null_count / max(1, len(values))),
            distinct=int(pc.count_distinct(values).as_py()),
            n_valid=len(values) - values.null_count,
            texts=self.values,
            format=form.format,
            clock=form.clock,
            decimal_mark=form.decimal_mark,
        )


def sampled(
    name: str, values: pa.Array, known_nulls: float | None, words: Words = NO_WORDS
) -> SampledColumn:
    """Count the values of a column; blank text and words for a missing value are null.

    Parameters
    ----------
    known_nulls
        Share of nulls in the whole lake, if it is known.
    """
    stored = plain(values)
    n_rows = max(1, len(stored))
    values, found = present_values(stored, words)
    became_null = (values.null_count - stored.null_count) / n_rows
    nulls = min(1.0, (known_nulls or stored.null_count / n_rows) + became_null)
    usable = family(values.type) not in {"other", "null"}
    distinct = int(pc.count_distinct(values).as_py()) if usable else 0
    n_valid = len(values) - values.null_count
    return SampledColumn(
        name, values, nulls, distinct, n_valid, words=words, found=found, found_share=became_null
    )


def present_values(values: pa.Array, words: Words) -> tuple[pa.Array, tuple[str, ...]]:
    """Return values with null for those that stand for nothing, and these as they are written."""
    kind = family(values.type)
    if kind == "text":
        found = pc.ascii_trim_whitespace(values.drop_null()).unique()
        found = found.filter(is_missing(found, words.all))
        return without_missing(values, words.all), tuple(sorted(found.to_pylist()))
    of_words = missing_moments if kind == "time" else missing_numbers
    marks = pa.array(of_words(words.named))
    if kind not in {"integer", "real", "time"} or not len(marks):
        return values, ()
    numbers = pa.array(epoch_seconds(values) if kind == "time" else floats(values))
    is_mark = pc.is_in(numbers, value_set=marks)
    found = values.filter(is_mark).unique().cast(pa.string()).to_pylist()
    return (pc.if_else(is_mark, None, values) if found else values), tuple(sorted(found))


def number(column: SampledColumn) -> Numeric:
    """Describe a column of numbers, or of durations, by location and scale of its finite values."""
    is_duration = family(column.values.type) == "duration"
    values = span_seconds(column.values) if is_duration else floats(column.values)
    finite = values[np.isfinite(values)]
    center, scale = location_and_scale(finite)
    missing = column.missing or len(finite) < len(values)
    fields: dict[str, object] = {"duration": True} if is_duration else _how_read(column)
    fields |= {} if column.decimal_mark is None else {"decimal_mark": column.decimal_mark}
    return Numeric.model_validate(
        {"name": column.name, "center": center, "scale": scale, "missing": missing} | fields
    )


def values_of(use: Column, values: pa.Array) -> pa.Array:
    """Return the values of a column, those of text as the encoder reads them.

    Texts of a number or a time become float64, as times and durations in other forms do, and values
    that stand for a missing one null.
    """
    values = plain(values)
    match use:
        case Spline() | Bins():
            return values_of(use.number, values)
        case Numeric() if use.duration:
            seconds = span_seconds(values)
            return pa.array(seconds, mask=np.isnan(seconds))
        case Numeric() if is_text(values):
            return numbers_in_text(values, use.missing_texts, "", use.decimal_mark)
        case Numeric():
            return without_numbers(values, missing_numbers(tuple(use.missing_texts)))
        case Time() if use.format is not None or use.clock or is_text(values) or use.missing_texts:
            found = moments(use, values)
            return pa.array(found.seconds, mask=found.is_null)
        case OneHot() | Hashed() if is_text(values) and use.blank_is_null:
            return without_missing(values, use.missing_texts)
        case OneHot() | Hashed():
            return without_numbers(values, missing_numbers(tuple(use.missing_texts)))
    return values


def numbers_of(use: Numeric, values: pa.Array) -> FloatArray:
    """Return the values of a column of numbers as the encoder reads them, null as NaN."""
    return floats(values_of(use, values))


def time(column: SampledColumn, zone: str | None = None) -> Time:
    """Describe a column of dates or timestamps, with the cycles that the sample spans.

    Parameters
    ----------
    zone
        Zone whose clocks the cycles follow; None for those of UTC, or of values without a zone.
    """
    fields: dict[str, object] = {"name": column.name, "missing": column.missing, "zone": zone}
    fields |= _how_read(column)
    if column.format is not None:
        fields["format"] = column.format
    if column.clock:
        # A time of day has no trend, so its center and scale are not used.
        fields |= {"center": 0.0, "scale": 1.0, "parts": ["hour"], "clock": True}
        return Time.model_validate(fields)
    is_read = column.texts is not None
    seconds = floats(column.values) if is_read else epoch_seconds(column.values)
    seconds = seconds[np.isfinite(seconds)]
    center, scale = location_and_scale(seconds)
    span = float(np.ptp(seconds)) if len(seconds) else 0.0
    parts = ["trend"]
    has_zone = is_read or shown_zone(column.values.type) is not None
    clock = local_seconds(seconds, zone) if zone is not None and has_zone else seconds
    if not pa.types.is_date(column.values.type) and np.any(clock % DAY):
        parts.append("hour")
    if span >= 7 * DAY:
        parts.append("weekday")
    if span >= 365 * DAY:
        parts.append("year")
    return Time.model_validate(fields | {"center": center, "scale": scale, "parts": parts})


def _how_read(column: SampledColumn) -> dict[str, object]:
    """Return whether texts are read, and the words for a missing value that may occur."""
    if column.texts is not None and is_text(column.texts):
        return {"text": True, "missing_texts": list(column.words.all)}
    kind = family((column.values if column.texts is None else column.texts).type)
    named = column.words.named
    marks = missing_moments(named) if kind == "time" else missing_numbers(named)
    return {"missing_texts": list(named)} if len(marks) else {}


def category(column: SampledColumn, why: str, *, any_type: bool = False) -> tuple[Column, str]:
    """Describe a category, one-hot or hashed by its number of levels.

    Parameters
    ----------
    why
        Reason to use the column as a category.
    any_type
        Whether some files may store the levels as text and others as numbers.

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
    any_type = any_type and kind != "bool"
    is_text_read = kind == "text" or any_type
    fields |= {"whole": kind == "integer" or any_type, "blank_is_null": is_text_read}
    fields |= {"text": True} if any_type else {}
    if is_text_read:
        fields["missing_texts"] = list(column.words.all)
    elif kind == "integer" and len(missing_numbers(column.words.named)):
        fields["missing_texts"] = list(column.words.named)
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
