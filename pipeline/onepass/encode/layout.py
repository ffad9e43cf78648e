"""Where the columns of a schema lie in tables of one kind: found once, not with every block.

Looking at thirty columns one by one would take half a millisecond of each block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onepass.encode.schema import Column, Numeric, Schema
from onepass.encode.write.sink import PLAIN_TYPES, Scaled


@dataclass(frozen=True, slots=True)
class Alike:
    """Numbers of one type, which are written by one call."""

    columns: list[Numeric]
    places: list[int]
    """Of the columns in the table."""
    scaled: Scaled


@dataclass(frozen=True, slots=True)
class Layout:
    """How the columns of a schema are taken from tables of one kind."""

    of: pa.Schema
    """The kind."""
    alike: list[Alike]
    others: list[tuple[Column, int, int]]
    """All other columns, each with its first feature and their number."""


def lay_out(schema: Schema, tables: pa.Schema) -> Layout:
    """Find the columns of a schema in tables; whatever is to be complained of is among `others`."""
    found: dict[pa.DataType, list[tuple[Numeric, int, int]]] = {}
    others: list[tuple[Column, int, int]] = []
    first = 0
    for column in schema.columns:
        width = len(column.feature_names())
        place = tables.get_field_index(column.name) if column.name not in schema.hive else -1
        if isinstance(column, Numeric) and place >= 0 and tables.types[place] in PLAIN_TYPES:
            found.setdefault(tables.types[place], []).append((column, place, first))
        else:
            others.append((column, first, width))
        first += width
    return Layout(tables, [_alike(group) for group in found.values()], others)


def _alike(group: list[tuple[Numeric, int, int]]) -> Alike:
    columns, places, first = map(list, zip(*group, strict=True))
    scaled = Scaled(
        np.array([column.center for column in columns]),
        np.array([1.0 / column.scale for column in columns]),
        np.array(first, np.int64),
        np.array([column.missing for column in columns]),
    )
    return Alike(columns, places, scaled)
