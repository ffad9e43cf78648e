"""Check a footer before its content is used, because pyarrow checks parts of it late or never.

The claims about column chunks are compared with the schema and the size of the file. Then pyarrow's
Parquet reader runs over an empty file: it raises an exception at chunk metadata that it cannot use,
such as a flipped bit in a histogram of levels.
"""

from __future__ import annotations

import io
import threading
import weakref
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onepass.block import IntArray
from onepass.errors import BadPartition
from onepass.lake.chunks import TYPES, ColumnChunks

_RELEASE_SECONDS = 1.0
"""Seconds to wait for Arrow's threads to release a file."""


_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "FLOAT": 4, "DOUBLE": 8}
"""Bytes of a value in statistics, by physical type; of others pyarrow takes any length."""


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
    groups: Sequence[int],
    columns: Sequence[int],
    *,
    empty_file: Callable[[int], EmptyFile] = EmptyFile,
) -> None:
    """Make pyarrow's reader check the metadata of column chunks.

    The check takes about as long as parsing the footer, so callers do it once for each content and
    not at every read of a footer.

    Parameters
    ----------
    nbytes
        Size of the file.
    groups, columns
        Numbers of the row groups and columns to check.
    empty_file
        Makes the file that the reader runs over.

    Raises
    ------
    OSError, pa.ArrowException
        If the metadata of a chunk is corrupt.
    """
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
    """The column, by the name under which it is read; by its path where the footer is checked."""
    reason: str
    """The claim and what contradicts it."""


def contradictions(
    metadata: pq.FileMetaData, chunks: ColumnChunks, nbytes: int
) -> list[Contradiction]:
    """Find chunks whose claims contradict the footer or the size of the file.

    Parameters
    ----------
    chunks
        Claims of the same footer about its chunks.
    nbytes
        Size of the file.

    Raises
    ------
    OSError, pa.ArrowException
        If pyarrow cannot open the file at all.
    """
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    found = _false_claims(chunks, np.array(rows, np.int64), nbytes)
    wrong = {one.column for one in found}
    left = [i for i, path in enumerate(chunks.paths) if path not in wrong]
    return found + _unreadable(metadata, chunks.paths, left, nbytes)


def _false_claims(chunks: ColumnChunks, rows: IntArray, nbytes: int) -> list[Contradiction]:
    """Find claims about types, numbers of values and places of pages that cannot be true."""
    expected = np.array([TYPES.index(name) for name in chunks.types], np.int64)
    first, length = chunks.places()
    wrong_type = chunks.type_numbers != expected
    wrong_number = (chunks.num_values != rows[:, None]) & np.array(chunks.is_flat, bool)
    # A sum of two corrupt numbers could overflow.
    wrong_place = (first < 0) | (length < 0) | (first > nbytes - length)
    # pyarrow decodes them, and refuses the pages of the chunk if it cannot.
    widths = np.array([_WIDTHS.get(name, 0) for name in chunks.types], np.int64)
    bounds = chunks.bounds_bytes()
    wrong_bounds = (bounds >= 0) & (bounds < widths)
    wrong = wrong_type | wrong_number | wrong_place | wrong_bounds
    found = []
    for group, column in np.argwhere(wrong).tolist():
        if wrong_type[group, column]:
            claimed = chunks.type_numbers[group, column]
            is_known = 0 <= claimed < len(TYPES)
            reason = (
                f"the schema has {chunks.types[column]} values, but the footer promises "
                f"{TYPES[claimed] if is_known else 'none'}"
            )
        elif wrong_number[group, column]:
            promised = chunks.num_values[group, column]
            reason = f"the footer promises {rows[group]} rows, but {promised} values"
        elif wrong_bounds[group, column]:
            reason = (
                f"the statistics have a value of {bounds[group, column]} bytes, but values of type "
                f"{chunks.types[column]} have {widths[column]}"
            )
        else:
            start, end = int(first[group, column]), int(first[group, column])
            end += int(length[group, column])
            reason = f"the footer places pages at {start} to {end} of {nbytes} bytes"
        found.append(Contradiction(group, chunks.paths[column], reason))
    return found


def _unreadable(
    metadata: pq.FileMetaData, paths: list[str], columns: list[int], nbytes: int
) -> list[Contradiction]:
    """Find the first chunk of each column that pyarrow's reader refuses."""
    groups = range(metadata.num_row_groups)
    if _refusal(metadata, nbytes, groups, columns) is None:
        return []
    # Raise for what has nothing to do with a column.
    look_through(metadata, nbytes, groups, [])
    found = []
    for column in columns:
        if error := _refusal(metadata, nbytes, groups, [column]):
            refuses = partial(_refuses_until, metadata, nbytes, column)
            group = bisect_left(groups, True, key=refuses)
            reason = f"cannot read the metadata: {error}"
            found.append(Contradiction(group, paths[column], reason))
    return found


def _refuses_until(metadata: pq.FileMetaData, nbytes: int, column: int, group: int) -> bool:
    """Return whether a chunk of a column is refused in a row group or one before it."""
    return _refusal(metadata, nbytes, range(group + 1), [column]) is not None


def _refusal(
    metadata: pq.FileMetaData, nbytes: int, groups: Sequence[int], columns: Sequence[int]
) -> str | None:
    try:
        look_through(metadata, nbytes, groups, columns)
    except (OSError, pa.ArrowException) as error:
        return str(error)
    return None


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
        # A whole struct has a column for each of its fields.
        if one.column in names or one.column.split(".")[0] in names:
            raise BadPartition(one.reason, path=path, row_group=one.row_group, column=one.column)
