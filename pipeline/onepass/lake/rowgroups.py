"""One large row group that several tasks read: decoded as a whole, or slice by slice.

Decoding as a whole is faster: Arrow's threads decode each column from its first page to its last
while its pages are in the cache. Slices switch between the columns, and return to a page of each
column when it has left the cache. But slices need less memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

import pyarrow as pa

from onepass.lake.column_chunks import check_texts


class RowGroup(Protocol):
    """A large row group; several threads may call it."""

    def take(self, offset: int, n_rows: int) -> pa.RecordBatch:
        """Return the rows from `offset` on, at most `n_rows`; each slice can be taken once."""
        ...

    @property
    def is_used_up(self) -> bool:
        """Whether all slices have been taken."""
        ...


class Whole:
    """A row group that the first `take` decodes as a whole.

    Slices are views; the memory is freed with the last of them.

    Parameters
    ----------
    decode
        Returns all rows.
    n_slices
        Number of slices that will be taken.
    """

    def __init__(self, decode: Callable[[], pa.RecordBatch], n_slices: int) -> None:
        self._decode, self._n_left = decode, n_slices
        self._lock = threading.Lock()
        self._rows: pa.RecordBatch | None = None

    @property
    def is_used_up(self) -> bool:
        """Whether all slices have been taken."""
        return not self._n_left

    def take(self, offset: int, n_rows: int) -> pa.RecordBatch:
        """See `RowGroup.take`."""
        return self._all_rows().slice(offset, n_rows)

    def _all_rows(self) -> pa.RecordBatch:
        """Return all rows, and let go of them if this is the last slice to be taken."""
        with self._lock:
            rows = self._rows if self._rows is not None else self._decode()
            self._n_left -= 1
            self._rows = rows if self._n_left else None
        return rows


class Sliced:
    """A row group that several decoders read slice by slice, each a share of the columns.

    The pages of most columns tend to end in the same slice, which then takes several times as long
    as others. With one decoder, all threads would wait for that slice. With several, a thread can
    decode the next slice of one share while other threads decode the other shares.

    Parameters
    ----------
    shares
        Batches of each decoder.
    rows
        Rows of a batch.
    n_slices
        Batches of each share.
    """

    def __init__(self, shares: list[Iterator[pa.RecordBatch]], rows: int, n_slices: int) -> None:
        self._shares = [_Share(batches, n_slices) for batches in shares]
        self._rows = rows
        self._schema: pa.Schema | None = None

    @property
    def is_used_up(self) -> bool:
        """Whether all slices have been taken."""
        return not self._shares[-1].n_left

    def take(self, offset: int, n_rows: int) -> pa.RecordBatch:
        """See `RowGroup.take`."""
        del n_rows
        found = _take_all(self._shares, offset // self._rows)
        for batch in found:
            check_texts(batch)
        if self._schema is None:
            self._schema = _schema_of_all(found)
        return _side_by_side(found, self._schema)


class Mixed:
    """A row group with some columns decoded as a whole and the others slice by slice.

    Parameters
    ----------
    parts
        Row groups with the same rows, each with some of the columns.
    """

    def __init__(self, parts: list[RowGroup]) -> None:
        self._parts = parts
        self._schema: pa.Schema | None = None

    @property
    def is_used_up(self) -> bool:
        """Whether all slices have been taken."""
        return all(part.is_used_up for part in self._parts)

    def take(self, offset: int, n_rows: int) -> pa.RecordBatch:
        """See `RowGroup.take`."""
        found = [part.take(offset, n_rows) for part in self._parts]
        if self._schema is None:
            self._schema = _schema_of_all(found)
        return _side_by_side(found, self._schema)


def _schema_of_all(batches: list[pa.RecordBatch]) -> pa.Schema:
    return pa.schema([field for batch in batches for field in batch.schema])


def _side_by_side(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """Join batches of the same rows into one with the columns of all."""
    if len(batches) == 1:
        return batches[0]
    columns = [column for batch in batches for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class _Share:
    """Batches of some columns of a large row group, for threads that take them in any order.

    A thread that asks for a later batch decodes the batches before it and keeps them for others. It
    must not wait for those threads: after a failure, their tasks may have been cancelled.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], n_left: int) -> None:
        self.n_left = n_left
        """Batches that have not been taken."""
        self.lock = threading.Lock()
        """Lock that the caller of `take` must hold."""
        self._batches = enumerate(batches)
        self._decoded: dict[int, pa.RecordBatch] = {}

    def take(self, number: int) -> pa.RecordBatch:
        """Return batch `number` of the row group; each can be taken once."""
        while number not in self._decoded:
            at, batch = next(self._batches, (None, None))
            if at is None:
                raise pa.ArrowInvalid(f"batch {number} is not there, or was taken before")
            self._decoded[at] = batch
        self.n_left -= 1
        return self._decoded.pop(number)


def _take_all(shares: list[_Share], number: int) -> list[pa.RecordBatch]:
    """Return batch `number` of every share, taking first from shares that no thread holds.

    If all threads took the shares in the same order, they would often wait for each other.
    """
    found: dict[int, pa.RecordBatch] = {}
    while len(found) < len(shares):
        left = [i for i in range(len(shares)) if i not in found]
        free = next((i for i in left if shares[i].lock.acquire(blocking=False)), None)
        if free is None:
            free = left[0]
            shares[free].lock.acquire()
        try:
            found[free] = shares[free].take(number)
        finally:
            shares[free].lock.release()
    return [found[i] for i in range(len(shares))]
