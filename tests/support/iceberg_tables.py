"""Iceberg tables that pyiceberg writes, and delete files, which it only reads."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.avro.file import AvroOutputFile
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.conversions import to_bytes
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.table import StaticTable, Table
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate
from pyiceberg.typedef import Record
from pyiceberg.types import StringType
from pyroaring import BitMap64

from onepass.lake.decoders import Decoders
from onepass.lake.discover import LakeFile
from onepass.lake.footer import read_footer
from onepass.lake.limits import DEFAULT_LIMITS
from onepass.lake.tables.iceberg import open_table
from onepass.lake.tables.table import TableChoice

_PATH_ID = 2147483546


@contextmanager
def catalogue(folder: Path) -> Iterator[SqlCatalog]:
    """A catalogue on SQLite with the namespace `db`, and its warehouse beside it."""
    properties = {"uri": f"sqlite:///{folder}/catalogue.db", "warehouse": f"file://{folder}/lake"}
    with SqlCatalog("local", **properties) as found:
        found.create_namespace_if_not_exists("db")
        yield found


def rows(first: int, n: int, **more: Any) -> pa.Table:
    """Rows with an id, a number and a text that follow from the id."""
    ids = np.arange(first, first + n)
    texts = pa.array([f"t{one % 7}" for one in ids], pa.string())
    return pa.table({"id": ids.astype(np.int64), "x": ids / 4, "c": texts, **more})


def opened(table: Table | str, **choice: Any) -> Any:
    """Open a table by its newest metadata file, or by another name."""
    named = table if isinstance(table, str) else str(local(table.metadata_location))
    return open_table(named, TableChoice(**choice))


def local(uri: str) -> Path:
    """Path of a file URI."""
    return Path(uri.removeprefix("file://"))


def read(files: list[LakeFile]) -> list[dict[str, Any]]:
    """Read the rows of files as tables have them, without the deleted ones."""
    found: list[dict[str, Any]] = []
    for file in files:
        footer = read_footer(file)
        names = footer.schema.names
        stored = [name for name in names if name not in footer.columns.supplied]
        groups = list(range(footer.metadata.num_row_groups))
        decoders = Decoders(file, footer, stored, [], 1, DEFAULT_LIMITS)
        batch = decoders.read(groups, stored, use_threads=False)
        table = pa.Table.from_batches([footer.columns.completed(batch, names)])
        if file.view.deleted is not None:
            gone = file.view.deleted.positions()
            assert file.view.deleted.n_rows == len(gone)
            table = table.filter(pa.array(~np.isin(np.arange(len(table)), gone)))
        found += table.to_pylist()
    return found


def in_order(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by their ids."""
    return sorted(found, key=lambda row: row["id"])


def add_file(table: Table, found: pa.Table, partition: Record) -> None:
    """Append a data file of one partition, as a writer of any transform would."""
    path = f"{table.location()}/data/{uuid.uuid4()}.parquet"
    local(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(found.cast(table.schema().as_arrow()), local(path))
    file = DataFile.from_args(
        content=DataFileContent.DATA, file_path=path, partition=partition,
        file_format=FileFormat.PARQUET, record_count=len(found),
        file_size_in_bytes=local(path).stat().st_size,
    )  # fmt: skip
    file.spec_id = table.spec().spec_id
    with table.transaction() as change, change.update_snapshot().fast_append() as update:
        update.append_data_file(file)


def position_deletes(table: Table, deleted: dict[str, list[int]], *, target: bool = False) -> None:
    """Commit a position delete file with row numbers by URI of the data file.

    Parameters
    ----------
    target
        Whether bounds tell the only data file.
    """
    path = f"{table.location()}/data/{uuid.uuid4()}-deletes.parquet"
    pairs = sorted((uri, at) for uri, numbers in deleted.items() for at in numbers)
    found = pa.table(
        {
            "file_path": pa.array([uri for uri, _ in pairs], pa.string()),
            "pos": pa.array([at for _, at in pairs], pa.int64()),
        }
    )
    pq.write_table(found, local(path))
    bound = {_PATH_ID: to_bytes(StringType(), pairs[0][0])}
    bounds = {"lower_bounds": bound, "upper_bounds": bound} if target else {}
    commit_deletes(table, path, DataFileContent.POSITION_DELETES, len(pairs), **bounds)


def equality_deletes(table: Table, ids: list[int]) -> str:
    """Commit an equality delete file with values of `id`; return its URI."""
    path = f"{table.location()}/data/{uuid.uuid4()}-equality.parquet"
    pq.write_table(pa.table({"id": pa.array(ids, pa.int64())}), local(path))
    commit_deletes(table, path, DataFileContent.EQUALITY_DELETES, len(ids), equality_ids=[1])
    return path


def vector_blob(numbers: list[int]) -> bytes:
    """Encode row numbers as a blob `deletion-vector-v1`."""
    body = b"\xd1\xd3\x39\x64" + BitMap64(numbers).serialize()
    return len(body).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def deletion_vector(table: Table, uri: str, numbers: list[int]) -> Path:
    """Commit a deletion vector of one data file; return the path of its Puffin file."""
    path = f"{table.location()}/data/{uuid.uuid4()}-deletes.puffin"
    blob = vector_blob(numbers)
    described = {
        "type": "deletion-vector-v1",
        "fields": [2147483645],
        "snapshot-id": -1,
        "sequence-number": -1,
        "offset": 4,
        "length": len(blob),
        "properties": {"referenced-data-file": uri, "cardinality": str(len(numbers))},
    }
    footer = json.dumps({"blobs": [described], "properties": {}}).encode()
    end = len(footer).to_bytes(4, "little") + bytes(4) + b"PFA1"
    local(path).write_bytes(b"PFA1" + blob + b"PFA1" + footer + end)
    commit_deletes(
        table, path, DataFileContent.POSITION_DELETES, len(numbers),
        file_format=FileFormat.PUFFIN, referenced_data_file=uri,
        content_offset=4, content_size_in_bytes=len(blob),
    )  # fmt: skip
    return local(path)


class _DeleteManifest(ManifestWriterV2):
    """A manifest of delete files with the fields of format version 3."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}

    def new_writer(self) -> AvroOutputFile[ManifestEntry]:
        schema = self._with_partition(3)
        return AvroOutputFile[ManifestEntry](
            self._output_file, schema, "manifest_entry", schema, self._meta
        )


def commit_deletes(
    table: Table, path: str, content: DataFileContent, n_rows: int, **more: Any
) -> None:
    """Commit a delete file that has been written, in the partition of no field."""
    file = DataFile.from_args(
        3, content=content, file_path=path, partition=more.pop("partition", Record()),
        file_format=more.pop("file_format", FileFormat.PARQUET), record_count=n_rows,
        file_size_in_bytes=local(path).stat().st_size, **more,
    )  # fmt: skip
    table.refresh()
    parent, io = table.current_snapshot(), table.io
    assert parent is not None
    snapshot_id = table.metadata.new_snapshot_id()
    sequence = table.metadata.last_sequence_number + 1
    manifest = io.new_output(f"{table.location()}/metadata/{uuid.uuid4()}-m0.avro")
    with _DeleteManifest(table.spec(), table.schema(), manifest, snapshot_id, "deflate") as writer:
        writer.add_entry(
            ManifestEntry.from_args(
                3, status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id, data_file=file
            )
        )
    where = f"{table.location()}/metadata/snap-{snapshot_id}-{uuid.uuid4()}.avro"
    with write_manifest_list(
        2, io.new_output(where), snapshot_id, parent.snapshot_id, sequence, "deflate"
    ) as listed:
        listed.add_manifests([*parent.manifests(io), writer.to_manifest_file()])
    snapshot = Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=parent.snapshot_id,
        sequence_number=sequence,
        manifest_list=where,
        summary=Summary(Operation.DELETE),
        schema_id=table.schema().schema_id,
    )
    move_to(table, snapshot_id, AddSnapshotUpdate(snapshot=snapshot))


def move_to(table: Table, snapshot_id: int, *updates: Any) -> None:
    """Make a snapshot the current one, after other updates."""
    current = table.current_snapshot()
    main = SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=snapshot_id)
    known = AssertRefSnapshotId(ref="main", snapshot_id=current.snapshot_id)
    table.catalog.commit_table(table, (known,), (*updates, main))
    table.refresh()


def scanned(table: Table) -> list[dict[str, Any]]:
    """Rows of a table as pyiceberg itself reads them."""
    found = StaticTable.from_metadata(table.metadata_location).scan().to_arrow()
    return in_order(found.to_pylist())


def say_replace(update: Any) -> None:
    """Have pyiceberg write a snapshot as other writers do for a compaction."""
    update._operation = Operation.REPLACE
    update._summary = lambda properties: Summary(Operation.REPLACE)


def compact(table: Table) -> None:
    """Rewrite all rows into one file, as a compaction that changes no row."""
    found = table.scan().to_arrow()
    with table.transaction() as change:
        old = [task.file for task in table.scan().plan_files()]
        new = list(_dataframe_to_data_files(change.table_metadata, found, table.io))
        with change.update_snapshot().overwrite() as update:
            say_replace(update)
            for one in old:
                update.delete_data_file(one)
            for one in new:
                update.append_data_file(one)
    table.refresh()


def data_uris(table: Table) -> list[str]:
    """URIs of the data files of a table, sorted."""
    return sorted(task.file.file_path for task in table.scan().plan_files())
