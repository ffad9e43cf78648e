"""Clip numbers to the bounds of their column, or read them as logarithms, before they are scaled.

Columns that are curbed are converted to float64 here, apart from the loops that scale all columns.
So blocks and margins are made of the same bits, and columns without a heavy tail cost nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.arrays import empty
from onepass.block import FloatArray
from onepass.encode.scalar_kinds import Numeric
from onepass.jit import compiled

_LARGEST = np.finfo(np.float64).max


def curbed(values: pa.Array, column: Numeric) -> tuple[pa.Array, int]:
    """Clip values and take their logarithm, as the column says; null and non-finite ones stay.

    Parameters
    ----------
    values
        Numbers of one of the `PLAIN_TYPES`.

    Returns
    -------
    The values as float64, and how many of them lay outside of the bounds.
    """
    if not len(values):
        return pa.array([], pa.float64()), 0
    bitmap, numbers = values.buffers()
    plain = pa.Array.from_buffers(
        values.type, len(values), [None, numbers], null_count=0, offset=values.offset
    )
    if not values.null_count:
        found, n_clipped = _curbed(plain.to_numpy(), np.empty(0, np.bool_), column)
        data = pa.py_buffer(found)
        return pa.Array.from_buffers(pa.float64(), len(values), [None, data]), n_clipped
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    found, n_clipped = _curbed(plain.to_numpy(), valid, column)
    # The bits of a slice may begin within a byte, and the numbers as far behind their beginning.
    offset = values.offset % 8
    longer = empty((offset + len(found),), np.float64)
    longer[offset:] = found
    buffers = [bitmap.slice(values.offset // 8), pa.py_buffer(longer)]
    return pa.Array.from_buffers(pa.float64(), len(values), buffers, offset=offset), n_clipped


def curbed_numbers(values: FloatArray, column: Numeric) -> FloatArray:
    """Clip numbers and take their logarithm, as the column says; non-finite ones stay."""
    return _curbed(values, np.empty(0, np.bool_), column)[0]


def _curbed(
    values: NDArray[Any], valid: NDArray[np.bool_], column: Numeric
) -> tuple[FloatArray, int]:
    found = empty((len(values),), np.float64)
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    n_clipped = _clip(values, valid, low, high, found)
    if column.log_unit is not None:
        _take_log(found, column.log_unit)
    return found, int(n_clipped)


@compiled
def _clip(
    x: NDArray[Any], valid: NDArray[np.bool_], low: float, high: float, out: FloatArray
) -> np.int64:
    """Write the clipped values; return how many changed, those beneath nulls apart."""
    clipped = np.int64(0)
    for i in range(len(x)):
        v = np.float64(x[i])
        inside = low if v < low else high if v > high else v
        finite = abs(v) <= _LARGEST
        clipped += finite & (inside != v)
        out[i] = inside if finite else v
    # The numbers beneath nulls are arbitrary.
    for i in range(len(valid)):
        if not valid[i]:
            v = np.float64(x[i])
            clipped -= (abs(v) <= _LARGEST) & ((v < low) | (v > high))
    return clipped


@compiled
def _take_log(x: FloatArray, unit: float) -> None:
    """Replace x by sign(x) log(1 + |x| / unit)."""
    for i in range(len(x)):
        x[i] = np.copysign(np.log1p(abs(x[i]) / unit), x[i])
