"""Rows of a table as its files and views give them, to compare with another reader's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onepass.lake.discover import LakeFile
from onepass.lake.footer import read_footer
from onepass.lake.remote import RemoteFile


def rows_of(files: Iterable[LakeFile]) -> Counter[str]:
    """Read files as their views have them, with plain pyarrow; return how often each row comes."""
    found: Counter[str] = Counter()
    for file in files:
        found.update(counted_rows(_read(file)))
    return found


def counted_rows(rows: pa.Table) -> Counter[str]:
    """Return how often each row comes, as a text with its columns in the order of their names."""
    while any(pa.types.is_struct(one.type) for one in rows.schema):
        rows = rows.flatten()
    names = sorted(rows.column_names)
    columns = [_values(rows.column(name)) for name in names]
    if not columns:
        return Counter({"": rows.num_rows})
    return Counter(repr(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True))


def _read(file: LakeFile) -> pa.Table:
    footer = read_footer(file)
    source: Any = file.location
    if file.remote is not None:
        source = pa.PythonFile(RemoteFile(file.location, file.remote), mode="r")
    columns = footer.columns
    assert columns is not None
    assert file.view is not None
    kept = np.ones(footer.metadata.num_rows, bool)
    if file.view.deleted is not None:
        kept[file.view.deleted.positions()] = False
    rows = pq.ParquetFile(source).read().combine_chunks()
    batch = (rows.to_batches() or [pa.RecordBatch.from_pylist([], rows.schema)])[0]
    names = footer.schema.names
    shown = columns.shown(batch, [one for one in names if one in columns.stored])
    if not shown.num_columns:
        # A batch without columns has no rows.
        shown = pa.RecordBatch.from_arrays([pa.nulls(len(kept))], names=["no column"])
    whole = columns.completed(shown, list(names))
    return pa.table(whole).filter(pa.array(kept))


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz))
        return [None if one is None else one.isoformat() for one in column.to_pylist()]
    return column.to_pylist()
