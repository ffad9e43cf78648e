"""Take lists and maps apart: where the elements of each row lie, and the elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import IntArray


@dataclass(frozen=True, slots=True)
class Lists:
    """The elements of a column of lists or maps."""

    begin: IntArray
    """Place of the first element of each row, shape (n_rows,)."""
    length: IntArray
    """Number of elements of each row; 0 for a null row."""
    is_null: NDArray[np.bool_]
    """Whether each row is null."""
    first: int
    """Place in the array of elements to which `begin` counts."""
    n_elements: int
    """Number of elements from there to the last one of these rows."""

    def of(self, elements: pa.Array) -> pa.Array:
        """Return the elements of these rows, as a view; null rows may have some in between."""
        return elements.slice(self.first, self.n_elements)


def lists_of(values: pa.Array) -> Lists:
    """Return the places of the elements of a column; its `elements` are not copied.

    Parameters
    ----------
    values
        Lists of any of Arrow's types, or maps.
    """
    is_null = np.zeros(len(values), np.bool_)
    if values.null_count:
        is_null = values.is_null().to_numpy(zero_copy_only=False)
    begin, length = _places(values)
    # The elements behind a null row mean nothing.
    length = np.where(is_null, 0, length)
    has = np.flatnonzero(length)
    first = int(begin[has].min()) if len(has) else 0
    end = int((begin + length)[has].max()) if len(has) else 0
    return Lists(np.where(length > 0, begin - first, 0), length, is_null, first, end - first)


def as_lists(values: pa.Array) -> pa.Array:
    """Return values without a type of their own, all of which are null, as null lists."""
    return pa.nulls(len(values), pa.list_(pa.null())) if pa.types.is_null(values.type) else values


def _places(values: pa.Array) -> tuple[IntArray, IntArray]:
    """Return the first element and the number of elements of each row."""
    dtype = values.type
    if pa.types.is_fixed_size_list(dtype):
        length = np.full(len(values), dtype.list_size, np.int64)
        return (np.arange(len(values)) + values.offset) * dtype.list_size, length
    if pa.types.is_list_view(dtype) or pa.types.is_large_list_view(dtype):
        return values.offsets.to_numpy().astype(np.int64), values.sizes.to_numpy().astype(np.int64)
    if not len(values):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    offsets = values.offsets.to_numpy().astype(np.int64)
    return offsets[:-1], np.diff(offsets)
