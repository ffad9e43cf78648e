"""Read the checkpoints of a Delta table: Parquet files (or JSON) that hold the whole state.

A checkpoint is one file, several parts, or a small file that names others ("sidecars"). The Parquet
files are read in small batches, and only the fields that matter.

References
----------
Delta transaction log protocol, "Checkpoints" and "Checkpoint Schema" (delta-io/delta).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onepass.errors import BadPartition, DataError, first_line
from onepass.lake.footer import read_footer
from onepass.lake.remote import RemoteFile
from onepass.lake.tables.delta_actions import Action, actions
from onepass.lake.tables.delta_log import DeltaLog, damaged

_WANTED = {
    "add": ("path", "partitionValues", "size", "dataChange", "deletionVector"),
    "metaData": ("id", "format", "schemaString", "partitionColumns", "configuration"),
    "protocol": ("minReaderVersion", "readerFeatures"),
    "sidecar": ("path",),
}
"""Fields that are read, by action. Statistics are by far the largest, and not among them."""

_BATCH_ROWS = 8192


def checkpoint_actions(log: DeltaLog, version: int) -> Iterator[Action]:
    """Yield the actions add, metaData and protocol of a checkpoint, those of sidecars included.

    Raises
    ------
    DataError
        If a file is missing or damaged.
    StoreRefused, StoreUnavailable
        If an object store does not give it.
    """
    for name in log.checkpoints[version]:
        for action in _actions_of(log, name):
            if action.kind == "sidecar":
                yield from _actions_of(log, f"_sidecars/{_sidecar_name(action)}")
            elif action.kind in _WANTED:
                yield action


def _sidecar_name(action: Action) -> str:
    """Return the file of a sidecar, which lies in one folder whatever the path says."""
    path = action.fields.get("path")
    name = path.rpartition("/")[2] if isinstance(path, str) else ""
    if not name.endswith(".parquet"):
        raise damaged(action.place, "found a sidecar without the path of a Parquet file")
    return name


def _actions_of(log: DeltaLog, name: str) -> Iterator[Action]:
    if name.endswith(".json"):
        yield from actions(log, name)
        return
    file = log.as_file(name)
    place = log.place(name)
    try:
        # A footer with wrong claims could end the process within pyarrow.
        footer = read_footer(file)
        if footer.contradictions:
            raise damaged(place, "the footer of the checkpoint contradicts itself")
        source = (
            RemoteFile(file.location, file.remote) if file.remote is not None else file.location
        )
        yield from _rows_as_actions(source, place)
    except BadPartition as error:
        raise damaged(place, f"the checkpoint is damaged: {error.reason}") from None
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        # pyarrow decodes texts when they become Python values, and raises UnicodeDecodeError.
        raise damaged(place, f"the checkpoint is damaged: {first_line(error)}") from None


def _rows_as_actions(source: Any, place: str) -> Iterator[Action]:
    opened = pq.ParquetFile(
        pa.PythonFile(source, mode="r") if isinstance(source, RemoteFile) else source,
        pre_buffer=False,
        buffer_size=1 << 20,
    )
    with opened:
        schema = opened.schema_arrow
        columns = [
            f"{kind}.{name}"
            for kind, names in _WANTED.items()
            for name in names
            if _has(schema, kind, name)
        ]
        for batch in opened.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            for kind in batch.schema.names:
                yield from _of_kind(kind, batch.column(kind), place)


def _has(schema: pa.Schema, kind: str, name: str) -> bool:
    at = schema.get_field_index(kind)
    if at < 0 or not pa.types.is_struct(schema.field(at).type):
        return False
    return bool(schema.field(at).type.get_field_index(name) >= 0)


def _of_kind(kind: str, column: pa.StructArray, place: str) -> Iterator[Action]:
    rows = column.filter(column.is_valid())
    if not len(rows):
        return
    # Column by column: a whole struct is several times slower to turn into Python values.
    names = rows.type.names
    values = [_as_python(pc.struct_field(rows, name)) for name in names]
    for row in zip(*values, strict=True):
        yield Action(kind, dict(zip(names, row, strict=True)), place)


def _as_python(values: pa.Array) -> list[Any]:
    found: list[Any] = values.to_pylist()
    if pa.types.is_map(values.type):
        return [None if one is None else dict(one) for one in found]
    return found
