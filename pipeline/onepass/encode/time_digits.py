"""Read the parts of a date or time from the bytes of a text: digits, zones, days of a month."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.jit import inlined_as_written

_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])
"""Days of a year before each month, and all its days, in a year that is no leap year."""


@inlined_as_written
def zone_offset(data: NDArray[np.uint8], at: int, end: int) -> float:
    """Return by how many seconds the zone is ahead of UTC, NaN if it is no zone."""
    while at < end and is_blank(data[at]):
        at += 1
    if at == end or (at + 1 == end and data[at] | 32 == 122):
        return 0.0
    if at + 3 == end and data[at] == 85 and data[at + 1] == 84 and data[at + 2] == 67:
        return 0.0
    sign = 1.0 if data[at] == 43 else -1.0
    if data[at] != 43 and data[at] != 45:
        return np.nan
    hours, at = digits(data, at + 1, end, 2), at + 3
    minutes = 0
    if at < end:
        at += 1 if data[at] == 58 else 0
        minutes, at = digits(data, at, end, 2), at + 2
    if at != end or not 0 <= hours <= 23 or not 0 <= minutes <= 59:
        return np.nan
    return sign * (hours * 3600.0 + minutes * 60.0)


@inlined_as_written
def digits(data: NDArray[np.uint8], at: int, end: int, n: int) -> int:
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
def has(data: NDArray[np.uint8], at: int, end: int, byte: int) -> bool:
    """Whether a text goes on with this byte."""
    return at < end and data[at] == byte


@inlined_as_written
def is_blank(byte: int) -> bool:
    """Whether a byte is a blank, a tab or an end of line."""
    return byte == 32 or 9 <= byte <= 13


@inlined_as_written
def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@inlined_as_written
def month_length(year: int, month: int) -> int:
    """Return the number of days of a month."""
    leap_day = 1 if month == 2 and _is_leap(year) else 0
    return int(_DAYS_BEFORE[month] - _DAYS_BEFORE[month - 1]) + leap_day


@inlined_as_written
def days_since_1970(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01 in the Gregorian calendar, which also counts before it."""
    before = year - 1
    leaps = before // 4 - before // 100 + before // 400
    leap_day = 1 if month > 2 and _is_leap(year) else 0
    return 365 * before + leaps + int(_DAYS_BEFORE[month - 1]) + leap_day + day - 1 - 719162
