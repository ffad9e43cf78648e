"""Pass Arrow columns to compiled loops as memory addresses, so that one call takes any number.

The caller must keep the arrays alive until the loop is done.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import IntArray, SlotArray


def values_of(arrays: list[pa.Array]) -> IntArray:
    """Return the address of each array's first value; all are of one type of fixed width."""
    width = arrays[0].type.bit_width // 8
    return np.array([_data(values, width) for values in arrays], np.int64)


def validity_of(arrays: list[pa.Array]) -> tuple[IntArray, IntArray]:
    """Return where the bitmap of valid values of each array begins.

    Returns
    -------
    Address of each bitmap, 0 if all values are valid, and the number of the first value's bit.
    """
    bitmaps = [values.buffers()[0] if values.null_count else None for values in arrays]
    addresses = [0 if bitmap is None else bitmap.address for bitmap in bitmaps]
    return np.array(addresses, np.int64), np.array([a.offset for a in arrays], np.int64)


def numbers_of(
    arrays: list[pa.Array],
) -> tuple[NDArray[np.generic], IntArray, IntArray, IntArray]:
    """Return all that a compiled loop needs to read columns of numbers of one type.

    Returns
    -------
    An empty array, which tells the loop the type, and the results of `values_of` and `validity_of`.
    """
    like = np.empty(0, arrays[0].type.to_pandas_dtype())
    return like, values_of(arrays), *validity_of(arrays)


def tables_of(tables: list[SlotArray | None]) -> tuple[IntArray, IntArray]:
    """Return address and length of each table, both 0 for None."""
    addresses = [0 if table is None else table.ctypes.data for table in tables]
    lengths = [0 if table is None else len(table) for table in tables]
    return np.array(addresses, np.int64), np.array(lengths, np.int64)


def _data(values: pa.Array, width: int) -> int:
    buffer = values.buffers()[1]
    return int(buffer.address) + values.offset * width if buffer is not None else 0
