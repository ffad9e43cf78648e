"""Concatenate samples of files that store the same columns in different types."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa

from onepass.encode.schema import family
from onepass.errors import DataError


def concat_samples(parts: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables of the same columns, each column in a type that holds all its values.

    Raises
    ------
    DataError
        If no type holds the integers of a column.
    """
    for name in parts[0].schema.names:
        types = {part.schema.field(name).type for part in parts} - {pa.null()}
        # Integers may be ids: floats would round them, so Arrow widens them without a loss below.
        families = {family(found) for found in types}
        if len(types) > 1 and families != {"integer"}:
            parts = [_in_common_type(part, name, families) for part in parts]
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise DataError(f"the files have integers of different types: {error}") from None


_COMMON = {
    **{"text": pa.string(), "time": pa.timestamp("us"), "bool": pa.bool_()},
    **{"texts": pa.list_(pa.string()), "nulls": pa.list_(pa.string())},
    **{"integers": pa.list_(pa.int64()), "reals": pa.list_(pa.float64())},
    **{"weights": pa.map_(pa.string(), pa.float64())},
    **{"entries": pa.map_(pa.string(), pa.string())},
}
"""Common type of each family; that of numbers is float64."""


def _in_common_type(part: pa.Table, name: str, families: Collection[str]) -> pa.Table:
    """Cast one column to the common type of its family: files differ in units, digits, widths.

    Numbers and times become text where other files have text.
    """
    values, index = part.column(name).combine_chunks(), part.schema.get_field_index(name)
    own = "text" if "text" in families else family(values.type)
    own = "reals" if own in {"integers", "nulls"} and "reals" in families else own
    own = "integers" if own == "nulls" and "integers" in families else own
    common = _COMMON.get(own, pa.float64())
    # The type of a column without a value says nothing about the family.
    is_empty = values.null_count == len(values)
    values = pa.nulls(len(values)) if is_empty else values.cast(common, safe=False)
    return part.set_column(index, name, values)
