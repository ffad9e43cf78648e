"""Add features up to the margins of a linear model, column by column.

No row is ever put together, which is faster than filling a block: nothing is transposed, and the
slots of one column are looked up together. The order of summation depends only on the types of the
columns and on which of them are folders. So equal rows have bitwise equal margins in files of the
same types, and margins equal up to rounding in others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import carray  # type: ignore[attr-defined]
from numpy.typing import NDArray

from onepass.arrays import empty
from onepass.block import (
    Entries,
    Float32Array,
    FloatArray,
    IntArray,
    Linear,
    RealArray,
    SlotArray,
)
from onepass.encode.write.addresses import numbers_of, tables_of, validity_of, values_of
from onepass.encode.write.matrices import Vectors, add_matrix
from onepass.encode.write.sink import Scaled
from onepass.encode.write.standardise import imputed, spread_bits, standardised
from onepass.intrinsics import pointer, prefetch
from onepass.jit import compiled

_TILE = 256
"""Rows that are worked on together: their margins stay in the first-level cache for all columns."""


class Margins:
    """A `Sink` that adds features up to margins.

    Parameters
    ----------
    linear
        Weights of the model.
    n_rows
        Number of rows that will be written.
    """

    def __init__(self, linear: Linear, n_rows: int) -> None:
        self._linear, self._n_rows = linear, n_rows
        self._margins = empty((len(linear.intercept), n_rows), np.float64)
        self._margins[:] = linear.intercept[:, None]

    @property
    def margins(self) -> FloatArray:
        """See `Sink.margins`."""
        return self._margins

    def features(self) -> tuple[Float32Array, SlotArray]:
        """See `Sink.features`."""
        return np.empty((self._n_rows, 0), np.float32), np.empty((self._n_rows, 0), np.int32)

    def sparse(self) -> Entries | None:
        """See `Sink.sparse`."""
        return None

    def numbers(
        self, arrays: list[pa.Array], scaled: Scaled, start: int
    ) -> tuple[IntArray, IntArray]:
        """See `Sink.numbers`."""
        unusable, nulls = np.zeros((2, len(arrays)), np.int64)
        add_numbers(
            *numbers_of(arrays),
            scaled.center,
            scaled.factor,
            scaled.feature,
            scaled.mark,
            self._linear.dense,
            self._margins,
            start,
            len(arrays[0]),
            unusable,
            nulls,
        )
        return unusable, nulls

    def levels(
        self, codes: NDArray[np.int32], feature_of: IntArray, first: int, width: int, start: int
    ) -> None:
        """See `Sink.levels`."""
        # A weight of 0 comes last, where the index -1 of "no feature" points.
        no_feature = np.zeros((len(self._margins), 1))
        weights = np.append(self._linear.dense[:, first : first + width], no_feature, axis=1)
        add_levels(codes, weights[:, feature_of], self._margins, start)

    def slots(self, codes: list[pa.Array], slot_of: list[SlotArray | None], start: int) -> None:
        """See `Sink.slots`."""
        add_slots(
            values_of(codes),
            *validity_of(codes),
            *tables_of(slot_of),
            self._linear.hashed,
            self._margins,
            start,
            len(codes[0]),
        )

    def vectors(self, vectors: Vectors, first: int, start: int) -> tuple[int, int]:
        """See `Sink.vectors`."""
        weights = np.ascontiguousarray(self._linear.dense[:, first : first + vectors.width])
        features = np.empty((_TILE, vectors.width), np.float32)
        rows, counts = np.arange(_TILE), np.zeros(2, np.int64)
        for at in range(0, len(vectors.begin), _TILE):
            tile = vectors.between(at, at + _TILE)
            n = len(tile.begin)
            counts += tile.write(rows[:n], features, 0)
            add_matrix(features[:n], weights, self._margins, start + at)
        return int(counts[0]), int(counts[1])

    def matrix(self, features: Float32Array, first: int, start: int) -> None:
        """See `Sink.matrix`."""
        own = self._linear.dense[:, first : first + features.shape[1]]
        add_matrix(features, np.ascontiguousarray(own), self._margins, start)

    def entries(
        self, lengths: IntArray, slots: SlotArray, values: Float32Array, start: int
    ) -> None:
        """See `Sink.entries`."""
        add_entries(
            np.ascontiguousarray(lengths, np.int64),
            np.ascontiguousarray(slots, np.int32),
            np.ascontiguousarray(values, np.float32),
            self._linear.hashed,
            self._margins,
            start,
        )

    def constant(self, features: Float32Array, first: int, start: int, n_rows: int) -> None:
        """See `Sink.constant`."""
        own = self._linear.dense[:, first : first + len(features)]
        self._margins[:, start : start + n_rows] += (own * features).sum(axis=1, keepdims=True)


@compiled
def add_numbers(
    like: NDArray[Any],
    values: IntArray,
    validity: IntArray,
    first_bit: IntArray,
    center: FloatArray,
    factor: FloatArray,
    column: IntArray,
    has_mark: NDArray[np.bool_],
    weights: FloatArray,
    margins: FloatArray,
    first_row: int,
    n_rows: int,
    unusable: IntArray,
    nulls: IntArray,
) -> None:
    """Add columns of numbers to the margins; see `Sink.numbers`.

    The arguments up to `first_bit` are those of `numbers_of`, and `column` is `Scaled.feature`.
    """
    per_line = 64 // like.itemsize
    valid = np.empty(_TILE, np.uint8)
    x, mark = np.empty(_TILE, np.float32), np.empty(_TILE, np.float32)
    for start in range(0, n_rows, _TILE):
        n = min(_TILE, n_rows - start)
        for c in range(len(values)):
            whole = carray(pointer(values[c]), (n_rows,), like.dtype)
            for ahead in range(start + n, min(n_rows, start + n + _TILE), per_line):
                prefetch(whole, np.uint64(ahead))
            values_of_tile = whole[start : start + n]
            if validity[c] == 0 and not has_mark[c]:
                unusable[c] += standardised(values_of_tile, center[c], factor[c], x)
            else:
                if validity[c]:
                    n_bytes = (first_bit[c] + n_rows + 7) // 8
                    bits = carray(pointer(validity[c]), (n_bytes,), np.uint8)
                    spread_bits(bits, first_bit[c] + start, n, valid)
                else:
                    valid[:] = 1
                bad, null = imputed(
                    values_of_tile, center[c], factor[c], valid, x, mark, has_mark[c]
                )
                unusable[c] += bad
                nulls[c] += null
            for o in range(len(margins)):
                out = margins[o, first_row + start : first_row + start + n]
                w = weights[o, column[c]]
                for i in range(n):
                    out[i] += w * x[i]
                if has_mark[c]:
                    w = weights[o, column[c] + 1]
                    for i in range(n):
                        out[i] += w * mark[i]


@compiled
def add_levels(
    codes: NDArray[np.int32], weight_of: FloatArray, margins: FloatArray, first_row: int
) -> None:
    """Add the weight of each row's code; `weight_of` has shape (n_outputs, n_codes)."""
    for o in range(len(margins)):
        for i in range(len(codes)):
            margins[o, first_row + i] += weight_of[o, codes[i]]


@compiled
def add_slots(
    codes: IntArray,
    validity: IntArray,
    first_bit: IntArray,
    tables: IntArray,
    lengths: IntArray,
    hashed: RealArray,
    margins: FloatArray,
    first_row: int,
    n_rows: int,
) -> None:
    """Add the weights of hashed columns to the margins; see `Sink.slots`.

    A table at address 0 means that the codes are slots.
    """
    valid, slot = np.empty(_TILE, np.uint8), np.empty(_TILE, np.uint32)
    for c in range(len(codes)):
        whole = carray(pointer(codes[c]), (n_rows,), np.int32)
        table = carray(pointer(tables[c]), (lengths[c],), np.int32)
        bits = carray(pointer(validity[c]), ((first_bit[c] + n_rows + 7) // 8,), np.uint8)
        null = np.uint32(lengths[c] - 1)
        for start in range(0, n_rows, _TILE):
            n = min(_TILE, n_rows - start)
            for i in range(n):
                slot[i] = np.uint32(whole[start + i])
            if validity[c]:
                spread_bits(bits, first_bit[c] + start, n, valid)
                for i in range(n):
                    slot[i] = slot[i] if valid[i] else null
            if tables[c]:
                for i in range(n):
                    slot[i] = np.uint32(table[slot[i]])
            for o in range(len(margins)):
                out = margins[o, first_row + start : first_row + start + n]
                for i in range(n):
                    out[i] += hashed[slot[i], o]


@compiled
def add_entries(
    lengths: IntArray,
    slots: SlotArray,
    values: Float32Array,
    hashed: RealArray,
    margins: FloatArray,
    first_row: int,
) -> None:
    """Add the weights of entries, times their values, to the margins; see `Sink.entries`."""
    k = 0
    for i in range(len(lengths)):
        for _ in range(lengths[i]):
            x = np.float64(values[k])
            for o in range(len(margins)):
                margins[o, first_row + i] += x * np.float64(hashed[slots[k], o])
            k += 1
