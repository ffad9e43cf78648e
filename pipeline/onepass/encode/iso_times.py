"""Read ISO 8601 dates and times from the bytes of texts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.arrays import empty
from onepass.block import FloatArray
from onepass.jit import compiled, inlined_as_written

_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])
"""Days of a year before each month, and all its days, in a year that is no leap year."""


def iso_seconds(offsets: NDArray[Any], data: NDArray[np.uint8], n_texts: int) -> FloatArray:
    """Read dates and times as seconds since 1970 (UTC), NaN for any other text.

    The forms are ``YYYY-MM``, ``YYYY-MM-DD``, and the latter with a time after ``T`` or blanks:
    ``HH:MM``, ``HH:MM:SS`` and ``HH:MM:SS.fraction``. A zone may follow the time: ``Z``, ``UTC``,
    ``+HH``, ``+HHMM`` or ``+HH:MM``. A time without a zone is read as UTC. Blanks around the text
    do not matter.

    Parameters
    ----------
    offsets
        Where each text begins in `data`, followed by the end of the last one.
    data
        UTF-8 bytes of all texts.

    Returns
    -------
    Shape (n_texts,).
    """
    out = empty((n_texts,), np.float64)
    _read_all(offsets, data, out)
    return out


@compiled
def _read_all(offsets: NDArray[Any], data: NDArray[np.uint8], out: FloatArray) -> None:
    for i in range(len(out)):
        start, end = int(offsets[i]), int(offsets[i + 1])
        while start < end and _is_blank(data[start]):
            start += 1
        while end > start and _is_blank(data[end - 1]):
            end -= 1
        out[i] = _read(data, start, end)


@inlined_as_written
def _read(data: NDArray[np.uint8], at: int, end: int) -> float:
    year = _digits(data, at, end, 4)
    if year < 0 or not _has(data, at + 4, end, 45):
        return np.nan
    month = _digits(data, at + 5, end, 2)
    if not 1 <= month <= 12:
        return np.nan
    at += 7
    if at == end:
        return _days(year, month, 1) * 86400.0
    day = _digits(data, at + 1, end, 2)
    if not _has(data, at, end, 45) or not 1 <= day <= _length(year, month):
        return np.nan
    at += 3
    days = _days(year, month, day) * 86400.0
    if at == end:
        return days
    if data[at] | 32 == 116:
        at += 1
    else:
        before = at
        while at < end and _is_blank(data[at]):
            at += 1
        if at == before:
            return np.nan
    return days + _time(data, at, end)


@inlined_as_written
def _time(data: NDArray[np.uint8], at: int, end: int) -> float:
    """Return the seconds since midnight in UTC, NaN if it is no time."""
    hour, minute, second, fraction = (
        _digits(data, at, end, 2),
        _digits(data, at + 3, end, 2),
        0,
        0.0,
    )
    if not 0 <= hour <= 24 or not 0 <= minute <= 59 or not _has(data, at + 2, end, 58):
        return np.nan
    at += 5
    if _has(data, at, end, 58):
        second = _digits(data, at + 1, end, 2)
        if not 0 <= second <= 60:
            return np.nan
        at += 3
        if _has(data, at, end, 46) or _has(data, at, end, 44):
            at += 1
            unit, first = 1.0, at
            while at < end and 48 <= data[at] <= 57:
                unit *= 10.0
                if unit <= 1e15:
                    fraction = fraction * 10.0 + (data[at] - 48)
                at += 1
            if at == first:
                return np.nan
            fraction /= min(unit, 1e15)
    if hour == 24 and (minute or second or fraction):
        return np.nan
    return hour * 3600.0 + minute * 60.0 + second + fraction - _zone(data, at, end)


@inlined_as_written
def _zone(data: NDArray[np.uint8], at: int, end: int) -> float:
    """Return by how many seconds the zone is ahead of UTC, NaN if it is no zone."""
    while at < end and _is_blank(data[at]):
        at += 1
    if at == end or (at + 1 == end and data[at] | 32 == 122):
        return 0.0
    if at + 3 == end and data[at] == 85 and data[at + 1] == 84 and data[at + 2] == 67:
        return 0.0
    sign = 1.0 if data[at] == 43 else -1.0
    if data[at] != 43 and data[at] != 45:
        return np.nan
    hours, at = _digits(data, at + 1, end, 2), at + 3
    minutes = 0
    if at < end:
        at += 1 if data[at] == 58 else 0
        minutes, at = _digits(data, at, end, 2), at + 2
    if at != end or not 0 <= hours <= 23 or not 0 <= minutes <= 59:
        return np.nan
    return sign * (hours * 3600.0 + minutes * 60.0)


@inlined_as_written
def _digits(data: NDArray[np.uint8], at: int, end: int, n: int) -> int:
    """Return the number of exactly `n` digits, -1 if they are not there."""
    if at + n > end:
        return -1
    found = 0
    for i in range(at, at + n):
        if not 48 <= data[i] <= 57:
            return -1
        found = found * 10 + int(data[i]) - 48
    return found


@inlined_as_written
def _has(data: NDArray[np.uint8], at: int, end: int, byte: int) -> bool:
    return at < end and data[at] == byte


@inlined_as_written
def _is_blank(byte: int) -> bool:
    return byte == 32 or 9 <= byte <= 13


@inlined_as_written
def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@inlined_as_written
def _length(year: int, month: int) -> int:
    leap_day = 1 if month == 2 and _is_leap(year) else 0
    return int(_DAYS_BEFORE[month] - _DAYS_BEFORE[month - 1]) + leap_day


@inlined_as_written
def _days(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01 in the Gregorian calendar, which also counts before it."""
    before = year - 1
    leaps = before // 4 - before // 100 + before // 400
    leap_day = 1 if month > 2 and _is_leap(year) else 0
    return 365 * before + leaps + int(_DAYS_BEFORE[month - 1]) + leap_day + day - 1 - 719162
