"""Read dates and times that texts hold in a given format, with the directives of `strptime`.

A format becomes an array of numbers, one for each directive or character, which a compiled loop
follows over the bytes of each text. Names of months and days are English.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.arrays import empty
from onepass.block import FloatArray, IntArray
from onepass.encode.time_digits import (
    days_since_1970,
    digits,
    is_blank,
    month_length,
    zone_offset,
)
from onepass.jit import compiled, inlined_as_written

_LITERAL, _BLANKS = 256, 512
"""A character is its byte and `_LITERAL`; blanks stand for any number of blanks."""

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip
_NAMES = np.zeros((12, 9), np.uint8)
_LENGTHS = np.array([len(name) for name in _MONTHS])
for _i, _name in enumerate(_MONTHS):
    _NAMES[_i, : len(_name)] = np.frombuffer(_name.encode(), np.uint8)


def written_seconds(
    offsets: NDArray[Any], data: NDArray[np.uint8], n_texts: int, form: str
) -> FloatArray:
    """Read dates and times in a format as seconds since 1970, NaN for any other text.

    Without a zone the clock of the text is taken as UTC. A time of day without a date is one of
    1970-01-01. Blanks around the text do not matter.

    Parameters
    ----------
    offsets
        Where each text begins in `data`, followed by the end of the last one.
    data
        UTF-8 bytes of all texts.
    form
        Format as `onepass.time_words.check_format` takes it.

    Returns
    -------
    Shape (n_texts,).
    """
    out = empty((n_texts,), np.float64)
    _read_all(offsets, data, _steps(form), _NAMES, _LENGTHS, out)
    return out


@cache
def _steps(form: str) -> IntArray:
    """Return the number of each directive or character of a format."""
    found: list[int] = []
    parts = iter(form.strip())
    for one in parts:
        if one == "%":
            letter = next(parts, "")
            found.append(_LITERAL + ord("%") if letter == "%" else ord(letter))
        elif one.isspace():
            found += [] if found and found[-1] == _BLANKS else [_BLANKS]
        else:
            found += [_LITERAL + byte for byte in one.encode()]
    return np.array(found, np.int64)


@compiled
def _read_all(
    offsets: NDArray[Any],
    data: NDArray[np.uint8],
    steps: IntArray,
    names: NDArray[np.uint8],
    lengths: IntArray,
    out: FloatArray,
) -> None:
    for i in range(len(out)):
        start, end = int(offsets[i]), int(offsets[i + 1])
        while start < end and is_blank(data[start]):
            start += 1
        while end > start and is_blank(data[end - 1]):
            end -= 1
        out[i] = _read(data, start, end, steps, names, lengths)


@inlined_as_written
def _read(
    data: NDArray[np.uint8],
    at: int,
    end: int,
    steps: IntArray,
    names: NDArray[np.uint8],
    lengths: IntArray,
) -> float:
    year, month, day, hour, minute, second = 1970, 1, 1, 0, 0, 0
    fraction, offset, half = 0.0, 0.0, -1
    for k in range(len(steps)):
        step = steps[k]
        if step == _BLANKS:
            before = at
            while at < end and is_blank(data[at]):
                at += 1
            if at == before:
                return np.nan
        elif step >= _LITERAL:
            if at >= end or data[at] != step - _LITERAL:
                return np.nan
            at += 1
        elif step == 89:  # Y
            year, at = digits(data, at, end, 4), at + 4
        elif step == 98 or step == 66:  # b, B
            month, at = _month(data, at, end, names, lengths, step == 66)
        elif step == 97 or step == 65:  # a, A
            before = at
            while at < end and 65 <= data[at] & 223 <= 90:
                at += 1
            if at - before < 3:
                return np.nan
        elif step == 102:  # f
            unit, before = 1.0, at
            while at < end and 48 <= data[at] <= 57 and at - before < 9:
                unit *= 10.0
                fraction = fraction * 10.0 + (data[at] - 48)
                at += 1
            if at == before:
                return np.nan
            fraction /= unit
        elif step == 112:  # p
            if at + 2 > end or data[at + 1] & 223 != 77:
                return np.nan
            half = 0 if data[at] & 223 == 65 else 1 if data[at] & 223 == 80 else -2
            at += 2
        elif step == 122 or step == 90:  # z, Z
            before = at
            while at < end and not is_blank(data[at]):
                at += 1
            offset = zone_offset(data, before, at)
            if at == before:
                return np.nan
        else:
            width = 2 if at + 1 < end and 48 <= data[at + 1] <= 57 else 1
            found, at = digits(data, at, end, width), at + width
            if found < 0:
                return np.nan
            if step == 121:  # y
                year = found + (1900 if found > 68 else 2000)
                found = 0 if width == 2 else -1
            elif step == 109:
                month = found
            elif step == 100:
                day = found
            elif step == 72:  # H
                hour = found
            elif step == 73:  # I
                hour, found = found % 12, found if 1 <= found <= 12 else -1
            elif step == 77:
                minute = found
            else:
                second = found
            if found < 0:
                return np.nan
    if at != end or year < 0 or half == -2 or not 1 <= month <= 12:
        return np.nan
    if not 1 <= day <= month_length(year, month):
        return np.nan
    if hour > 23 or minute > 59 or second > 60:
        return np.nan
    if half == 1 and hour < 12:
        hour += 12
    days = days_since_1970(year, month, day) * 86400.0
    return days + hour * 3600.0 + minute * 60.0 + second + fraction - offset


@inlined_as_written
def _month(
    data: NDArray[np.uint8],
    at: int,
    end: int,
    names: NDArray[np.uint8],
    lengths: IntArray,
    whole: bool,
) -> tuple[int, int]:
    """Return the number of a month by its name, 0 if it is none, and where the name ends."""
    for month in range(12):
        n = lengths[month] if whole else 3
        is_same = at + n <= end
        if is_same:
            for i in range(n):
                if data[at + i] | 32 != names[month, i]:
                    is_same = False
                    break
        if is_same:
            return month + 1, at + n
    return 0, at
