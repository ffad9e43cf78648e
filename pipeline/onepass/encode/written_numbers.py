"""Read numbers as people write them: with groups of thousands, signs of currencies and of percent.

``1,234.50``, ``$1,234`` and ``12.5 %`` have a point as decimal mark, ``1.234,50 €`` a comma. Signs
are left out: 12.5 % is 12.5. Thousands may also be parted by blanks and apostrophes. The texts of a
column have one decimal mark, which its schema names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.arrays import empty
from onepass.block import FloatArray
from onepass.encode.texts import characters
from onepass.encode.time_digits import is_blank
from onepass.jit import compiled, inlined_as_written

MARKS = (".", ",")
"""Decimal marks."""


def written_numbers(texts: pa.Array, mark: str) -> FloatArray:
    """Return the numbers that texts hold, NaN for null and any other text, shape (len(texts),).

    Parameters
    ----------
    texts
        Text, not of a dictionary.
    mark
        One of the `MARKS`; the other one may stand between thousands.
    """
    out = empty((len(texts),), np.float64)
    offsets, data = characters(texts)
    other = MARKS[1 - MARKS.index(mark)]
    _read_all(offsets, data, ord(mark), ord(other), out)
    if texts.null_count:
        out[texts.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return out


@compiled
def _read_all(
    offsets: NDArray[Any], data: NDArray[np.uint8], mark: int, other: int, out: FloatArray
) -> None:
    for i in range(len(out)):
        start, end = int(offsets[i]), int(offsets[i + 1])
        while start < end and is_blank(data[start]):
            start += 1
        while end > start and is_blank(data[end - 1]):
            end -= 1
        out[i] = _read(data, start, end, mark, other)


@inlined_as_written
def _read(data: NDArray[np.uint8], at: int, end: int, mark: int, other: int) -> float:
    signed, negative = False, False
    if at < end and (data[at] == 43 or data[at] == 45):
        signed, negative, at = True, data[at] == 45, at + 1
    length = _sign(data, at, end)
    at += length
    at += _gap(data, at, end)
    # A minus may stand behind the sign of the currency.
    if length and not signed and at < end and (data[at] == 43 or data[at] == 45):
        negative, at = data[at] == 45, at + 1
    first, value, shift = at, 0.0, 1.0
    while at < end and 48 <= data[at] <= 57:
        value, at = value * 10.0 + (data[at] - 48), at + 1
    if at == first:
        return np.nan
    if at - first <= 3 and data[first] != 48:
        while True:
            length = 1 if at < end and data[at] in (other, 39) else _gap(data, at, end)
            if not length or not _are_three_digits(data, at + length, end):
                break
            for k in range(3):
                value = value * 10.0 + (data[at + length + k] - 48)
            at += length + 3
    if at < end and data[at] == mark:
        at += 1
        first = at
        while at < end and 48 <= data[at] <= 57:
            value, shift, at = value * 10.0 + (data[at] - 48), shift * 10.0, at + 1
        if at == first:
            return np.nan
    at += _gap(data, at, end)
    at += _sign(data, at, end)
    # Both numbers are exact for up to 15 digits, so that their ratio is rounded once.
    return np.nan if at != end else -value / shift if negative else value / shift


@inlined_as_written
def _are_three_digits(data: NDArray[np.uint8], at: int, end: int) -> bool:
    """Whether exactly three digits follow."""
    if at + 3 > end or (at + 3 < end and 48 <= data[at + 3] <= 57):
        return False
    one, two, three = data[at], data[at + 1], data[at + 2]
    return bool(48 <= one <= 57 and 48 <= two <= 57 and 48 <= three <= 57)


@inlined_as_written
def _sign(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Return the number of bytes of a sign of a currency ($, €, £, ¥) or of percent."""
    if at < end and (data[at] == 36 or data[at] == 37):
        return 1
    if at + 1 < end and data[at] == 0xC2 and (data[at + 1] == 0xA3 or data[at + 1] == 0xA5):
        return 2
    if at + 2 < end and data[at] == 0xE2 and data[at + 1] == 0x82 and data[at + 2] == 0xAC:
        return 3
    return 0


@inlined_as_written
def _gap(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Return the number of bytes of a blank, a no-break space or a narrow one."""
    if at < end and data[at] == 32:
        return 1
    if at + 1 < end and data[at] == 0xC2 and data[at + 1] == 0xA0:
        return 2
    if at + 2 < end and data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == 0xAF:
        return 3
    return 0
