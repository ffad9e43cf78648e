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
        """Return the entries of each row, in the order in which its columns were added."""
        start = np.zeros(self._n_rows + 1, np.int64)
        for rows, lengths, _, _ in self._pieces:
            _count(rows, lengths, start[1:])
        np.cumsum(start, out=start)
        slot, value = empty((start[-1],), np.int32), empty((start[-1],), np.float32)
        cursor = start[:-1].copy()
        for piece in self._pieces:
            _fill(*piece, cursor, slot, value)
        return Entries(start, slot, value)


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
