"""Rows that an Iceberg table has deleted from one of its data files.

Position delete files are Parquet files of file paths and row numbers. A deletion vector is a bitmap
in a Puffin file. Both are read by the process that reads the rows; without pyiceberg.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.block import IntArray
from onepass.cloud.bucket import Bucket, RemoteObject
from onepass.cloud.url import is_url, object_url
from onepass.errors import BadPartition
from onepass.lake.column_chunks import check_texts
from onepass.lake.decoders import Decoders
from onepass.lake.discover import LakeFile
from onepass.lake.footer import read_footer
from onepass.lake.limits import DEFAULT_LIMITS
from onepass.lake.tables.roaring import decoded_64

_VECTOR_MAGIC = b"\xd1\xd3\x39\x64"

_BATCH_ROWS = 1 << 16
_MOST_KEPT_ROWS = 1 << 20
"""Most rows of a delete file that is kept in memory, split by data file: 16 MB for two files."""

_ADVICE = "Restore the file, or write the deletions anew by compacting the table."


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """A file with deleted rows, as its manifest describes it."""

    name: str
    """URI as the table has it."""
    location: str
    """Path or URL to open."""
    size: int
    rows: int
    """Number of rows; for a deletion vector, number of deleted rows."""
    offset: int | None = None
    """Start of a deletion vector in the file."""
    length: int | None = None

    def source(self) -> LakeFile:
        """Return the file as the readers of Parquet files want it."""
        remote = None
        if is_url(self.location):
            # Files of a table are never replaced, so there is no need to ask for an etag.
            remote = RemoteObject(object_url(self.location).path, self.size, None)
        return LakeFile(self.name, self.location, (), remote)


@dataclass(frozen=True, slots=True)
class DeletedByPosition:
    """Rows that position delete files name. It is an `onepass.lake.view.DeletedRows`."""

    identity: str
    key: str
    """Key of the data file, for messages."""
    data_file: str
    """URI of the data file as the table, and so a delete file, has it."""
    data_rows: int
    """Number of rows in the data file, deleted ones included."""
    files: tuple[DeleteFile, ...]
    known_rows: int | None
    """Number of deleted rows, if one file holds them all."""

    @property
    def n_rows(self) -> int:
        """Number of deleted rows; several files are read for it, because they may overlap."""
        return len(self.positions()) if self.known_rows is None else self.known_rows

    def positions(self) -> IntArray:
        """Read the numbers of the deleted rows, ascending."""
        found = np.unique(np.concatenate([self._positions_in(file) for file in self.files]))
        return found[found < self.data_rows]

    def _positions_in(self, file: DeleteFile) -> IntArray:
        try:
            if file.rows <= _MOST_KEPT_ROWS:
                return _split(file).get(self.data_file, np.empty(0, np.int64))
            found = [_of(self.data_file, batch) for batch in _batches(file)]
            return np.concatenate([np.empty(0, np.int64), *found])
        except (BadPartition, OSError, ValueError) as error:
            raise _unreadable(self.key, file, error) from None


@dataclass(frozen=True, slots=True)
class DeletedByVector:
    """Rows that a deletion vector names. It is an `onepass.lake.view.DeletedRows`."""

    identity: str
    key: str
    """Key of the data file, for messages."""
    file: DeleteFile
    data_rows: int
    """Number of rows in the data file, deleted ones included."""

    @property
    def n_rows(self) -> int:
        """Number of deleted rows, as the manifest has it."""
        return self.file.rows

    def positions(self) -> IntArray:
        """Read the numbers of the deleted rows, ascending."""
        try:
            return vector_positions(_range(self.file), self.file.rows, self.data_rows)
        except (OSError, ValueError) as error:
            raise _unreadable(self.key, self.file, error) from None


def count_targets(file: DeleteFile) -> dict[str, int]:
    """Count the rows of a position delete file by the data file that they name.

    Raises
    ------
    BadPartition
        If it cannot be read.
    """
    found: dict[str, int] = {}
    try:
        for batch in _batches(file, ["file_path"]):
            for one in pc.value_counts(batch.column(0)).to_pylist():
                found[one["values"]] = found.get(one["values"], 0) + one["counts"]
    except (BadPartition, OSError, ValueError) as error:
        raise _unreadable(file.name, file, error) from None
    return found


def vector_positions(blob: bytes, n_deleted: int, n_rows: int) -> IntArray:
    """Decode a blob `deletion-vector-v1` into ascending row numbers.

    The blob is a length (4 bytes, big endian), 4 bytes of magic, a 64-bit Roaring bitmap in the
    portable format, and the CRC-32 (big endian) of magic and bitmap:
    https://iceberg.apache.org/puffin-spec/#deletion-vector-v1-blob-type

    Parameters
    ----------
    n_deleted, n_rows
        Number of deleted rows and of all rows of the data file.

    Raises
    ------
    ValueError
        If it is damaged, or does not have `n_deleted` rows below `n_rows`.
    """
    length = int.from_bytes(blob[:4], "big")
    body, check = blob[4 : 4 + length], blob[4 + length : 8 + length]
    if len(body) != length or body[:4] != _VECTOR_MAGIC:
        raise ValueError("expected a deletion vector")
    if zlib.crc32(body) != int.from_bytes(check, "big") or len(check) != 4:
        raise ValueError("the checksum of the deletion vector does not fit")
    found = decoded_64(body[4:], n_deleted)
    if n_deleted and found[-1] >= n_rows:
        raise ValueError(f"expected rows of {n_rows:,}, found row {found[-1]:,}")
    return found


@lru_cache(maxsize=2)
def _split(file: DeleteFile) -> dict[str, IntArray]:
    """Read a delete file whole, because each data file of a partition asks for it."""
    found: dict[str, list[IntArray]] = {}
    for batch in _batches(file):
        codes = batch.column(0).dictionary_encode()
        codes = codes if isinstance(codes, pa.DictionaryArray) else codes.combine_chunks()
        numbers, rows = codes.indices.to_numpy(zero_copy_only=False), _rows(batch)
        for code, name in enumerate(codes.dictionary.to_pylist()):
            found.setdefault(name, []).append(rows[numbers == code])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _of(data_file: str, batch: pa.RecordBatch) -> IntArray:
    rows: IntArray = _rows(batch)[pc.equal(batch.column(0), data_file).to_numpy(False)]
    return rows


def _rows(batch: pa.RecordBatch) -> IntArray:
    rows: IntArray = batch.column(1).cast(pa.int64()).to_numpy(zero_copy_only=False)
    if rows.dtype != np.int64 or (rows < 0).any():
        raise ValueError("expected row numbers from 0")
    return rows


def _batches(
    file: DeleteFile, columns: tuple[str, ...] | list[str] = ("file_path", "pos")
) -> Iterator[pa.RecordBatch]:
    names, source = list(columns), file.source()
    footer = read_footer(source)
    if missing := set(names) - set(footer.schema.names):
        raise ValueError(f"expected the columns file_path and pos, found no {missing.pop()}")
    decoders = Decoders(source, footer, names, ["file_path"], 1, DEFAULT_LIMITS)
    for group in range(footer.metadata.num_row_groups):
        for batch in decoders.slices(group, names, _BATCH_ROWS):
            check_texts(batch)
            if any(column.null_count for column in batch.columns):
                raise ValueError("expected a file path and a row number in each row, found null")
            yield batch


def _range(file: DeleteFile) -> bytes:
    start, end = file.offset or 0, (file.offset or 0) + (file.length or 0)
    if not 0 <= start <= end <= file.size:
        raise ValueError("its manifest names a place outside of it")
    if is_url(file.location):
        url = object_url(file.location)
        return Bucket(url).get_range(url.path, start, end, None)
    with open(file.location, "rb") as source:
        source.seek(start)
        return source.read(end - start)


def _unreadable(key: str, file: DeleteFile, error: Exception) -> BadPartition:
    reason = error.reason if isinstance(error, BadPartition) else str(error)
    return BadPartition(
        f"the rows that {file.name!r} deletes cannot be read: {reason}", path=key, advice=_ADVICE
    )
