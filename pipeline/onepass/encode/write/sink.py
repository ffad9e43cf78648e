"""Define the protocol of sinks, to which the encoder writes the features of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import Entries, Float32Array, FloatArray, IntArray, SlotArray
from onepass.encode.write.matrices import Vectors

PLAIN_TYPES = {
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float32(), pa.float64()),
}
"""Arrow types whose values can be read as numbers where they lie in memory."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Scaling of columns of numbers, each array of shape (n_columns,)."""

    center: FloatArray
    """Subtracted from the values."""
    factor: FloatArray
    """The feature is ``(value - center) * factor``, or 0 if the value is null, NaN or infinite."""
    feature: IntArray
    """Number of the feature that each column becomes."""
    mark: NDArray[np.bool_]
    """Whether the following feature marks imputed values: it is 1 for these, and else 0."""


class Sink(Protocol):
    """Takes the features of rows, some columns at a time.

    The parameter `start` of its methods is the number of the first row of the columns, counted from
    0 in the order in which rows are encoded.
    """

    @property
    def margins(self) -> FloatArray | None:
        """Margins, shape (n_outputs, n_rows); None if the sink keeps features."""
        ...

    def features(self) -> tuple[Float32Array, SlotArray]:
        """Return the dense and the hashed part of a block, without columns if there are margins."""
        ...

    def sparse(self) -> Entries | None:
        """Return the entries of a block; None if there are margins, or the schema has none."""
        ...

    def numbers(
        self, arrays: list[pa.Array], scaled: Scaled, start: int
    ) -> tuple[IntArray, IntArray]:
        """Take columns of numbers that all are of one of the `PLAIN_TYPES`.

        Returns
        -------
        For each column, the number of values that are not null but cannot be used (NaN, infinite,
        or too large for float32 after scaling), and the number of nulls.
        """
        ...

    def levels(
        self, codes: NDArray[np.int32], feature_of: IntArray, first: int, width: int, start: int
    ) -> None:
        """Take a category as 0/1 features, at most one of which is 1 in each row.

        Parameters
        ----------
        codes
            Code of each row's value, shape (n_rows,).
        feature_of
            For each code, which of the category's features is 1; -1 if none of them is.
        first, width
            Number of the category's first feature, and number of its features.
        """
        ...

    def slots(self, codes: list[pa.Array], slot_of: list[SlotArray | None], start: int) -> None:
        """Take all hashed columns.

        Parameters
        ----------
        codes
            Codes of each column, of type int32. They may be null only if the column has a table.
        slot_of
            Table of each column: the slot of each code, followed by that of null. None if the codes
            are slots themselves.
        """
        ...

    def vectors(self, vectors: Vectors, first: int, start: int) -> tuple[int, int]:
        """Take lists of numbers of one length, as the features from number `first` on.

        Returns
        -------
        Number of elements that are not null but cannot be used, and number of null elements.
        """
        ...

    def matrix(self, features: Float32Array, first: int, start: int) -> None:
        """Take neighbouring features from number `first` on, shape (n_rows, n_features)."""
        ...

    def entries(
        self, lengths: IntArray, slots: SlotArray, values: Float32Array, start: int
    ) -> None:
        """Take the entries of one column; those of several columns add up in a row.

        A row's entries keep the order of the calls. The arrays must not change afterwards.

        Parameters
        ----------
        lengths
            Number of entries of each row, shape (n_rows,).
        slots
            Index of the hashed weight of each entry, row after row: shape (n_entries,).
        values
            Factor of that weight, shape (n_entries,); finite.
        """
        ...

    def constant(self, features: Float32Array, first: int, start: int, n_rows: int) -> None:
        """Give `n_rows` rows the same values of the features from number `first` on."""
        ...
