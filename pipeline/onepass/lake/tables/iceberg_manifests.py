"""Read the manifests of an Iceberg table: which files a snapshot has.

pyiceberg decodes them, one entry at a time. The statistics of columns are dropped at once, because
those of 100,000 files would take more memory than all else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyiceberg.avro.decoder import StreamingBinaryDecoder
from pyiceberg.avro.file import AvroFile, Block
from pyiceberg.io import InputFile, InputStream
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
)

from onepass.errors import DataError
from onepass.lake.tables.iceberg_places import Read

DATA, POSITION_DELETES, EQUALITY_DELETES = 0, 1, 2

_PATH_ID = 2147483546
"""Field id of `file_path` in position delete files."""

ADDED, REMOVED = 1, 2
"""Status of an entry whose file the snapshot of the manifest has added or removed; 0 for others."""

_MANIFESTS = Schema(
    NestedField(500, "path", StringType(), required=True),
    NestedField(502, "spec_id", IntegerType(), required=True),
    NestedField(517, "content", IntegerType(), required=True, initial_default=DATA),
    NestedField(515, "sequence", LongType(), required=True, initial_default=0),
    NestedField(503, "snapshot", LongType(), required=True),
)

_FILE = [
    NestedField(134, "content", IntegerType(), required=True, initial_default=DATA),
    NestedField(100, "path", StringType(), required=True),
    NestedField(101, "format", StringType(), required=True),
    # Without fields, the partition is read with those of the manifest.
    NestedField(102, "partition", StructType(), required=True),
    NestedField(103, "rows", LongType(), required=True),
    NestedField(104, "size", LongType(), required=True),
    NestedField(131, "key", BinaryType(), required=False),
]
_DELETE_FILE = [
    NestedField(143, "target", StringType(), required=False),
    NestedField(144, "offset", LongType(), required=False),
    NestedField(145, "length", LongType(), required=False),
    NestedField(125, "lower", MapType(126, IntegerType(), 127, BinaryType()), required=False),
    NestedField(128, "upper", MapType(129, IntegerType(), 130, BinaryType()), required=False),
]


def _entries_schema(fields: list[NestedField]) -> Schema:
    return Schema(
        NestedField(0, "status", IntegerType(), required=True),
        NestedField(3, "sequence", LongType(), required=False),
        NestedField(2, "file", StructType(*fields), required=True),
    )


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file that lists data files or delete files."""

    path: str
    spec_id: int
    """Number of the partition spec of its files."""
    content: int
    """0 for data files, 1 for delete files."""
    sequence: int
    """Sequence number of files that have none of their own."""
    snapshot: int
    """Snapshot that wrote it."""


@dataclass(frozen=True, slots=True)
class ContentFile:
    """A data file or delete file, as a manifest has it."""

    path: str
    """URI as the table has it."""
    format: str
    content: int
    """`DATA`, `POSITION_DELETES` or `EQUALITY_DELETES`."""
    spec_id: int
    partition: tuple[Any, ...]
    """Values of the fields of the partition spec."""
    rows: int
    """Number of rows in the file; of deleted rows in a deletion vector."""
    size: int
    """Length of the file in bytes."""
    sequence: int
    """Deletes with a higher number, or with the same one by position, apply to a data file."""
    target: str | None = None
    """The only data file whose rows a delete file deletes; None if there may be several."""
    offset: int | None = None
    """Start of a deletion vector in its file."""
    length: int | None = None
    """Length of a deletion vector in bytes."""


def read_manifest_list(path: str, read: Read) -> list[Manifest]:
    """Read the manifests of a snapshot.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    return [Manifest(*values) for values in _records(path, read, _MANIFESTS)]


def read_manifest(manifest: Manifest, read: Read) -> Iterator[tuple[int, ContentFile]]:
    """Yield status and description of each file that a manifest names.

    Raises
    ------
    DataError
        If the manifest is missing or damaged, or names an encrypted file.
    """
    fields = _FILE + _DELETE_FILE if manifest.content else _FILE
    for status, sequence, file in _records(manifest.path, read, _entries_schema(fields)):
        known = manifest.sequence if sequence is None else sequence
        yield status, _content_file(manifest, known, *file._data[: len(fields)])


def _content_file(
    manifest: Manifest,
    sequence: int,
    content: int,
    path: str,
    form: str,
    partition: Any,
    rows: int,
    size: int,
    key: bytes | None,
    target: str | None = None,
    offset: int | None = None,
    length: int | None = None,
    lower: dict[int, bytes] | None = None,
    upper: dict[int, bytes] | None = None,
) -> ContentFile:
    if key is not None:
        raise DataError(f"the table's file {path!r} is encrypted, which onepass cannot read")
    if bool(manifest.content) != bool(content) or content not in (0, 1, 2):
        raise DataError(
            f"the manifest {manifest.path!r} is damaged: it lists {path!r} as content {content}"
        )
    if target is None and content == POSITION_DELETES:
        target = _only_target(lower or {}, upper or {})
    values = tuple(partition._data)
    return ContentFile(
        path, form.upper(), content, manifest.spec_id, values, rows, size, sequence,
        target, offset, length,
    )  # fmt: skip


def _only_target(lower: dict[int, bytes], upper: dict[int, bytes]) -> str | None:
    """Return the data file that all rows of a delete file name, if its bounds are the same."""
    low, high = lower.get(_PATH_ID), upper.get(_PATH_ID)
    return low.decode(errors="replace") if low and low == high else None


def _records(path: str, read: Read, schema: Schema) -> Iterator[tuple[Any, ...]]:
    data = read(path)
    try:
        source = _InMemory(path, data)
        with AvroFile[Any](source) as file:
            _check_blocks(data, file.decoder.tell(), file.header.sync)
            wanted = Schema(*_with_nested(schema.fields, file.schema.fields))
            kind = _ExactFile if _has_double(file.schema.as_struct()) else AvroFile[Any]
        with kind(source, wanted) as file:
            for record in file:
                yield tuple(record._data[: len(schema.fields)])
    except DataError:
        raise
    # Its decoders raise whatever damaged bytes lead to, from AssertionError to ZeroDivisionError.
    except Exception as error:
        raise DataError(
            f"the table's file of metadata {path!r} is damaged ({type(error).__name__}); restore it"
        ) from None


class _ExactFile(AvroFile[Any]):
    """A file whose doubles are read exactly: pyiceberg's fast decoder rounds them to 32 bits."""

    def _read_block(self) -> int:
        if self.block:
            self.decoder.skip(len(self.header.sync))
        n_records, data = self.decoder.read_int(), self.decoder.read_bytes()
        if codec := self.header.compression_codec():
            data = codec.decompress(data)
        self.block = Block(self.reader, n_records, StreamingBinaryDecoder(data))
        return n_records


def _has_double(found: StructType) -> bool:
    return any(
        isinstance(field.field_type, DoubleType)
        or (isinstance(field.field_type, StructType) and _has_double(field.field_type))
        for field in found.fields
    )


def _with_nested(wanted: Sequence[NestedField], found: Sequence[NestedField]) -> list[NestedField]:
    """Return fields to read, and the lists and maps of a file, which pyiceberg cannot skip."""
    below = {field.field_id: field.field_type for field in found}
    fields = []
    for field in wanted:
        inner = below.get(field.field_id)
        if isinstance(field.field_type, StructType) and isinstance(inner, StructType):
            struct = StructType(*_with_nested(field.field_type.fields, inner.fields))
            field = NestedField(field.field_id, field.name, struct, required=field.required)
        fields.append(field)
    ids = {field.field_id for field in wanted}
    nested = [one for one in found if one.field_id not in ids and not one.field_type.is_primitive]
    # A struct of no fields stands for all that the file has.
    return fields + (nested if wanted else [])


def _check_blocks(data: bytes, at: int, sync: bytes) -> None:
    """Raise EOFError unless a file ends with a whole block: pyiceberg takes the rest for its end.

    Each block is a number of records, a number of bytes, the bytes and 16 bytes of `sync`:
    https://avro.apache.org/docs/1.12.0/specification/#object-container-files
    """
    while at < len(data):
        for _ in range(2):
            n_bytes, at = _number(data, at)
        at += n_bytes
        if n_bytes < 0 or data[at : at + len(sync)] != sync:
            raise EOFError
        at += len(sync)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Decode a number of variable length with its sign in the lowest bit."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


class _InMemory(InputFile):
    """Bytes that were read, for pyiceberg."""

    def __init__(self, location: str, data: bytes) -> None:
        super().__init__(location)
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def exists(self) -> bool:
        """Return True."""
        return True

    def open(self, seekable: bool = True) -> InputStream:
        """Return a stream of the bytes."""
        return io.BytesIO(self._data)
