"""Arrow columns as compiled loops take them: by addresses, so that one call takes them all.

Whoever calls keeps the arrays alive until the loop is done.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import IntArray, SlotArray


def values_of(arrays: list[pa.Array]) -> IntArray:
    """Address of the first value of each array; all are of one type of fixed width."""
    width = arrays[0].type.bit_width // 8
    return np.array([_data(values, width) for values in arrays], np.int64)


def validity_of(arrays: list[pa.Array]) -> tuple[IntArray, IntArray]:
    """Address of each bitmap of valid values, 0 where all are; and the bit that it starts at."""
    bitmaps = [values.buffers()[0] if values.null_count else None for values in arrays]
    addresses = [0 if bitmap is None else bitmap.address for bitmap in bitmaps]
    return np.array(addresses, np.int64), np.array([a.offset for a in arrays], np.int64)


def numbers_of(
    arrays: list[pa.Array],
) -> tuple[NDArray[np.generic], IntArray, IntArray, IntArray]:
    """An empty array of their type, and addresses as `values_of` and `validity_of` give them."""
    like = np.empty(0, arrays[0].type.to_pandas_dtype())
    return like, values_of(arrays), *validity_of(arrays)


def tables_of(tables: list[SlotArray | None]) -> tuple[IntArray, IntArray]:
    """Address and length of each table; 0 where there is none."""
    addresses = [0 if table is None else table.ctypes.data for table in tables]
    lengths = [0 if table is None else len(table) for table in tables]
    return np.array(addresses, np.int64), np.array(lengths, np.int64)


def _data(values: pa.Array, width: int) -> int:
    buffer = values.buffers()[1]
    return int(buffer.address) + values.offset * width if buffer is not None else 0
