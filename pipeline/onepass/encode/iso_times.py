"""Read ISO 8601 dates and times from the bytes of texts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.arrays import empty
from onepass.block import FloatArray
from onepass.encode.time_digits import (
    days_since_1970,
    digits,
    has,
    is_blank,
    month_length,
    zone_offset,
)
from onepass.jit import compiled, inlined_as_written


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
        while start < end and is_blank(data[start]):
            start += 1
        while end > start and is_blank(data[end - 1]):
            end -= 1
        out[i] = _read(data, start, end)


@inlined_as_written
def _read(data: NDArray[np.uint8], at: int, end: int) -> float:
    year = digits(data, at, end, 4)
    if year < 0 or not has(data, at + 4, end, 45):
        return np.nan
    month = digits(data, at + 5, end, 2)
    if not 1 <= month <= 12:
        return np.nan
    at += 7
    if at == end:
        return days_since_1970(year, month, 1) * 86400.0
    day = digits(data, at + 1, end, 2)
    if not has(data, at, end, 45) or not 1 <= day <= month_length(year, month):
        return np.nan
    at += 3
    days = days_since_1970(year, month, day) * 86400.0
    if at == end:
        return days
    if data[at] | 32 == 116:
        at += 1
    else:
        before = at
        while at < end and is_blank(data[at]):
            at += 1
        if at == before:
            return np.nan
    return days + _time(data, at, end)


@inlined_as_written
def _time(data: NDArray[np.uint8], at: int, end: int) -> float:
    """Return the seconds since midnight in UTC, NaN if it is no time."""
    hour, minute, second, fraction = (
        digits(data, at, end, 2),
        digits(data, at + 3, end, 2),
        0,
        0.0,
    )
    if not 0 <= hour <= 24 or not 0 <= minute <= 59 or not has(data, at + 2, end, 58):
        return np.nan
    at += 5
    if has(data, at, end, 58):
        second = digits(data, at + 1, end, 2)
        if not 0 <= second <= 60:
            return np.nan
        at += 3
        if has(data, at, end, 46) or has(data, at, end, 44):
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
    return hour * 3600.0 + minute * 60.0 + second + fraction - zone_offset(data, at, end)
