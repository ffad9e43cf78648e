"""Write hashed columns and crosses, and count their commonest values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import SlotArray
from onepass.encode.crosses import Levels, combinations, cross_slots, factors, read_levels
from onepass.encode.frequent import NOTED_EVERY, commonest
from onepass.encode.hashing import slot_codes
from onepass.encode.level_values import is_real, level_values, not_whole
from onepass.encode.scalar_kinds import Hashed
from onepass.encode.schema import Schema
from onepass.encode.shapes import Bins, Cross
from onepass.encode.write.sink import Sink


class HashedColumns:
    """Gathers the hashed columns and crosses of one part, and writes them together.

    Parameters
    ----------
    schema
        Says how many slots there are, and which columns are key=value folders.
    noted
        Whether to count the commonest values of each of ``schema.counted()``; see `Draft`. None
        counts all of them.
    frequent
        Takes the counts by column; None counts nothing.
    n_rows
        Number of rows of the part. Columns may have a single value for all of them.
    """

    def __init__(
        self,
        schema: Schema,
        noted: NDArray[np.bool_] | None,
        frequent: dict[str, Counter[str]] | None,
        n_rows: int,
    ) -> None:
        self._hive: Collection[str] = schema.hive
        self._bits, self._noted, self._frequent, self._n_rows = (
            schema.hash_bits,
            noted,
            frequent,
            n_rows,
        )
        self._number = {name: i for i, name in enumerate(schema.counted_names())}
        self._codes: list[pa.Array] = []
        self._slot_of: list[SlotArray | None] = []
        self._entries: list[tuple[SlotArray, NDArray[np.float32]]] = []
        self._levels: dict[str, Levels] = {}

    def add(self, column: Hashed, values: pa.Array) -> int:
        """Add a hashed column; return how many of its numbers have no text of an integer."""
        n_not_whole = not_whole(values) if is_real(values) else 0
        values = level_values(column, values)
        in_folder = column.name in self._hive
        times = self._times(column.name, always=in_folder)
        if times:
            found = commonest(values, times * (self._n_rows if in_folder else 1))
            self._count(column.name, found)
        own, table = slot_codes(values, column.name, self._bits)
        self._codes.append(pa.repeat(own[0], self._n_rows) if in_folder else own)
        self._slot_of.append(table)
        return n_not_whole

    def add_cross(self, column: Cross, values: Sequence[pa.Array]) -> None:
        """Add a cross of columns with these values, in the order of its sources."""
        n_parts = len(column.parts)
        pairs = zip(column.parts, values[:n_parts], strict=True)
        levels = [self._levels_of(part, own) for part, own in pairs]
        times = self._times(column.name)
        if times:
            self._count(column.name, combinations(levels, self._n_rows, times))
        slots = cross_slots(column.name, levels, self._n_rows, self._bits)
        if column.has_entries:
            numbers = list(zip(column.numbers, values[n_parts:], strict=True))
            self._entries.append((slots, factors(numbers, self._n_rows)))
        else:
            self._codes.append(pa.array(slots))
            self._slot_of.append(None)

    def note(self, name: str, values: pa.Array) -> None:
        """Count the commonest values of a column that is written elsewhere."""
        if times := self._times(name):
            self._count(name, commonest(values, times))

    def write(self, sink: Sink, start: int) -> None:
        """Write all columns; `start` is the number of the first row."""
        if self._codes:
            sink.slots(self._codes, self._slot_of, start)
        for slots, values in self._entries:
            sink.entries(np.ones(self._n_rows, np.int64), slots, values, start)

    def _levels_of(self, part: Hashed | Bins, values: pa.Array) -> Levels:
        """Return the levels of a part, which several crosses may have."""
        if part.name not in self._levels:
            self._levels[part.name] = read_levels(part, values)
        return self._levels[part.name]

    def _times(self, name: str, *, always: bool = False) -> int:
        """Return how many rows each counted value stands for; 0 if none is counted.

        A folder has a single value, which is cheap to count in every block.
        """
        if self._frequent is None:
            return 0
        if self._noted is None or always:
            return 1
        return NOTED_EVERY if self._noted[self._number[name]] else 0

    def _count(self, name: str, found: dict[str, int]) -> None:
        assert self._frequent is not None
        self._frequent.setdefault(name, Counter()).update(found)
