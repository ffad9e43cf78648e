"""Where the features of rows go: into the rows of a block, or straight into margins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, IntArray, SlotArray

PLAIN_TYPES = {
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float32(), pa.float64()),
}
"""Types whose values are numbers as they lie in memory."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """How columns of numbers become features."""

    center: FloatArray
    factor: FloatArray
    """The feature is ``(value - center) * factor``, and 0 for null, NaN and infinity."""
    feature: IntArray
    """Which one each column is."""
    mark: NDArray[np.bool_]
    """Whether the next feature is 1 where a value was imputed and 0 elsewhere."""


class Sink(Protocol):
    """Takes the features of rows, some columns at a time.

    `start` is the number of the first row, counted from 0 as they come.
    """

    @property
    def margins(self) -> FloatArray | None:
        """Shape (n_outputs, n_rows); None where features are kept."""
        ...

    def features(self) -> tuple[Float32Array, SlotArray]:
        """The dense and the hashed part of a block; without columns where there are margins."""
        ...

    def numbers(
        self, arrays: list[pa.Array], scaled: Scaled, start: int
    ) -> tuple[IntArray, IntArray]:
        """Take columns of numbers of one of the plain types.

        Returns
        -------
        For each column the number of values that are no numbers though not null, and of nulls.
        """
        ...

    def levels(
        self, codes: NDArray[np.int32], feature_of: IntArray, first: int, width: int, start: int
    ) -> None:
        """Take a column of levels, of which each row has at most one.

        Parameters
        ----------
        codes
            Of each row, shape (n_rows,).
        feature_of
            Which of the features is 1 for each code, the others being 0; -1 for none of them.
        first, width
            The features of this column, by their first and their number.
        """
        ...

    def slots(self, codes: list[pa.Array], slot_of: list[SlotArray | None], start: int) -> None:
        """Take all hashed columns.

        Parameters
        ----------
        codes
            Of each column, of type int32; null only where there is a table.
        slot_of
            Slot of each code, and of null behind; None where the codes are slots.
        """
        ...

    def constant(self, features: Float32Array, first: int, start: int, n_rows: int) -> None:
        """Give `n_rows` rows the same features from number `first` on."""
        ...


@dataclass
class Numbers:
    """Columns of numbers, gathered so that those of one type go by one call."""

    _arrays: list[pa.Array] = field(default_factory=list)
    _rows: list[tuple[float, float, int, bool]] = field(default_factory=list)

    def add(
        self, values: pa.Array, center: float, scale: float, column: int, *, mark: bool = False
    ) -> None:
        """Gather a column of numbers of any width; see `Sink.numbers`."""
        if values.type not in PLAIN_TYPES:
            values = values.cast(pa.float64(), safe=False)
        self._arrays.append(values)
        self._rows.append((center, 1.0 / scale, column, mark))

    def write(self, sink: Sink, start: int) -> list[tuple[int, int]]:
        """Hand all columns on; see `Sink.numbers` for what is returned of each."""
        noticed: list[tuple[int, int]] = [(0, 0)] * len(self._arrays)
        for kind in dict.fromkeys(values.type for values in self._arrays):
            chosen = [i for i, values in enumerate(self._arrays) if values.type == kind]
            center, factor, column, mark = zip(*(self._rows[i] for i in chosen), strict=True)
            unusable, nulls = sink.numbers(
                [self._arrays[i] for i in chosen],
                Scaled(
                    np.array(center, np.float64),
                    np.array(factor, np.float64),
                    np.array(column, np.int64),
                    np.array(mark, np.bool_),
                ),
                start,
            )
            for i, *found in zip(chosen, unusable, nulls, strict=True):
                noticed[i] = (int(found[0]), int(found[1]))
        return noticed
