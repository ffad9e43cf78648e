"""Check a footer before its content is used, because pyarrow checks parts of it late or never.

Corrupt chunk metadata, such as a flipped bit in a histogram of levels, can abort the process in
pyarrow's metadata accessors. The Parquet reader raises an exception instead. So `look_through` runs
the reader over an empty file first.
"""

from __future__ import annotations

import io
import threading
import weakref
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.errors import BadPartition
from onepass.lake.parquet_schema import parquet_schema

_RELEASE_SECONDS = 1.0
"""Seconds to wait for Arrow's threads to release a file."""


class EmptyFile(io.RawIOBase):
    """A file that claims a size and has no content.

    Parameters
    ----------
    nbytes
        Size that the file claims.
    """

    def __init__(self, nbytes: int) -> None:
        self._nbytes, self._at = nbytes, 0
        self.was_read = False
        """Whether a page has been requested; the reader has checked all chunks by then."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence, self._nbytes)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, n: int = -1) -> bytes:
        # Raise no exception: Arrow would keep it for ever, and its traceback the footer with it.
        self.was_read = True
        return b""


def look_through(
    metadata: pq.FileMetaData,
    nbytes: int,
    *,
    empty_file: Callable[[int], EmptyFile] = EmptyFile,
) -> None:
    """Make pyarrow's reader check the metadata of every column chunk.

    The check takes about as long as parsing the footer, so callers do it once for each content and
    not at every read of a footer.

    Parameters
    ----------
    nbytes
        Size of the file.
    empty_file
        Makes the file that the reader runs over.

    Raises
    ------
    OSError, pa.ArrowException
        If the metadata of a chunk is corrupt.
    """
    groups, columns = range(metadata.num_row_groups), range(metadata.num_columns)
    nothing = empty_file(nbytes)
    # With pre-buffering, the reader first computes the places of all chunks.
    source = pq.ParquetFile(pa.PythonFile(nothing, mode="r"), metadata=metadata, pre_buffer=True)
    try:
        source.reader.read_row_groups(list(groups), column_indices=list(columns), use_threads=False)
    except OSError:
        if not nothing.was_read:
            raise
    # A thread of Arrow may hold the file for a moment longer. If the process ended meanwhile, the
    # thread would be stopped while it releases the file, and the process would abort
    # (apache/arrow#34314).
    released = threading.Event()
    reference = weakref.ref(nothing, lambda _: released.set())
    del source, nothing
    if reference() is not None:
        released.wait(_RELEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A claim of a footer about one column chunk that cannot be true."""

    row_group: int
    """Row group of the chunk."""
    column: str
    """Path of the column in the Parquet schema."""
    reason: str
    """The claim and what contradicts it."""


def contradictions(metadata: pq.FileMetaData, nbytes: int) -> list[Contradiction]:
    """Find chunks of flat columns whose claims contradict the footer or the size of the file.

    Parameters
    ----------
    nbytes
        Size of the file.
    """
    schema = parquet_schema(metadata)
    columns = [(i, schema.column(i)) for i in range(metadata.num_columns)]
    flat = [(i, column.path) for i, column in columns if not column.max_repetition_level]
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for i, path in flat:
            reason = _contradiction(group.column(i), group.num_rows, nbytes)
            if reason:
                found.append(Contradiction(number, path, reason))
    return found


def check_claims(found: Iterable[Contradiction], names: Collection[str], path: str) -> None:
    """Refuse a footer that contradicts itself about a column to read.

    Examples are a row group that claims more rows than its columns have values, and pages beyond
    the end of the file. The refusal comes before memory is allocated for them.

    Parameters
    ----------
    found
        Contradictions of the footer.
    names
        Columns to read.
    path
        Key of the file, for the message.

    Raises
    ------
    BadPartition
        If there is such a contradiction; the error names row group and column.
    """
    for one in found:
        if one.column in names:
            raise BadPartition(one.reason, path=path, row_group=one.row_group, column=one.column)


def _contradiction(chunk: pq.ColumnChunkMetaData, n_rows: int, nbytes: int) -> str | None:
    first, length = chunk.data_page_offset, chunk.total_compressed_size
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        first = min(first, chunk.dictionary_page_offset)
    if chunk.num_values != n_rows:
        return f"the footer promises {n_rows} rows, but {chunk.num_values} values"
    if first < 0 or length < 0 or first + length > nbytes:
        return f"the footer places pages at {first} to {first + length} of {nbytes} bytes"
    return None


def null_count(chunk: pq.ColumnChunkMetaData) -> int | None:
    """Return the nulls of a chunk by its statistics; None if these are missing or impossible."""
    statistics = chunk.statistics
    if statistics is None or not statistics.has_null_count:
        return None
    found = int(statistics.null_count)
    return found if 0 <= found <= chunk.num_values else None
