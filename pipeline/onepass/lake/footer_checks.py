"""Look through a footer before anybody relies on it: pyarrow checks parts of it late or never.

pyarrow builds what it tells about a column chunk without catching its own exceptions, so that a
flipped bit in a histogram of levels ends the process. Its reader builds the same within bounds, and
before it asks for a page; so it is let loose on a file that has none.
"""

from __future__ import annotations

import io
import threading
import weakref
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.errors import BadPartition

_PATIENCE_SECONDS = 1.0


class _NoPages(io.RawIOBase):
    """A file of a certain size with nothing in it."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes, self._at = nbytes, 0
        self.was_read = False
        """Whether a page has been asked for: all chunks have been looked through by then."""

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
        # No exception: Arrow keeps those for ever, and with their traceback the footer.
        self.was_read = True
        return b""


def look_through(metadata: pq.FileMetaData, nbytes: int) -> None:
    """Let pyarrow build what it knows of every column chunk, where it raises and does not abort.

    A third of a millisecond, and 0.6 microseconds a chunk; parsing the footer takes 0.2 and 1.6. So
    it is done once for a content, not whenever a footer is read.

    Parameters
    ----------
    nbytes
        Size of the file.

    Raises
    ------
    OSError, pa.ArrowException
        If it cannot.
    """
    groups, columns = range(metadata.num_row_groups), range(metadata.num_columns)
    nothing = _NoPages(nbytes)
    # Pre-buffering begins with the places of all chunks.
    source = pq.ParquetFile(pa.PythonFile(nothing, mode="r"), metadata=metadata, pre_buffer=True)
    try:
        source.reader.read_row_groups(list(groups), column_indices=list(columns), use_threads=False)
    except OSError:
        if not nothing.was_read:
            raise
    # A thread of Arrow may hold the file for a moment longer. Were the process to end meanwhile,
    # the thread would be stopped as it lets go of it, and the process aborted (apache/arrow#34314).
    released = threading.Event()
    reference = weakref.ref(nothing, lambda _: released.set())
    del source, nothing
    if reference() is not None:
        released.wait(_PATIENCE_SECONDS)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What a footer claims of one column chunk that cannot be."""

    row_group: int
    column: str
    reason: str


def contradictions(metadata: pq.FileMetaData, nbytes: int) -> list[Contradiction]:
    """Compare what the footer claims of flat columns with itself and the file's size.

    Parameters
    ----------
    nbytes
        Size of the file.
    """
    schema = metadata.schema
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

    A row group that claims more rows than its columns have values, or pages beyond the end of the
    file, is refused before anything is allocated for it.

    Raises
    ------
    BadPartition
        Naming row group and column.
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
    """Nulls in a chunk by its statistics; None where they do not tell, or nothing sensible."""
    statistics = chunk.statistics
    if statistics is None or not statistics.has_null_count:
        return None
    found = int(statistics.null_count)
    return found if 0 <= found <= chunk.num_values else None
