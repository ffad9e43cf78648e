"""Encode columns of lists and maps."""

from __future__ import annotations

from typing import TypeAlias

import pyarrow as pa

from onepass.encode.bags import coded_lists, write_bag, write_hashed_bag
from onepass.encode.lists import as_lists
from onepass.encode.nested_kinds import Bag, HashedBag, Pairs, Vector, WeightMap
from onepass.encode.vectors import write_vector
from onepass.encode.weighted import map_of, pairs_of, write_weighted
from onepass.encode.write.sink import Sink

Nested: TypeAlias = Vector | Bag | HashedBag | WeightMap | Pairs


def write_nested(
    sink: Sink, column: Nested, sources: list[pa.Array], first: int, start: int, bits: int
) -> tuple[list[tuple[str, int]], pa.Array | None]:
    """Write the features or entries of a column of lists or maps.

    Parameters
    ----------
    sources
        Values of the columns that are read for it.
    first
        Number of the column's first dense feature.
    start
        Number of the first row.
    bits
        log2 of the number of hashed weights.

    Returns
    -------
    Pairs of a kind of value and the number of its values, which count unless the kind is ""; and
    the values whose frequencies give names to the hashed weights, None if it has none.

    Raises
    ------
    BadColumn
        If lists have lengths that cannot be used.
    """
    values = [as_lists(one) for one in sources]
    words = column.missing_texts
    match column:
        case Vector():
            return write_vector(sink, column, values[0], first, start), None
        case Bag():
            return write_bag(sink, column, coded_lists(values[0], words), first, start), None
        case HashedBag():
            found = coded_lists(values[0], words)
            return write_hashed_bag(sink, column, found, start, bits), found.elements
        case WeightMap():
            weighted = map_of(_as_map(values[0]))
        case Pairs():
            weighted = pairs_of(column, *values)
    return write_weighted(sink, column, weighted, start, bits), weighted.keys.elements


def _as_map(values: pa.Array) -> pa.Array:
    """Return maps as they are, and lists without an element as null maps."""
    if pa.types.is_map(values.type):
        return values
    return pa.nulls(len(values), pa.map_(pa.string(), pa.float64()))
