"""Compiled steps that turn a few values of a column into standardised numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray  # type: ignore[attr-defined]
from numpy.typing import NDArray

from pipeline.block import Float32Array
from pipeline.compiled import inlined_as_written, pointer

_LARGEST = np.finfo(np.float32).max


@inlined_as_written
def spread_bits(bits: NDArray[np.uint8], first: int, n: int, out: NDArray[np.uint8]) -> None:
    """Write `n` bits from the one with number `first` on, as 0 or 1 each."""
    i = 0
    while i < n and (first + i) & 7:
        out[i] = (bits[(first + i) >> 3] >> np.uint8((first + i) & 7)) & np.uint8(1)
        i += 1
    while i + 8 <= n:
        byte = bits[(first + i) >> 3]
        for k in range(8):
            out[i + k] = (byte >> np.uint8(k)) & np.uint8(1)
        i += 8
    while i < n:
        out[i] = (bits[(first + i) >> 3] >> np.uint8((first + i) & 7)) & np.uint8(1)
        i += 1


@inlined_as_written
def standardised(
    x: NDArray[Any],
    validity: int,
    first_bit: int,
    center: float,
    factor: float,
    has_mark: bool,
    valid: NDArray[np.uint8],
    out: Float32Array,
    mark: Float32Array,
) -> tuple[int, int]:
    """Write ``(x - center) * factor``, 0 for null, NaN and infinity, and which values these are.

    Parameters
    ----------
    x
        Values of a column.
    validity, first_bit
        Address of the bitmap of valid values, 0 where all are, and the bit of the first value.
    has_mark
        Whether 1 is written to `mark` where a value was imputed, and 0 elsewhere.
    valid
        To work with, as long as `x` at least.

    Returns
    -------
    Number of values that are no numbers though not null, and of nulls.
    """
    if validity == 0 and not has_mark:
        return _scaled(x, center, factor, out), 0
    if validity:
        bits = carray(pointer(validity), ((first_bit + len(x) + 7) // 8,), np.uint8)
        spread_bits(bits, first_bit, len(x), valid)
    else:
        valid[:] = 1
    return _imputed(x, center, factor, valid, out, mark, has_mark)


@inlined_as_written
def _scaled(
    x: NDArray[Any],
    center: float,
    factor: float,
    out: Float32Array,
) -> int:
    """Write standardised numbers, 0 for those that are none; return how many are none."""
    some = False
    for i in range(len(x)):
        v = (x[i] - center) * factor
        # NaN fails the comparison, so null, infinite and unrepresentable values are all imputed.
        usable = abs(v) <= _LARGEST
        some |= not usable
        out[i] = np.float32(v) if usable else np.float32(0.0)
    unusable = 0
    if some:
        for i in range(len(x)):
            unusable += not abs((x[i] - center) * factor) <= _LARGEST
    return unusable


@inlined_as_written
def _imputed(
    x: NDArray[Any],
    center: float,
    factor: float,
    valid: NDArray[np.uint8],
    out: Float32Array,
    mark: Float32Array,
    has_mark: bool,
) -> tuple[int, int]:
    """As `_scaled` where some may be null; return how many are none though not null, and nulls."""
    n_valid, n_usable = 0, 0
    for i in range(len(x)):
        v = (x[i] - center) * factor
        usable = (valid[i] != 0) & (abs(v) <= _LARGEST)
        n_valid += valid[i]
        n_usable += usable
        out[i] = np.float32(v) if usable else np.float32(0.0)
    if has_mark:
        # A value at the centre is 0 as well, so the mark needs the comparison anew.
        for i in range(len(x)):
            usable = (valid[i] != 0) & (abs((x[i] - center) * factor) <= _LARGEST)
            mark[i] = np.float32(0.0) if usable else np.float32(1.0)
    return n_valid - n_usable, len(x) - n_valid
