"""Rows that a caller hands over, as a table of the columns that a model knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from onepass.arrays import as_batch
from onepass.encode.reads import uses
from onepass.encode.schema import Schema
from onepass.lake.file_columns import resolved

if TYPE_CHECKING:
    import pandas as pd

Rows: TypeAlias = "pa.Table | pa.RecordBatch | pd.DataFrame | Mapping[str, Any]"
"""Columns by name, of equal length."""

_MAPS = {"weights by key": pa.float64(), "bag of entries": pa.string()}
"""Types of the values of maps, by the use of the column."""


def table_of(rows: Any, schema: Schema) -> pa.Table:
    """Return rows as a table, with a column for each field of a struct, as files are read.

    Raises
    ------
    TypeError
        If `rows` is not a collection of columns.
    """
    return _typed_like_lake(_flat(_as_table(rows, schema)), schema)


def _as_table(rows: Any, schema: Schema) -> pa.Table:
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    try:
        maps = {
            name: made
            for name, use in uses(schema, label=False)
            if use in _MAPS
            and name in rows
            and (made := _as_map(rows[name], _MAPS[use])) is not None
        }
        if isinstance(rows, Mapping):
            return pa.table({**rows, **maps})
        table = pa.Table.from_pandas(
            rows.drop(columns=list(maps)) if maps else rows, preserve_index=False
        )
        for name, values in maps.items():
            table = table.append_column(name, values)
        return table
    except (AttributeError, TypeError, OverflowError, pa.ArrowException) as error:
        raise TypeError(
            "expected a pyarrow Table or RecordBatch, a pandas DataFrame, or a mapping of equally "
            f"long columns; found {type(rows).__name__}: {error}"
        ) from None


def _as_map(values: Any, dtype: pa.DataType) -> pa.Array | None:
    """Return dicts, or lists of pairs, as maps; pyarrow takes them for structs, or for nothing."""
    if isinstance(values, pa.Array | pa.ChunkedArray) or not isinstance(values, Iterable):
        return None
    items = [list(one.items()) if isinstance(one, Mapping) else one for one in values]
    for keys in (pa.string(), pa.int64()):
        try:
            return pa.array(items, pa.map_(keys, dtype), from_pandas=True)
        except (TypeError, pa.ArrowException):
            continue
    return None


def _flat(table: pa.Table) -> pa.Table:
    schema, columns = resolved(table.schema, None)
    if columns is None:
        return table
    return pa.Table.from_batches([columns.shown(as_batch(table), schema.names)])


def _typed_like_lake(table: pa.Table, schema: Schema) -> pa.Table:
    types = {"integer": pa.int64(), "date": pa.date32(), "text": pa.string()}
    for name, kind in schema.hive.items():
        at = table.schema.get_field_index(name)
        if at >= 0 and table.schema.field(at).type != types[kind]:
            table = table.set_column(at, name, table.column(at).cast(types[kind]))
    return table
