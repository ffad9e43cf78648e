"""Compiled loops that write columns into the rows of a block, in any order of rows.

Arrow stores the values of a column contiguously and a block those of a row, so these loops
transpose. They work on tiles of rows that stay in the first-level cache. Columns are passed as
addresses of values and of bitmaps, see `onepass.encode.write.addresses`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray  # type: ignore[attr-defined]
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, IntArray, SlotArray
from onepass.encode.write.standardise import imputed, spread_bits, standardised
from onepass.intrinsics import pointer, prefetch, store_square
from onepass.jit import compiled, inlined

_TILE = 128
"""Rows that are transposed together."""

_PER_LINE = 16
"""Numbers of 4 bytes in a cache line."""


@compiled
def invert(order: IntArray, place: IntArray) -> None:
    """Write the inverse of a permutation to `place`."""
    for i in range(len(order)):
        place[order[i]] = i


@compiled
def scatter(values: FloatArray, rows: IntArray, out: FloatArray) -> int:
    """Write value i to place ``rows[i]``; return how many are NaN."""
    missing = 0
    for i in range(len(rows)):
        out[rows[i]] = values[i]
        missing += values[i] != values[i]
    return missing


@inlined
def _scatter(
    tile: Float32Array, place: IntArray, rows: IntArray, flat: Float32Array, width: np.uint64
) -> None:
    """Write the features of a tile into the rows of a block.

    Parameters
    ----------
    tile
        Values, shape (n_features, _TILE), of which the first ``len(rows)`` of each feature are set.
    place
        Column of the block that each feature is written to.
    rows
        Row of the block that each value is written to.
    flat
        The block as a flat array.
    width
        Length of a row of the block.
    """
    n, n_features = len(rows), len(place)
    flat_tile = tile.reshape(tile.size)
    # The rows of a shuffled block lie far apart, so request all their cache lines beforehand.
    for i in range(n):
        start = np.uint64(rows[i]) * width
        for line in range(np.uint64(0), width, np.uint64(_PER_LINE)):
            prefetch(flat, start + line)
        prefetch(flat, start + width - np.uint64(1))
    f = 0
    while f < n_features:
        at, i = np.uint64(place[f]), 0
        # Four neighbouring features of four rows are transposed in vector registers.
        if f + 3 < n_features and place[f + 3] == place[f] + 3:
            while i + 3 < n:
                store_square(
                    flat,
                    np.uint64(rows[i]) * width + at,
                    np.uint64(rows[i + 1]) * width + at,
                    np.uint64(rows[i + 2]) * width + at,
                    np.uint64(rows[i + 3]) * width + at,
                    flat_tile,
                    np.uint64(f * _TILE + i),
                    np.uint64(_TILE),
                )
                i += 4
            while i < n:
                spot = np.uint64(rows[i]) * width + at
                for g in range(4):
                    flat[spot + np.uint64(g)] = tile[f + g, i]
                i += 1
            f += 4
            continue
        while i < n:
            flat[np.uint64(rows[i]) * width + at] = tile[f, i]
            i += 1
        f += 1


@compiled
def transpose_numbers(
    like: NDArray[Any],
    values: IntArray,
    validity: IntArray,
    first_bit: IntArray,
    center: FloatArray,
    factor: FloatArray,
    column: IntArray,
    has_mark: NDArray[np.bool_],
    rows: IntArray,
    dense: Float32Array,
    unusable: IntArray,
    nulls: IntArray,
) -> None:
    """Write columns of numbers; see `onepass.encode.write.sink.Sink.numbers`.

    The arguments up to `first_bit` are those of `numbers_of`, and `column` is `Scaled.feature`.
    """
    n_rows, n_features = len(rows), len(values) + has_mark.sum()
    flat = dense.reshape(dense.size)
    width = np.uint64(dense.shape[1])
    tile = np.empty((n_features, _TILE), np.float32)
    per_line = 64 // like.itemsize
    valid = np.empty(_TILE, np.uint8)
    place = np.empty(n_features, np.int64)
    for start in range(0, n_rows, _TILE):
        stop = min(n_rows, start + _TILE)
        f = 0
        for c in range(len(values)):
            whole = carray(pointer(values[c]), (n_rows,), like.dtype)
            for ahead in range(stop, min(n_rows, stop + _TILE), per_line):
                prefetch(whole, np.uint64(ahead))
            x = whole[start:stop]
            place[f] = column[c]
            if validity[c] == 0 and not has_mark[c]:
                unusable[c] += standardised(x, center[c], factor[c], tile[f])
                f += 1
                continue
            if validity[c]:
                n_bytes = (first_bit[c] + n_rows + 7) // 8
                bits = carray(pointer(validity[c]), (n_bytes,), np.uint8)
                spread_bits(bits, first_bit[c] + start, stop - start, valid)
            else:
                valid[:] = 1
            mark = tile[min(f + 1, n_features - 1)]
            bad, null = imputed(x, center[c], factor[c], valid, tile[f], mark, has_mark[c])
            unusable[c] += bad
            nulls[c] += null
            f += 1
            if has_mark[c]:
                place[f] = column[c] + 1
                f += 1
        _scatter(tile, place, rows[start:stop], flat, width)


@compiled
def transpose_slots(
    codes: IntArray,
    validity: IntArray,
    first_bit: IntArray,
    tables: IntArray,
    lengths: IntArray,
    column: IntArray,
    rows: IntArray,
    slots: SlotArray,
) -> None:
    """Write hashed columns; see `onepass.encode.write.sink.Sink.slots`.

    A table at address 0 means that the codes are slots.
    """
    n_rows, n_columns = len(rows), len(codes)
    # The bits of slots are moved as if they were floats, so that `_scatter` serves both.
    flat = slots.reshape(slots.size).view(np.float32)
    width = np.uint64(slots.shape[1])
    tile = np.empty((n_columns, _TILE), np.int32)
    valid = np.empty(_TILE, np.uint8)
    for start in range(0, n_rows, _TILE):
        n = min(_TILE, n_rows - start)
        for c in range(n_columns):
            whole = carray(pointer(codes[c]), (n_rows,), np.int32)
            for ahead in range(start + n, min(n_rows, start + n + _TILE), _PER_LINE):
                prefetch(whole, np.uint64(ahead))
            code = whole[start : start + n]
            if tables[c] == 0:
                tile[c, :n] = code
                continue
            table = carray(pointer(tables[c]), (lengths[c],), np.int32)
            if validity[c] == 0:
                for i in range(n):
                    tile[c, i] = table[np.uint32(code[i])]
                continue
            n_bytes = (first_bit[c] + n_rows + 7) // 8
            bits = carray(pointer(validity[c]), (n_bytes,), np.uint8)
            spread_bits(bits, first_bit[c] + start, n, valid)
            null = np.uint32(lengths[c] - 1)
            for i in range(n):
                tile[c, i] = table[np.uint32(code[i]) if valid[i] else null]
        _scatter(tile.view(np.float32), column, rows[start : start + n], flat, width)


@compiled
def spread_levels(
    codes: NDArray[np.int32], feature_of: IntArray, rows: IntArray, out: Float32Array
) -> None:
    """Write a category; see `onepass.encode.write.sink.Sink.levels`.

    `out` is the part of the block that holds the features of the category.
    """
    for i in range(len(rows)):
        row = out[rows[i]]
        for j in range(out.shape[1]):
            row[j] = 0.0
        feature = feature_of[codes[i]]
        if feature >= 0:
            row[feature] = 1.0
