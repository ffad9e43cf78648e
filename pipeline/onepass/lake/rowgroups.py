"""Large row groups on their way to several tasks: decoded at once, or slice by slice.

At once is what takes least time, where memory allows: each column is decoded from its first page to
its last, by Arrow's threads, while its pages lie in the cache. Of 30 columns a row takes 92 ns so,
and 130 in slices, which leave and come back to a page of every column.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

import pyarrow as pa

from onepass.lake.column_chunks import check_texts


class RowGroup(Protocol):
    """A large row group; safe to call from several threads."""

    def take(self, offset: int, n_rows: int) -> pa.RecordBatch:
        """Rows from `offset` on, once; as many as there are, at most `n_rows`."""
        ...

    @property
    def is_used_up(self) -> bool:
        """Whether all slices have been taken."""
        ...


class Whole:
    """A row group that is decoded at once when it is first asked for.

    Slices are views; the memory is let go with the last of them.

    Parameters
    ----------
    decode
        Gives all rows.
    n_slices
        That will be taken.
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
        with self._lock:
            rows = self._rows if self._rows is not None else self._decode()
            self._n_left -= 1
            self._rows = rows if self._n_left else None
        return rows.slice(offset, n_rows)


class Sliced:
    """A row group of which some columns each are decoded slice by slice.

    All columns come to the ends of their pages together, which takes three times as long as another
    slice, and everybody would wait; by shares the next slice is decoded right behind.

    Parameters
    ----------
    shares
        Batches of some of the columns each.
    rows
        Of a batch.
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
    """A row group of which some columns are decoded at once, and others slice by slice."""

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
    """The columns of several batches in one."""
    if len(batches) == 1:
        return batches[0]
    columns = [column for batch in batches for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class _Share:
    """Hands out the batches of some columns of a large row group to whichever thread asks.

    Nobody waits for another's turn: who comes early decodes what lies before and leaves it there.
    A slice may never be asked for, when the task of an earlier one has failed or was cancelled.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], n_left: int) -> None:
        self.n_left = n_left
        self.lock = threading.Lock()
        """To be held while a batch is taken."""
        self._batches = enumerate(batches)
        self._decoded: dict[int, pa.RecordBatch] = {}

    def take(self, number: int) -> pa.RecordBatch:
        """Batch `number` of the row group, once."""
        while number not in self._decoded:
            at, batch = next(self._batches, (None, None))
            if at is None:
                raise pa.ArrowInvalid(f"batch {number} is not there, or was taken before")
            self._decoded[at] = batch
        self.n_left -= 1
        return self._decoded.pop(number)


def _take_all(shares: list[_Share], number: int) -> list[pa.RecordBatch]:
    """Batch `number` of every share, of those first that no other thread is at.

    In a fixed order threads waited for each other a seventh of the time.
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
