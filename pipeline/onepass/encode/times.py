"""Encode dates and timestamps as a trend and as cycles of the day, the week and the year."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.encode.columns import floats, plain
from onepass.encode.level_values import whole_texts
from onepass.encode.missing import missing_moments, missing_numbers, without_numbers
from onepass.encode.scalar_kinds import Time
from onepass.encode.schema import family
from onepass.encode.text_values import seconds_of, times_in_text
from onepass.encode.texts import is_text
from onepass.encode.zones import local_seconds
from onepass.time_words import EPOCHS

DAY = 86_400.0
"""Seconds of a day."""

_YEAR = 365.2425 * DAY

_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def epoch_seconds(values: pa.Array) -> FloatArray:
    """Return dates or timestamps as seconds since 1970 (UTC), null as NaN."""
    values = plain(values)
    # Each unit is converted as a float: Arrow's casts between units wrap around in the far future.
    if pa.types.is_timestamp(values.type):
        return floats(values.cast(pa.int64())) / _PER_SECOND[values.type.unit]
    if pa.types.is_date64(values.type):
        return floats(values.cast(pa.int64())) / _PER_SECOND["ms"]
    return floats(values.cast(pa.int32())) * DAY


def span_seconds(values: pa.Array) -> FloatArray:
    """Return durations, or times of day since midnight, in seconds, null as NaN."""
    values = plain(values)
    width = pa.int32() if pa.types.is_time32(values.type) else pa.int64()
    return floats(values.cast(width)) / _PER_SECOND[values.type.unit]


@dataclass(frozen=True, slots=True)
class Moments:
    """Values of a time column."""

    seconds: FloatArray
    """Seconds since 1970 (UTC), NaN for null and for what cannot be read."""
    is_null: NDArray[np.bool_]
    """Whether each value is null or stands for a missing one."""
    has_zone: bool
    """Whether the values are moments, which clocks of different zones show differently."""


def moments(column: Time, values: pa.Array) -> Moments:
    """Read the values of a time column, of any type that it can be read from."""
    has_zone = True
    if is_text(values):
        texts = times_in_text(values, column.missing_texts, column.name, column.format)
        seconds, is_null = seconds_of(texts)
    else:
        kind = family(values.type)
        if kind in {"integer", "real"}:
            seconds, is_null = _counted(column, values)
        else:
            seconds = span_seconds(values) if kind == "clock" else epoch_seconds(values)
            is_null = np.isnan(seconds)
            has_zone = shown_zone(values.type) is not None
    marks = missing_moments(tuple(column.missing_texts))
    if len(marks):
        is_mark = np.isin(seconds, marks)
        seconds, is_null = np.where(is_mark, np.nan, seconds), is_null | is_mark
    return Moments(seconds, is_null, has_zone and column.zone is not None)


def shown_zone(dtype: pa.DataType) -> str | None:
    """Return the zone of timestamps of a type, None if they have none."""
    if pa.types.is_dictionary(dtype):
        return shown_zone(dtype.value_type)
    return dtype.tz if pa.types.is_timestamp(dtype) else None


def _counted(column: Time, values: pa.Array) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Read numbers that count the time since 1970, or whose digits are a date."""
    values = without_numbers(plain(values), missing_numbers(tuple(column.missing_texts)))
    if (unit := EPOCHS.get(column.format or "")) is not None:
        found = floats(values)
        null = np.isnan(found)
        return np.where(np.isfinite(found), found, np.nan) / unit, null
    if family(values.type) == "real":
        values = whole_texts(values).dictionary_decode()
    return seconds_of(times_in_text(values.cast(pa.string()), (), "", column.format))


def time_features(column: Time, seconds: FloatArray, *, has_zone: bool = False) -> list[FloatArray]:
    """Return the features of a time column, each of shape (n_rows,), in the order of its names.

    Parameters
    ----------
    seconds
        Seconds since 1970 (UTC), without NaN.
    has_zone
        Whether these are moments, whose cycles follow the clocks of the column's zone.
    """
    local = seconds
    if has_zone and column.zone is not None and column.parts != ["trend"]:
        local = local_seconds(seconds, column.zone)
    found: list[FloatArray] = []
    for part in column.parts:
        if part == "trend":
            found.append((seconds - column.center) / column.scale)
        else:
            found += _cycle(part, local)
    return found


def _cycle(part: str, seconds: FloatArray) -> list[FloatArray]:
    match part:
        case "weekday":
            # 1970-01-01 was a Thursday. Monday is the reference and has no feature.
            weekday = (np.floor(seconds / DAY) + 3) % 7
            return [(weekday == day).astype(np.float64) for day in range(1, 7)]
        case cycle:
            angle = seconds * (2 * np.pi / (DAY if cycle == "hour" else _YEAR))
            return [np.sin(angle), np.cos(angle)]
