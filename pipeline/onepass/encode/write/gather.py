"""Gather the entries of rows, which come column by column, to compressed sparse rows."""

from __future__ import annotations

import numpy as np

from onepass.arrays import empty
from onepass.block import Entries, Float32Array, IntArray, SlotArray
from onepass.jit import compiled


class SparseRows:
    """Entries of the rows of a block, in any order of rows.

    Until it is gathered, an entry takes 8 bytes; then 16, until this object is gone.

    Parameters
    ----------
    n_rows
        Number of rows of the block.
    """

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows
        self._pieces: list[tuple[IntArray, IntArray, SlotArray, Float32Array]] = []

    def add(
        self, rows: IntArray, lengths: IntArray, slots: SlotArray, values: Float32Array
    ) -> None:
        """Add entries of one column.

        Parameters
        ----------
        rows
            Row of the block of each row of the column, shape (n_rows,).
        lengths, slots, values
            See `onepass.encode.write.sink.Sink.entries`.
        """
        if len(lengths) != len(rows) or not lengths.sum() == len(slots) == len(values):
            raise ValueError(
                f"{len(lengths)} lengths of {len(rows)} rows, which add up to {lengths.sum()}; "
                f"{len(slots)} slots and {len(values)} values"
            )
        lengths = np.ascontiguousarray(lengths, np.int64)
        slots, values = np.ascontiguousarray(slots, np.int32), np.ascontiguousarray(values, "f4")
        self._pieces.append((rows, lengths, slots, values))

    def gathered(self) -> Entries:
        """Return the entries of each row, in the order in which its columns were added.

        Values of the same slot are summed, where it comes first.
        """
        start = np.zeros(self._n_rows + 1, np.int64)
        for rows, lengths, _, _ in self._pieces:
            _count(rows, lengths, start[1:])
        np.cumsum(start, out=start)
        slot, value = empty((start[-1],), np.int32), empty((start[-1],), np.float32)
        cursor = start[:-1].copy()
        for piece in self._pieces:
            _fill(*piece, cursor, slot, value)
        n = _sum_up(start, slot, value)
        return Entries(start, slot[:n], value[:n])


@compiled
def _count(rows: IntArray, lengths: IntArray, counts: IntArray) -> None:
    for i in range(len(rows)):
        counts[rows[i]] += lengths[i]


@compiled
def _fill(
    rows: IntArray,
    lengths: IntArray,
    slots: SlotArray,
    values: Float32Array,
    cursor: IntArray,
    slot: SlotArray,
    value: Float32Array,
) -> None:
    """Copy entries to where the cursor of their row stands, and move it on."""
    k = 0
    for i in range(len(rows)):
        to = cursor[rows[i]]
        for _ in range(lengths[i]):
            slot[to], value[to] = slots[k], values[k]
            to += 1
            k += 1
        cursor[rows[i]] = to


@compiled
def _sum_up(start: IntArray, slot: SlotArray, value: Float32Array) -> int:
    """Sum the values of the same slot within each row, in place; return the number of entries.

    A table of the row's slots, with open addressing, stays in the first cache.
    """
    longest = 1
    for i in range(len(start) - 1):
        longest = max(longest, start[i + 1] - start[i])
    size = 2
    while size < 2 * longest:
        size *= 2
    found, of_row = np.empty(size, np.int64), np.full(size, -1)
    mask, to, first = size - 1, 0, 0
    for i in range(len(start) - 1):
        last = start[i + 1]
        for e in range(first, last):
            # Fibonacci hashing: slots of one row may share their lower bits.
            at = (((np.int64(slot[e]) * 0x9E3779B1) & 0xFFFFFFFF) >> 7) & mask
            while of_row[at] == i and slot[found[at]] != slot[e]:
                at = (at + 1) & mask
            if of_row[at] == i:
                value[found[at]] += value[e]
            else:
                of_row[at], found[at] = i, to
                slot[to], value[to] = slot[e], value[e]
                to += 1
        first = last
        start[i + 1] = to
    return to
