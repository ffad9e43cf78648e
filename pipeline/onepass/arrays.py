"""Allocate arrays from Arrow's memory pool, join rows to one Arrow batch, and look into types."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def empty(shape: tuple[int, ...], kind: type[Number]) -> NDArray[Number]:
    """Allocate an array from Arrow's memory pool, without setting its numbers.

    Arrow's pool keeps freed memory. numpy returns the memory of a large array to the operating
    system, which has to clear each page before it hands the page out again. For arrays that are
    made anew for every block the pool is faster.
    """
    n_numbers = 1
    for length in shape:
        n_numbers *= length
    buffer = pa.allocate_buffer(n_numbers * np.dtype(kind).itemsize)
    found: NDArray[Any] = np.frombuffer(buffer, kind)
    return found.reshape(shape)


def filled(n: int, value: float) -> NDArray[np.float64]:
    """Allocate an array of `n` equal numbers from Arrow's memory pool."""
    found = empty((n,), np.float64)
    found.fill(value)
    return found


def as_batch(rows: pa.Table | pa.RecordBatch) -> pa.RecordBatch:
    """Join the chunks of each column, so that rows form one contiguous batch.

    A column that has one chunk already is not copied. Access to a column of a batch is cheaper than
    to one of a table, which makes a new wrapper each time.
    """
    if isinstance(rows, pa.RecordBatch):
        return rows
    columns = [
        column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def has_codes(dtype: pa.DataType) -> bool:
    """Whether values of a type, or what is within them, are codes of a dictionary."""
    if pa.types.is_dictionary(dtype):
        return True
    return any(has_codes(dtype.field(i).type) for i in range(dtype.num_fields))


def without_codes(dtype: pa.DataType) -> pa.DataType:
    """Return the type of the same values with the distinct values in place of their codes."""
    if pa.types.is_dictionary(dtype):
        return without_codes(dtype.value_type)
    if pa.types.is_map(dtype):
        return pa.map_(without_codes(dtype.key_type), without_codes(dtype.item_type))
    if pa.types.is_fixed_size_list(dtype):
        return pa.list_(without_codes(dtype.value_type), dtype.list_size)
    if pa.types.is_list(dtype):
        return pa.list_(without_codes(dtype.value_type))
    if pa.types.is_large_list(dtype):
        return pa.large_list(without_codes(dtype.value_type))
    if pa.types.is_struct(dtype):
        return pa.struct([field.with_type(without_codes(field.type)) for field in dtype])
    return dtype
