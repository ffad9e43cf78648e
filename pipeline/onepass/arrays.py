"""Memory for arrays that come and go with every block, and rows as one Arrow batch."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def empty(shape: tuple[int, ...], kind: type[Number]) -> NDArray[Number]:
    """Allocate an array from Arrow's memory pool; its numbers are not set.

    numpy returns the memory of a large array to the system, and the system fills each page with
    zeros when it hands the memory out again. Arrow's pool keeps it.
    """
    n_numbers = 1
    for length in shape:
        n_numbers *= length
    buffer = pa.allocate_buffer(n_numbers * np.dtype(kind).itemsize)
    found: NDArray[Any] = np.frombuffer(buffer, kind)
    return found.reshape(shape)


def filled(n: int, value: float) -> NDArray[np.float64]:
    """Allocate `n` equal numbers from Arrow's memory pool."""
    found = empty((n,), np.float64)
    found.fill(value)
    return found


def as_batch(rows: pa.Table | pa.RecordBatch) -> pa.RecordBatch:
    """Join the chunks of each column, so that rows form one contiguous batch.

    A column that already is one chunk is not copied. A batch hands out its columns as arrays,
    where a table wraps each column anew at every access.
    """
    if isinstance(rows, pa.RecordBatch):
        return rows
    columns = [
        column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)
