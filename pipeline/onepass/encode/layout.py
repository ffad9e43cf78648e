"""Find the columns of a schema in tables, once for all tables of one Arrow schema.

Looking up thirty columns by name in every block would take a noticeable share of its encoding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from onepass.encode.missing import missing_numbers
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Column, Schema
from onepass.encode.write.sink import PLAIN_TYPES, Scaled

_MOST_KEPT = 4
"""Maximum number of layouts that are kept: the files of a lake have one Arrow schema, or a few."""


@dataclass(frozen=True, slots=True)
class NumberGroup:
    """Columns of numbers of one Arrow type, which one call writes."""

    columns: list[Numeric]
    places: list[int]
    """Place of each column in the tables."""
    scaled: Scaled


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of the columns of a schema in tables of one Arrow schema."""

    tables: pa.Schema
    """The Arrow schema."""
    groups: list[NumberGroup]
    """Columns of numbers that can be read as they lie in memory, and are not curbed."""
    others: list[tuple[Column, int, int]]
    """All other columns, each with its first feature and the number of its features."""


@dataclass(slots=True)
class Layouts:
    """Finds layouts, and keeps the most recent ones.

    Threads may share it: at worst two of them find the same layout.
    """

    schema: Schema
    _kept: list[Layout] = field(default_factory=list)

    def of(self, tables: pa.Schema) -> Layout:
        """Return the layout of tables with this Arrow schema."""
        for known in self._kept:
            if known.tables.equals(tables):
                return known
        found = lay_out(self.schema, tables)
        self._kept[:] = [found, *self._kept[: _MOST_KEPT - 1]]
        return found


def lay_out(schema: Schema, tables: pa.Schema) -> Layout:
    """Find the columns of a schema in tables.

    Columns that are missing or of an unexpected type are among the `others`: encoding reports them.
    """
    groups: dict[pa.DataType, list[tuple[Numeric, int, int]]] = {}
    others: list[tuple[Column, int, int]] = []
    first = 0
    for column in schema.columns:
        width = len(column.feature_names())
        place = tables.get_field_index(column.name) if column.name not in schema.hive else -1
        is_plain = place >= 0 and tables.types[place] in PLAIN_TYPES
        if is_plain and isinstance(column, Numeric) and _is_read_as_it_is(column):
            groups.setdefault(tables.types[place], []).append((column, place, first))
        else:
            others.append((column, first, width))
        first += width
    return Layout(tables, [_as_group(group) for group in groups.values()], others)


def _is_read_as_it_is(column: Numeric) -> bool:
    is_changed = column.is_curbed or column.duration
    return not is_changed and not len(missing_numbers(tuple(column.missing_texts)))


def _as_group(group: list[tuple[Numeric, int, int]]) -> NumberGroup:
    columns, places, first = map(list, zip(*group, strict=True))
    scaled = Scaled(
        np.array([column.center for column in columns]),
        np.array([1.0 / column.scale for column in columns]),
        np.array(first, np.int64),
        np.array([column.missing for column in columns]),
    )
    return NumberGroup(columns, places, scaled)
