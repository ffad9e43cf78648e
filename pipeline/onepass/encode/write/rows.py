"""Write features into the rows of a block, in any order of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.arrays import empty
from onepass.block import Entries, Float32Array, FloatArray, IntArray, SlotArray
from onepass.encode.write.addresses import numbers_of, tables_of, validity_of, values_of
from onepass.encode.write.gather import SparseRows
from onepass.encode.write.matrices import Vectors, scatter_matrix
from onepass.encode.write.sink import Scaled
from onepass.encode.write.transpose import spread_levels, transpose_numbers, transpose_slots


class Rows:
    """A `Sink` that writes features into the rows of a block.

    Parameters
    ----------
    n_dense, n_hashed
        Number of dense features and of hashed columns.
    place
        Number of the block's row that each encoded row becomes, shape (n_rows,).
    has_entries
        Whether rows have entries.
    """

    margins: FloatArray | None = None
    """See `Sink.margins`."""

    def __init__(
        self, n_dense: int, n_hashed: int, place: IntArray, *, has_entries: bool = False
    ) -> None:
        self._place = place
        self._dense = empty((len(place), n_dense), np.float32)
        self._slots = empty((len(place), n_hashed), np.int32)
        self._sparse = SparseRows(len(place)) if has_entries else None

    def features(self) -> tuple[Float32Array, SlotArray]:
        """See `Sink.features`."""
        return self._dense, self._slots

    def sparse(self) -> Entries | None:
        """See `Sink.sparse`."""
        return None if self._sparse is None else self._sparse.gathered()

    def numbers(
        self, arrays: list[pa.Array], scaled: Scaled, start: int
    ) -> tuple[IntArray, IntArray]:
        """See `Sink.numbers`."""
        unusable, nulls = np.zeros((2, len(arrays)), np.int64)
        transpose_numbers(
            *numbers_of(arrays),
            scaled.center,
            scaled.factor,
            scaled.feature,
            scaled.mark,
            self._place[start : start + len(arrays[0])],
            self._dense,
            unusable,
            nulls,
        )
        return unusable, nulls

    def levels(
        self, codes: NDArray[np.int32], feature_of: IntArray, first: int, width: int, start: int
    ) -> None:
        """See `Sink.levels`."""
        rows = self._place[start : start + len(codes)]
        spread_levels(codes, feature_of, rows, self._dense[:, first : first + width])

    def slots(self, codes: list[pa.Array], slot_of: list[SlotArray | None], start: int) -> None:
        """See `Sink.slots`."""
        transpose_slots(
            values_of(codes),
            *validity_of(codes),
            *tables_of(slot_of),
            np.arange(len(codes)),
            self._place[start : start + len(codes[0])],
            self._slots,
        )

    def vectors(self, vectors: Vectors, first: int, start: int) -> tuple[int, int]:
        """See `Sink.vectors`."""
        rows = self._place[start : start + len(vectors.begin)]
        return vectors.write(rows, self._dense, first)

    def matrix(self, features: Float32Array, first: int, start: int) -> None:
        """See `Sink.matrix`."""
        rows = self._place[start : start + len(features)]
        scatter_matrix(features, rows, self._dense[:, first : first + features.shape[1]])

    def entries(
        self, lengths: IntArray, slots: SlotArray, values: Float32Array, start: int
    ) -> None:
        """See `Sink.entries`."""
        assert self._sparse is not None, "the schema says that rows have no entries"
        self._sparse.add(self._place[start : start + len(lengths)], lengths, slots, values)

    def constant(self, features: Float32Array, first: int, start: int, n_rows: int) -> None:
        """See `Sink.constant`."""
        rows = self._place[start : start + n_rows]
        self._dense[rows, first : first + len(features)] = features
