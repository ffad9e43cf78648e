"""Write Delta tables by hand, as Spark lays them out: logs, checkpoints and deletion vectors.

deltalake writes none of what this module writes: deletion vectors, checkpoints of several parts or
with sidecars, column mapping by id. It reads them, and is the oracle for what is written here.
"""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyroaring import BitMap

Json = dict[str, Any]

_SPACE = uuid.UUID(int=0)

_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

_TYPES = {
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.bool_(): "boolean",
    pa.binary(): "binary",
    pa.date32(): "date",
    pa.timestamp("us", "UTC"): "timestamp",
    pa.timestamp("us"): "timestamp_ntz",
}


def z85(data: bytes) -> str:
    """Encode bytes, filled up with zeros to a multiple of four."""
    padded = data + b"\0" * (-len(data) % 4)
    return "".join(
        _LETTERS[number // 85**power % 85]
        for (number,) in struct.iter_unpack(">I", padded)
        for power in (4, 3, 2, 1, 0)
    )


def packed_rows(rows: list[int], *, native: bool = False) -> bytes:
    """Encode row numbers as a bitmap of Delta, in the portable or the older format."""
    parts: dict[int, BitMap] = {}
    for row in rows:
        parts.setdefault(row >> 32, BitMap()).add(row & 0xFFFF_FFFF)
    for one in parts.values():
        one.run_optimize()
    if not native:
        pieces = [struct.pack("<I", key) + one.serialize() for key, one in sorted(parts.items())]
        return struct.pack("<Iq", 1681511377, len(parts)) + b"".join(pieces)
    whole = [parts.get(key, BitMap()).serialize() for key in range(max(parts, default=-1) + 1)]
    framed = b"".join(struct.pack("<I", len(one)) + one for one in whole)
    return struct.pack("<Ii", 1681511376, len(whole)) + framed


def column(name: str, dtype: Any, number: int | None = None, stored: str | None = None) -> Json:
    """Return a field of the schema; with a number and a stored name if columns are mapped."""
    metadata: Json = {}
    if number is not None:
        metadata = {
            "delta.columnMapping.id": number,
            "delta.columnMapping.physicalName": stored or f"col-{uuid.uuid5(_SPACE, name)}",
        }
    kind = _TYPES[dtype] if isinstance(dtype, pa.DataType) else dtype
    return {"name": name, "type": kind, "nullable": True, "metadata": metadata}


@dataclass
class HandWritten:
    """A table that is written action by action."""

    root: Path
    columns: list[Json]
    partition: list[str] = field(default_factory=list)
    features: list[str] = field(default_factory=list)
    """Reader features; without them the table has reader version 1."""
    configuration: dict[str, str] = field(default_factory=dict)
    id: str = "11111111-2222-3333-4444-555555555555"
    version: int = -1
    n_names: int = 0

    def _name(self) -> uuid.UUID:
        self.n_names += 1
        return uuid.uuid5(_SPACE, f"{self.id} {self.n_names}")

    def __post_init__(self) -> None:
        (self.root / "_delta_log").mkdir(parents=True)

    @property
    def log(self) -> Path:
        """Folder of the log."""
        return self.root / "_delta_log"

    @property
    def protocol(self) -> Json:
        """The action `protocol`."""
        versions: Json = {"minReaderVersion": 1, "minWriterVersion": 2}
        if self.features:
            known = {"readerFeatures": self.features, "writerFeatures": self.features}
            versions = {"minReaderVersion": 3, "minWriterVersion": 7, **known}
        return {"protocol": versions}

    @property
    def metadata(self) -> Json:
        """The action `metaData`, of the columns as they are now."""
        schema = json.dumps({"type": "struct", "fields": self.columns})
        return {
            "metaData": {
                "id": self.id,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": schema,
                "partitionColumns": self.partition,
                "configuration": self.configuration,
                "createdTime": 1_700_000_000_000,
            }
        }

    def commit(self, operation: str, *actions: Json, **info: Any) -> int:
        """Write the next version; the first one tells protocol and metadata as well."""
        self.version += 1
        time = 1_700_000_000_000 + 60_000 * self.version
        told = {"commitInfo": {"timestamp": time, "operation": operation, **info}}
        first = [self.protocol, self.metadata] if self.version == 0 else []
        self.write_commit(self.version, [told, *first, *actions])
        return self.version

    def write_commit(self, version: int, actions: list[Json]) -> None:
        """Write the file of a commit."""
        text = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in actions)
        (self.log / f"{version:020}.json").write_text(text)

    def add(
        self,
        rows: pa.Table,
        values: dict[str, str | None] | None = None,
        folder: str = "",
        **more: Any,
    ) -> Json:
        """Write a data file, and return the action that adds it.

        Parameters
        ----------
        values
            Partition values as the log has them.
        folder
            Folder below the table, as it is on the disk.
        """
        name = f"part-00000-{self._name()}.c000.snappy.parquet"
        path = f"{folder}/{name}" if folder else name
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, self.root / path)
        # Spark writes the path as a URI: what stands on the disk is encoded once more.
        return {
            "add": {
                "path": quote(path, safe="/=:@!$&'()*+,;~-._"),
                "partitionValues": values or {},
                "size": (self.root / path).stat().st_size,
                "modificationTime": 1_700_000_000_000,
                "dataChange": True,
                "stats": json.dumps({"numRecords": rows.num_rows}),
                **more,
            }
        }

    def without(
        self, add: Json, rows: list[int], kind: str = "u", prefix: str = "", *, native: bool = False
    ) -> Json:
        """Return an action that adds a file again, without some of its rows.

        Parameters
        ----------
        kind
            ``u``, ``p`` or ``i``: where the deletion vector is kept.
        prefix
            Folder of its file, for ``u``.
        """
        data = packed_rows(rows, native=native)
        descriptor: Json = {"storageType": kind, "sizeInBytes": len(data), "cardinality": len(rows)}
        if kind == "i":
            descriptor["pathOrInlineDv"] = z85(data)
        else:
            name = self._name()
            file = self.root / prefix / f"deletion_vector_{name}.bin"
            file.parent.mkdir(exist_ok=True)
            # Another vector stands before this one in the file.
            framed = b"".join(_framed(one) for one in (packed_rows([0]), data))
            file.write_bytes(b"\x01" + framed)
            descriptor["offset"] = 1 + len(_framed(packed_rows([0])))
            here = f"file://{quote(str(file))}" if kind == "p" else f"{prefix}{z85(name.bytes)}"
            descriptor["pathOrInlineDv"] = here
        return {"add": {**add["add"], "deletionVector": descriptor}}

    def checkpoint(self, adds: list[Json], *, parts: int = 1, sidecars: str | None = None) -> None:
        """Write a checkpoint of the newest version.

        Parameters
        ----------
        adds
            Actions that add the files that count.
        parts
            Number of files, of which each has some of the actions.
        sidecars
            ``parquet`` or ``json``, the format of a file that names two others with the actions.
        """
        states = [self.protocol, self.metadata]
        stem = f"{self.version:020}.checkpoint"
        if sidecars is None:
            cut = [[*states, *adds][at::parts] for at in range(parts)]
            for at, actions in enumerate(cut, 1):
                middle = f".{at:010}.{parts:010}" if parts > 1 else ""
                _write_actions(self.log / f"{stem}{middle}.parquet", actions)
            return
        folder = self.log / "_sidecars"
        folder.mkdir(exist_ok=True)
        named = []
        for half in (adds[::2], adds[1::2]):
            file = folder / f"{self._name()}.parquet"
            _write_actions(file, half)
            told = {"sizeInBytes": file.stat().st_size, "modificationTime": 1_700_000_000_000}
            named.append({"sidecar": {"path": file.name, **told}})
        actions = [{"checkpointMetadata": {"version": self.version}}, *states, *named]
        target = self.log / f"{stem}.{self._name()}.{sidecars}"
        if sidecars == "json":
            target.write_text("".join(json.dumps(one) + "\n" for one in actions))
        else:
            _write_actions(target, actions)


def removed(add: Json, **more: Any) -> Json:
    """Return the action that removes a file, from the one that added it."""
    kept = ("path", "partitionValues", "size", "deletionVector", "dataChange")
    found = {name: add["add"][name] for name in kept if name in add["add"]}
    return {"remove": {**found, "deletionTimestamp": 1, "extendedFileMetadata": True, **more}}


def rows_by_deltalake(root: Path, version: int | None = None) -> pa.Table:
    """Return the rows of a table as deltalake's engine reads them."""
    return pa.table(DeltaTable(str(root), version=version).scan())


def _framed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data + struct.pack(">I", zlib.crc32(data))


_MAP = pa.map_(pa.string(), pa.string())
_ACTIONS = pa.schema(
    {
        "protocol": pa.struct(
            {
                "minReaderVersion": pa.int32(),
                "minWriterVersion": pa.int32(),
                "readerFeatures": pa.list_(pa.string()),
                "writerFeatures": pa.list_(pa.string()),
            }
        ),
        "metaData": pa.struct(
            {
                "id": pa.string(),
                "format": pa.struct({"provider": pa.string(), "options": _MAP}),
                "schemaString": pa.string(),
                "partitionColumns": pa.list_(pa.string()),
                "configuration": _MAP,
                "createdTime": pa.int64(),
            }
        ),
        "add": pa.struct(
            {
                "path": pa.string(),
                "partitionValues": _MAP,
                "size": pa.int64(),
                "modificationTime": pa.int64(),
                "dataChange": pa.bool_(),
                "stats": pa.string(),
                "deletionVector": pa.struct(
                    {
                        "storageType": pa.string(),
                        "pathOrInlineDv": pa.string(),
                        "offset": pa.int32(),
                        "sizeInBytes": pa.int32(),
                        "cardinality": pa.int64(),
                    }
                ),
            }
        ),
        "sidecar": pa.struct(
            {"path": pa.string(), "sizeInBytes": pa.int64(), "modificationTime": pa.int64()}
        ),
        "checkpointMetadata": pa.struct({"version": pa.int64()}),
    }
)


def _write_actions(path: Path, actions: list[Json]) -> None:
    pq.write_table(pa.Table.from_pylist([_as_maps(one) for one in actions], _ACTIONS), path)


def _as_maps(action: Json) -> Json:
    kind, fields = next(iter(action.items()))
    found = dict(fields)
    for name in ("partitionValues", "configuration"):
        if name in found:
            found[name] = list(found[name].items())
    if "format" in found:
        found["format"] = {**found["format"], "options": []}
    return {kind: found}
