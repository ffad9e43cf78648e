"""Blocks of rows as numbers, and linear weights: the values that encoder and learners exchange."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32Array: TypeAlias = NDArray[np.float32]
FloatArray: TypeAlias = NDArray[np.float64]
RealArray: TypeAlias = NDArray[np.floating[Any]]
"""An array in single or double precision."""
IntArray: TypeAlias = NDArray[np.int64]
SlotArray: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Entries:
    """Features of which each row has a number of its own: compressed sparse rows."""

    start: IntArray
    """First entry of each row, and the number of all entries: shape (n_rows + 1,)."""
    slot: SlotArray
    """Index of the hashed weight of each entry, shape (n_entries,)."""
    value: Float32Array
    """Factor of that weight, shape (n_entries,)."""

    def take(self, index: IntArray) -> Entries:
        """Return the entries of the rows at `index`, in its order."""
        lengths = np.diff(self.start)[index]
        start = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        places = np.repeat(self.start[index] - start[:-1], lengths) + np.arange(start[-1])
        return Entries(start, self.slot[places], self.value[places])


@dataclass(frozen=True, slots=True)
class Block:
    """Rows as numbers: a dense part, a hashed part, labels and weights."""

    dense: Float32Array
    """Dense features, shape (n_rows, n_dense), C order."""
    slots: SlotArray
    """Index of the hashed weight of each hashed column, shape (n_rows, n_hashed)."""
    label: FloatArray
    """Labels in their own unit, shape (n_rows,); all NaN if the rows have no labels."""
    weight: FloatArray
    """Importance of each row, shape (n_rows,); 1 if the job names no weight column."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.weight)

    def take(self, index: IntArray) -> Block:
        """Return the rows at `index`, in its order."""
        return Block(self.dense[index], self.slots[index], self.label[index], self.weight[index])

    @staticmethod
    def concatenated(blocks: Sequence[Block]) -> Block:
        """Return the rows of several blocks, one block after another."""
        if len(blocks) == 1:
            return blocks[0]
        return Block(
            np.concatenate([block.dense for block in blocks]),
            np.concatenate([block.slots for block in blocks]),
            np.concatenate([block.label for block in blocks]),
            np.concatenate([block.weight for block in blocks]),
        )

    def pieces(self, n_rows: int) -> Iterator[Block]:
        """Yield nearly equal consecutive pieces, as views, of at least `n_rows` rows each.

        A block with fewer rows is one piece.
        """
        n_pieces = max(1, self.n_rows // n_rows)
        edges = np.linspace(0, self.n_rows, n_pieces + 1).astype(np.int64)
        for start, stop in pairwise(edges):
            rows = slice(start, stop)
            yield Block(self.dense[rows], self.slots[rows], self.label[rows], self.weight[rows])


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights of a linear model, without the state of a learner.

    A model has one or several margins (n_outputs), such as one for each class.
    """

    intercept: FloatArray
    """Shape (n_outputs,)."""
    dense: FloatArray
    """Weights of the dense features, shape (n_outputs, n_dense)."""
    hashed: RealArray
    """Weights of the slots, shape (n_slots, n_outputs). A margin sums those of its row's slots."""
