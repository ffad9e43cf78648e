"""Blocks of rows as numbers, and linear weights: the values that encoder and learners exchange."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from onepass.jit import compiled

Float32Array: TypeAlias = NDArray[np.float32]
FloatArray: TypeAlias = NDArray[np.float64]
RealArray: TypeAlias = NDArray[np.floating[Any]]
"""An array in single or double precision."""
IntArray: TypeAlias = NDArray[np.int64]
SlotArray: TypeAlias = NDArray[np.int32]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Entries:
    """Features of which each row has a number of its own: compressed sparse rows.

    The slots of one row are distinct: values of the same slot are summed beforehand.
    """

    start: IntArray
    """First entry of each row, and the number of all entries: shape (n_rows + 1,)."""
    slot: SlotArray
    """Index of the hashed weight of each entry, shape (n_entries,)."""
    value: Float32Array
    """Factor of that weight, shape (n_entries,)."""

    @property
    def lengths(self) -> IntArray:
        """Number of entries of each row, shape (n_rows,)."""
        return np.diff(self.start)

    @property
    def arrays(self) -> tuple[IntArray, SlotArray, Float32Array]:
        """The three arrays, as compiled loops take them."""
        return self.start, self.slot, self.value

    def mean_square_length(self) -> float:
        """Return the mean over rows of the sum of the squares of their values."""
        squares = np.einsum("i,i->", self.value, self.value, dtype=np.float64)
        return float(squares) / max(1, len(self.start) - 1)

    def take(self, index: IntArray) -> Entries:
        """Return the entries of the rows at `index`, in its order."""
        start = _starts(self.lengths[index])
        slot, value = np.empty(start[-1], np.int32), np.empty(start[-1], np.float32)
        _copy_rows(self.start, self.slot, self.value, index, start, slot, value)
        return Entries(start, slot, value)

    def between(self, first: int, stop: int) -> Entries:
        """Return the entries of the rows from `first` up to `stop`, as views."""
        own = slice(self.start[first], self.start[stop])
        start = self.start[first : stop + 1] - self.start[first]
        return Entries(start, self.slot[own], self.value[own])

    @staticmethod
    def concatenated(parts: Sequence[Entries]) -> Entries:
        """Return the rows of several parts, one part after another."""
        return Entries(
            _starts(np.concatenate([part.lengths for part in parts])),
            np.concatenate([part.slot for part in parts]),
            np.concatenate([part.value for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Rows as numbers: a dense part, hashed columns, sparse rows, labels and weights."""

    dense: Float32Array
    """Dense features, shape (n_rows, n_dense), C order."""
    slots: SlotArray
    """Index of the hashed weight of each hashed column, shape (n_rows, n_hashed)."""
    label: FloatArray
    """Labels in their own unit, shape (n_rows,); all NaN if the rows have no labels."""
    weight: FloatArray
    """Importance of each row, shape (n_rows,); 1 if the job names no weight column."""
    entries: Entries | None = None
    """Sparse rows, whose slots are those of the hashed columns; None if the schema has none."""
    offset: FloatArray | None = None
    """Known part of each margin, in the label's unit, shape (n_rows,); None if the job has none."""
    cluster: IntArray | None = None
    """Hash of the cluster of each row, shape (n_rows,); None if the job names no such column."""
    fold: IntArray | None = None
    """Number of the fold of each row, shape (n_rows,); None without cross-validation."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.weight)

    def take(self, index: IntArray) -> Block:
        """Return the rows at `index`, in its order."""
        return Block(
            self.dense[index],
            self.slots[index],
            self.label[index],
            self.weight[index],
            None if self.entries is None else self.entries.take(index),
            None if self.offset is None else self.offset[index],
            None if self.cluster is None else self.cluster[index],
            None if self.fold is None else self.fold[index],
        )

    @staticmethod
    def concatenated(blocks: Sequence[Block]) -> Block:
        """Return the rows of several blocks, one block after another."""
        if len(blocks) == 1:
            return blocks[0]
        entries = _of_all(block.entries for block in blocks)
        optional = (_of_all(getattr(block, n) for block in blocks) for n in _OPTIONAL)
        return Block(
            np.concatenate([block.dense for block in blocks]),
            np.concatenate([block.slots for block in blocks]),
            np.concatenate([block.label for block in blocks]),
            np.concatenate([block.weight for block in blocks]),
            Entries.concatenated(entries) if entries else None,
            *(np.concatenate(one) if one else None for one in optional),
        )

    def pieces(self, n_rows: int) -> Iterator[Block]:
        """Yield nearly equal consecutive pieces, as views, of at least `n_rows` rows each.

        A block with fewer rows is one piece.
        """
        n_pieces = max(1, self.n_rows // n_rows)
        edges = np.linspace(0, self.n_rows, n_pieces + 1).astype(np.int64)
        for start, stop in pairwise(edges):
            rows = slice(start, stop)
            yield Block(
                self.dense[rows],
                self.slots[rows],
                self.label[rows],
                self.weight[rows],
                None if self.entries is None else self.entries.between(start, stop),
                None if self.offset is None else self.offset[rows],
                None if self.cluster is None else self.cluster[rows],
                None if self.fold is None else self.fold[rows],
            )


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


_OPTIONAL = ("offset", "cluster", "fold")
"""Arrays that blocks have where the job asks for them."""


def _of_all(values: Iterable[_T | None]) -> list[_T]:
    """Return the values that all blocks of a schema have, or nothing where none has one."""
    values = list(values)
    found = [one for one in values if one is not None]
    assert len(found) in {0, len(values)}, "all blocks of a schema have it, or none has"
    return found


def _starts(lengths: IntArray) -> IntArray:
    """Return where each row begins, and the number of all entries."""
    start = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=start[1:])
    return start


@compiled
def _copy_rows(
    start: IntArray,
    slot: SlotArray,
    value: Float32Array,
    index: IntArray,
    to: IntArray,
    slots: SlotArray,
    values: Float32Array,
) -> None:
    """Copy the entries of the rows at `index` to where `to` says that each row begins."""
    for i in range(len(index)):
        first = start[index[i]]
        for k in range(to[i + 1] - to[i]):
            slots[to[i] + k] = slot[first + k]
            values[to[i] + k] = value[first + k]
