"""Compiled steps that standardise a few values of a column, and impute those that are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array
from onepass.jit import inlined, inlined_as_written

_LARGEST = np.finfo(np.float32).max
"""Largest magnitude of a feature: larger ones do not fit into float32."""


@inlined
def spread_bits(bits: NDArray[np.uint8], first: int, n: int, out: NDArray[np.uint8]) -> None:
    """Write `n` bits, beginning with bit number `first`, as one byte of 0 or 1 each."""
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
    """Write ``(x - center) * factor``, or 0 if unusable; return the number of unusable values.

    A value is unusable if it is NaN, infinite, or too large for float32 after scaling.
    """
    any_unusable = False
    for i in range(len(x)):
        v = (x[i] - center) * factor
        # NaN fails the comparison like values that are too large.
        usable = abs(v) <= _LARGEST
        any_unusable |= not usable
        out[i] = np.float32(v) if usable else np.float32(0.0)
    unusable = 0
    # Unusable values are rare, so they are counted apart and the loop above stays short.
    if any_unusable:
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
    """Standardise values some of which may be null; mark those that are null or unusable.

    Parameters
    ----------
    valid
        1 for each value that is not null, else 0.
    mark
        Set to 1 for imputed values and else to 0, if `has_mark`; unchanged otherwise.

    Returns
    -------
    Number of values that are unusable though not null, and number of nulls.
    """
    n_valid, n_usable = 0, 0
    for i in range(len(x)):
        v = (x[i] - center) * factor
        usable = (valid[i] != 0) & (abs(v) <= _LARGEST)
        n_valid += valid[i]
        n_usable += usable
        out[i] = np.float32(v) if usable else np.float32(0.0)
    if has_mark:
        # A value at the centre becomes 0 as well, so `out` does not tell which ones were imputed.
        for i in range(len(x)):
            usable = (valid[i] != 0) & (abs((x[i] - center) * factor) <= _LARGEST)
            mark[i] = np.float32(0.0) if usable else np.float32(1.0)
    return n_valid - n_usable, len(x) - n_valid
