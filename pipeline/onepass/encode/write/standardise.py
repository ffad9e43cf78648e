"""Compiled steps that turn a few values of a column into standardised numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array
from onepass.jit import inlined, inlined_as_written

_LARGEST = np.finfo(np.float32).max


@inlined
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
def imputed(
    x: NDArray[Any],
    center: float,
    factor: float,
    valid: NDArray[np.uint8],
    out: Float32Array,
    mark: Float32Array,
    has_mark: bool,
) -> tuple[int, int]:
    """As `standardised` where some may be null; return how many are no numbers, and the nulls."""
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
