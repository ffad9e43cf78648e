"""Read footers, take fingerprints from them, and cut files into partitions."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onepass.cloud.bucket import Replaced
from onepass.errors import BadPartition
from onepass.lake.chunks import ColumnChunks, read_chunks
from onepass.lake.discover import LakeFile
from onepass.lake.file_columns import FileColumns, columns_of_leaves, resolved
from onepass.lake.footer_checks import Contradiction, contradictions
from onepass.lake.limits import DEFAULT_LIMITS
from onepass.lake.parquet_schema import parquet_schema
from onepass.lake.remote import RemoteFile, describe
from onepass.partition import Fingerprint, Partition

_MOST_FOOTER_BYTES = 256 << 20
"""Longest footer that is read: a sparse file can claim gigabytes without occupying the disk."""

_TAIL_BYTES = 64 << 10
"""Size of the first read in bytes; most footers fit into it."""
_MAGIC = b"PAR1"

_MOST_SEEN = 100_000
_seen: dict[tuple[int, str], list[Contradiction]] = {}
"""Contradictions of the footers that this process has checked, by size of the file and digest of
the footer. A run reads each footer several times."""


@dataclass(frozen=True, slots=True)
class Footer:
    """The parsed end of a Parquet file."""

    fingerprint: Fingerprint
    """Identity of the content that the footer was read from."""
    metadata: pq.FileMetaData
    """The footer as pyarrow parsed it; do not ask it for a column chunk (`onepass.lake.chunks`)."""
    chunks: ColumnChunks
    """Claims about the column chunks."""
    schema: pa.Schema
    """Columns that can be read, by the names and types under which they are read: those of the
    file's table if it has one, and one for each field of a struct. Key=value folders are not among
    them."""
    columns: FileColumns | None
    """Where these columns come from; None if all are read from the file as they are."""
    contradictions: list[Contradiction]
    """Claims about columns that cannot be true."""
    encrypted: bytes | None = None
    """The serialized footer, if columns of the file are encrypted."""

    def row_group_rows(self) -> list[int]:
        """Return the number of rows of each row group."""
        return [self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups)]

    def __reduce__(self) -> tuple[object, ...]:
        # pyarrow would serialize the metadata again, and crashes if columns are encrypted.
        parts = [getattr(self, one.name) for one in fields(self) if one.name != "metadata"]
        return _restored, (None if self.encrypted else self.metadata, parts)

    def empty(self, names: Iterable[str]) -> set[str]:
        """Return the flat columns among `names` that have no value, by statistics and by the table.

        The type of such a column means nothing, because its writer saw no value: pandas writes a
        number, Arrow null, Spark the type of the query.
        """
        wanted, chunks = set(names), self.chunks
        found = [i for i, one in enumerate(chunks.columns) if one in wanted and chunks.is_flat[i]]
        filled = np.flatnonzero(self.row_group_rows())
        are_null = (chunks.null_counts() == chunks.num_values)[filled].all(axis=0)
        absent = set() if self.columns is None else self.columns.absent & wanted
        return {chunks.columns[i] for i in found if are_null[i]} | absent

    def is_struct(self, name: str) -> bool:
        """Return whether a column can be read only as a whole struct, which is no feature."""
        return name not in self.schema.names and self.field(name) is not None

    def field(self, name: str) -> pa.Field | None:
        """Return a column that can be read, or a whole struct of a file without a table."""
        place = self.schema.names.index(name) if name in self.schema.names else -1
        if place >= 0:
            return self.schema.field(place)
        if self.columns is None or self.columns.of_table:
            return None
        found = parquet_schema(self.metadata).to_arrow_schema()
        return found.field(name) if name in found.names else None


def _restored(metadata: pq.FileMetaData | None, parts: list[Any]) -> Footer:
    encrypted = parts[-1]
    metadata = metadata or pq.read_metadata(pa.BufferReader(encrypted))
    return Footer(parts[0], metadata, *parts[1:])


def read_footer(file: LakeFile) -> Footer:
    """Read and parse the footer of one file.

    Raises
    ------
    BadPartition
        If the file is missing, unreadable, truncated or not Parquet, or its footer is corrupt.
    StoreRefused, StoreUnavailable
        If an object store does not give the footer.
    """
    try:
        footer, size, etag = _read_end(file)
        digest = hashlib.sha256(footer).hexdigest()
        # pyarrow parses the bytes that were read, and does not read the file a second time.
        metadata = pq.read_metadata(pa.BufferReader(footer))
        in_file = parquet_schema(metadata).to_arrow_schema()
        chunks = read_chunks(footer, metadata)
        found = _checked(metadata, in_file, chunks, size, digest)
        schema, columns = resolved(in_file, file.view)
    except BadPartition:
        raise
    except (OSError, pa.ArrowException, ValueError, MemoryError) as error:
        raise BadPartition(f"cannot read the Parquet footer: {error}", path=file.key) from None
    _check_row_counts(metadata, file.key)
    if len(_seen) >= _MOST_SEEN:
        _seen.clear()
    _seen[size, digest] = found
    fingerprint = Fingerprint(
        size=size,
        footer_sha256=digest,
        rows=metadata.num_rows,
        row_groups=metadata.num_row_groups,
        etag=etag,
        deleted=_deleted(file),
    )
    named = columns_of_leaves(chunks.paths, in_file, columns)
    column_of = dict(zip(chunks.paths, named, strict=True))
    found = [replace(one, column=column_of.get(one.column, one.column)) for one in found]
    chunks, encrypted = replace(chunks, columns=named), footer if chunks.is_encrypted else None
    return Footer(fingerprint, metadata, chunks, schema, columns, found, encrypted)


def _deleted(file: LakeFile) -> str | None:
    deleted = None if file.view is None else file.view.deleted
    return None if deleted is None else deleted.identity


def _checked(
    metadata: pq.FileMetaData, schema: pa.Schema, chunks: ColumnChunks, size: int, digest: str
) -> list[Contradiction]:
    """Check a footer, unless this process has checked it before; return its contradictions."""
    found = _seen.get((size, digest))
    if found is None:
        _check_fields(schema)
        found = contradictions(metadata, chunks, size)
    return found


def _check_fields(schema: pa.Schema) -> None:
    """Raise ValueError if a name is not UTF-8, or a column of nulls alone may hold none."""
    # pyarrow decodes the names on this access.
    schema.names  # noqa: B018
    for field in schema:
        if pa.types.is_null(field.type) or pa.types.is_nested(field.type):
            # A Dask worker would raise when it restores the schema.
            pickle.loads(pickle.dumps(field))


def _check_row_counts(metadata: pq.FileMetaData, key: str) -> None:
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    if sum(rows) != metadata.num_rows or min(rows, default=0) < 0:
        raise BadPartition(
            f"the footer claims {metadata.num_rows} rows, but row groups of {_brief(rows)}",
            path=key,
        )


def is_unchanged(file: LakeFile, fingerprint: Fingerprint) -> bool:
    """Return whether a file still has the size, footer, etag and deleted rows of a fingerprint.

    This is much faster than `read_footer`, because it does not parse the footer. The result is also
    False for a file that is missing or unreadable; `read_footer` raises the error that says why.
    """
    try:
        footer, size, etag = _read_end(file)
    except (OSError, pa.ArrowException, BadPartition):
        return False
    found = (size, hashlib.sha256(footer).hexdigest(), etag, _deleted(file))
    known = fingerprint
    return found == (known.size, known.footer_sha256, known.etag, known.deleted)


def _read_end(file: LakeFile) -> tuple[bytes, int, str | None]:
    """Return the footer as it is now, with the size and etag of its file."""
    if file.remote is None:
        return _read_local_end(file)
    found = file.remote
    while True:
        try:
            read_at = partial(_read_at, RemoteFile(file.location, found))
            return _footer_bytes(read_at, found.size, file.key), found.size, found.etag
        except Replaced:
            # If the object was replaced after the listing, read the footer of the new one.
            now = describe(file.location)
            if now == found:
                raise
            found = now


def _read_local_end(file: LakeFile) -> tuple[bytes, int, None]:
    # Without O_NONBLOCK, opening a pipe would block. A descriptor is several times faster than a
    # Python file, and a run over many small files opens each of them four times.
    descriptor = os.open(file.location, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadPartition("expected a file, found a pipe or a device", path=file.key)
        read_at = partial(os.pread, descriptor)
        return _footer_bytes(read_at, status.st_size, file.key), status.st_size, None
    finally:
        os.close(descriptor)


def _read_at(file: RemoteFile, length: int, offset: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _brief(rows: list[int]) -> str:
    return ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")


def _footer_bytes(read_at: Callable[[int, int], bytes], size: int, key: str) -> bytes:
    """Return the serialized footer, with its length and the magic bytes behind it.

    Parameters
    ----------
    read_at
        Reads a number of bytes at an offset.
    size
        Size of the file.
    """
    if size < 12:
        raise BadPartition(f"expected a Parquet file, found {size} bytes", path=key)
    known = min(size, _TAIL_BYTES)
    tail = read_at(known, size - known)
    if tail[-4:] != _MAGIC:
        raise BadPartition(
            f"expected a Parquet file ending in {_MAGIC!r}, found {tail[-4:]!r} "
            "(truncated, encrypted or not Parquet)",
            path=key,
        )
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if length > size - 4:
        raise BadPartition(
            f"the footer claims {length - 8} bytes, but the file has {size}", path=key
        )
    if length > _MOST_FOOTER_BYTES:
        raise BadPartition(
            f"expected a footer of at most {_MOST_FOOTER_BYTES:,} bytes, found one of "
            f"{length - 8:,}",
            path=key,
        )
    return tail[-length:] if length <= len(tail) else read_at(length, size - length)


def partitions(
    file: LakeFile, footer: Footer, split_bytes: int = DEFAULT_LIMITS.split_bytes
) -> Iterator[Partition]:
    """Cut a file into partitions: row-group ranges of about `split_bytes` uncompressed bytes.

    Only the footer and `split_bytes` decide the cut. A file without rows has no partition.
    """
    metadata = footer.metadata
    first, rows, nbytes = 0, 0, 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        rows += group.num_rows
        nbytes += group.total_byte_size
        last = index == metadata.num_row_groups - 1
        if (nbytes >= split_bytes or last) and rows:
            yield Partition(
                path=file.key,
                first_row_group=first,
                end_row_group=index + 1,
                rows=rows,
                fingerprint=footer.fingerprint,
            )
            first, rows, nbytes = index + 1, 0, 0
