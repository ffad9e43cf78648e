"""Write Arrow columns into the rows of a block: all columns of one type by one compiled call.

The loops take addresses; the arrays are kept alive here until they are done.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.block import Float32Array, FloatArray, IntArray, SlotArray
from pipeline.encode.transpose import spread_levels, transpose_numbers, transpose_slots

PLAIN_TYPES = {
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float32(), pa.float64()),
}
"""Types whose values are numbers as they lie in memory."""


@dataclass
class Numbers:
    """Columns of numbers on their way into the dense part of a block."""

    _arrays: list[pa.Array] = field(default_factory=list)
    _rows: list[tuple[float, float, int, bool]] = field(default_factory=list)

    def add(
        self, values: pa.Array, center: float, scale: float, column: int, *, mark: bool = False
    ) -> None:
        """Take a column.

        Parameters
        ----------
        values
            Numbers of any width, with nulls.
        center, scale
            Written is ``(value - center) / scale``, and 0 for null, NaN and infinity.
        column
            Of the block.
        mark
            Whether the next column of the block is 1 where a value was imputed and 0 elsewhere.
        """
        if values.type not in PLAIN_TYPES:
            values = values.cast(pa.float64(), safe=False)
        self._arrays.append(values)
        self._rows.append((center, 1.0 / scale, column, mark))

    def write(self, rows: IntArray, dense: Float32Array) -> list[tuple[int, int]]:
        """Write all columns; value i of each goes to row ``rows[i]``.

        Returns
        -------
        For each column the values that are no numbers though not null, and the nulls.
        """
        noticed: list[tuple[int, int]] = [(0, 0)] * len(self._arrays)
        for kind in dict.fromkeys(values.type for values in self._arrays):
            chosen = [i for i, values in enumerate(self._arrays) if values.type == kind]
            center, factor, column, mark = zip(*(self._rows[i] for i in chosen), strict=True)
            unusable, nulls = write_numbers(
                [self._arrays[i] for i in chosen],
                np.array(center, np.float64),
                np.array(factor, np.float64),
                np.array(column, np.int64),
                np.array(mark, np.bool_),
                rows,
                dense,
            )
            for i, *found in zip(chosen, unusable, nulls, strict=True):
                noticed[i] = (int(found[0]), int(found[1]))
        return noticed


def write_numbers(
    arrays: list[pa.Array],
    center: FloatArray,
    factor: FloatArray,
    column: IntArray,
    mark: NDArray[np.bool_],
    rows: IntArray,
    dense: Float32Array,
) -> tuple[IntArray, IntArray]:
    """Write columns of one of the plain types; value i of each goes to row ``rows[i]``.

    Parameters
    ----------
    center, factor
        Written is ``(value - center) * factor``, and 0 for null, NaN and infinity.
    column
        Of the block.
    mark
        Whether the next column of the block is 1 where a value was imputed and 0 elsewhere.

    Returns
    -------
    For each column the number of values that are no numbers though not null, and of nulls.
    """
    kind = arrays[0].type
    width = kind.bit_width // 8
    unusable, nulls = np.zeros(len(arrays), np.int64), np.zeros(len(arrays), np.int64)
    transpose_numbers(
        np.empty(0, kind.to_pandas_dtype()),
        np.array([_data(values, width) for values in arrays], np.int64),
        *_validity(arrays),
        center,
        factor,
        column,
        mark,
        rows,
        dense,
        unusable,
        nulls,
    )
    return unusable, nulls


@dataclass
class Slots:
    """Columns of codes on their way into the hashed part of a block."""

    _arrays: list[pa.Array] = field(default_factory=list)
    _tables: list[SlotArray | None] = field(default_factory=list)

    def add(self, codes: pa.Array, slot_of: SlotArray | None) -> None:
        """Take the next column.

        Parameters
        ----------
        codes
            Of type int32, with nulls.
        slot_of
            Slot of each code, and of null behind; None where the codes are slots.
        """
        self._arrays.append(codes)
        self._tables.append(slot_of)

    def write(self, rows: IntArray, slots: SlotArray) -> None:
        """Write all columns; value i of each goes to row ``rows[i]``."""
        if not self._arrays:
            return
        transpose_slots(
            np.array([_data(codes, 4) for codes in self._arrays], np.int64),
            *_validity(self._arrays),
            np.array([0 if t is None else t.ctypes.data for t in self._tables], np.int64),
            np.array([0 if t is None else len(t) for t in self._tables], np.int64),
            np.arange(len(self._arrays)),
            rows,
            slots,
        )


def write_levels(
    codes: NDArray[np.int32],
    level_of: IntArray,
    n_levels: int,
    null_place: int,
    rows: IntArray,
    out: Float32Array,
) -> tuple[int, int]:
    """Write a column of levels as one 0/1 feature for each but the first, and one for the unknown.

    Parameters
    ----------
    codes
        Code of each row, shape (n_rows,).
    level_of
        Level of each code: `n_levels` for an unknown one, one more for null.
    null_place
        Feature that tells null apart; -1 for none.
    rows
        Row of the block for each code.
    out
        The features of this column in the block.

    Returns
    -------
    Number of unknown levels and of nulls.
    """
    unknown, nulls = spread_levels(codes, level_of, n_levels, null_place, rows, out)
    return int(unknown), int(nulls)


def _data(values: pa.Array, width: int) -> int:
    buffer = values.buffers()[1]
    return int(buffer.address) + values.offset * width if buffer is not None else 0


def _validity(arrays: list[pa.Array]) -> tuple[IntArray, IntArray]:
    """Address of each bitmap of valid values, 0 where all are; and the bit that it starts at."""
    bitmaps = [values.buffers()[0] if values.null_count else None for values in arrays]
    addresses = [0 if bitmap is None else bitmap.address for bitmap in bitmaps]
    return np.array(addresses, np.int64), np.array([a.offset for a in arrays], np.int64)
