"""A large row group that fits into memory neither decoded nor with a page of each column open.

It is decoded once, a share of the columns at a time, into a temporary file. Each part, a slice or
rows from all over the row group, lies in the file as a few batches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from onepass.arrays import as_batch, has_codes, without_codes
from onepass.block import IntArray
from onepass.lake.column_chunks import check_texts
from onepass.lake.temporary_rows import Place, TemporaryRows

Batches = Callable[[], Iterator[pa.RecordBatch]]

_decoding = threading.Lock()
"""Held while a row group is decoded: one at a time may take the memory of all that are open."""


class Spilled:
    """A row group that the first `take` decodes; see `onepass.lake.rowgroups.RowGroup`.

    Parameters
    ----------
    shares
        For each share of the columns a function that returns all rows, batch by batch; texts have
        not been checked.
    pieces
        For each part first row and number of rows of its pieces, in stored order.
    step
        Difference between the offsets of neighbouring parts.
    dictionary_bytes
        Memory for dictionaries of texts; further texts are kept plain.
    """

    def __init__(
        self,
        shares: Sequence[Batches],
        pieces: Sequence[Sequence[tuple[int, int]]],
        step: int,
        dictionary_bytes: int,
    ) -> None:
        self._decode, self._step, self._dictionary_bytes = shares, step, dictionary_bytes
        self._pieces = _in_stored_order(pieces)
        self._left = set(range(len(pieces)))
        self._lock = threading.Lock()
        self._rows: TemporaryRows | None = None
        self._shares: list[_Share] = []
        self._n_left = len(pieces)

    @property
    def is_used_up(self) -> bool:
        """Whether all parts have been taken."""
        return not self._n_left

    def take(self, offset: int, n_rows: int) -> pa.RecordBatch:
        """Return the rows of the part at `offset`; each can be taken once."""
        del n_rows
        part = offset // self._step
        with self._lock:
            if part not in self._left:
                raise pa.ArrowInvalid(f"part {part} is not there, or was taken before")
            if self._rows is None:
                with _decoding:
                    self._rows = self._spilled()
            self._left.discard(part)
            rows, shares = self._rows, self._shares
        found = [share.read(rows, part) for share in shares]
        with self._lock:
            self._n_left -= 1
            if not self._n_left:
                rows.close()
                self._rows, self._shares = None, []
        fields = [field for batch in found for field in batch.schema]
        columns = [column for batch in found for column in batch.columns]
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))

    def _spilled(self) -> TemporaryRows:
        """Decode the row group; after an error nothing of it is kept."""
        rows, shares, free = TemporaryRows(), [], self._dictionary_bytes
        with ExitStack() as undo:
            # After an error its frames would keep the file.
            undo.callback(rows.close)
            for decode in self._decode:
                share = _Share(free)
                share.write(rows, decode(), self._pieces)
                free -= share.dictionary_bytes
                shares.append(share)
            undo.pop_all()
        self._shares = shares
        return rows


def _in_stored_order(pieces: Sequence[Sequence[tuple[int, int]]]) -> IntArray:
    """Return first row, end and part of each piece, in the order of rows, shape (n, 3)."""
    found = np.array(
        [(first, first + rows, part) for part, of in enumerate(pieces) for first, rows in of],
        dtype=np.int64,
    ).reshape(-1, 3)
    return found[np.argsort(found[:, 0], kind="stable")]


class _Share:
    """Some columns of the row group, as they lie in the file.

    Parameters
    ----------
    n_bytes
        Memory for dictionaries.
    """

    def __init__(self, n_bytes: int) -> None:
        self.dictionary_bytes = 0
        """Memory of the dictionaries that are kept."""
        self._n_bytes = n_bytes
        self._places: dict[int, list[tuple[Place, pa.Schema, dict[int, pa.Array]]]] = {}
        self._dictionaries: dict[int, pa.Array] = {}
        self._plain: set[int] = set()

    def write(
        self, rows: TemporaryRows, batches: Iterator[pa.RecordBatch], pieces: IntArray
    ) -> None:
        """Write every row to the part that it belongs to."""
        at = 0
        for batch in batches:
            check_texts(batch)
            stored, dictionaries = self._without_dictionaries(batch)
            order, parts = _by_part(pieces, at, at + batch.num_rows)
            # One copy for all parts takes a third of the time of a copy for each.
            stored = stored if order is None else stored.take(pa.array(order))
            for part, first, n_rows in parts:
                place = rows.write(stored.slice(first, n_rows))
                self._places.setdefault(part, []).append((place, stored.schema, dictionaries))
            at += batch.num_rows
        expected = int(pieces[-1, 1])
        if at != expected:
            raise pa.ArrowInvalid(f"the footer promises {expected} rows, the pages hold {at}")

    def read(self, rows: TemporaryRows, part: int) -> pa.RecordBatch:
        """Return the columns of one part; it can be read once."""
        found = [
            _with_dictionaries(rows.read(place, schema), dictionaries)
            for place, schema, dictionaries in self._places.pop(part)
        ]
        if any(batch.schema != found[0].schema for batch in found):
            # A dictionary did not fit any more, and texts became plain within the part.
            found = [_plain(batch) for batch in found]
        return _joined(found)

    def _without_dictionaries(
        self, batch: pa.RecordBatch
    ) -> tuple[pa.RecordBatch, dict[int, pa.Array]]:
        """Return the batch with codes in place of texts, and dictionaries by place of column."""
        columns, dictionaries = batch.columns, {}
        for place, column in enumerate(columns):
            if has_codes(column.type) and not pa.types.is_dictionary(column.type):
                # Codes within lists and maps are not worth their bookkeeping.
                columns[place] = column.cast(without_codes(column.type))
            if not pa.types.is_dictionary(column.type):
                continue
            if self._keeps(place, column.dictionary):
                columns[place] = column.indices
                dictionaries[place] = self._dictionaries[place]
            else:
                columns[place] = column.dictionary_decode()
        return pa.RecordBatch.from_arrays(columns, batch.schema.names), dictionaries

    def _keeps(self, place: int, dictionary: pa.Array) -> bool:
        """Keep a dictionary if memory allows; batches of one row group mostly have the same."""
        kept = self._dictionaries.get(place)
        if place in self._plain or (kept is not None and kept.equals(dictionary)):
            return place not in self._plain
        if self.dictionary_bytes + dictionary.nbytes > self._n_bytes:
            self._plain.add(place)
            return False
        self.dictionary_bytes += dictionary.nbytes
        self._dictionaries[place] = dictionary
        return True


def _by_part(
    pieces: IntArray, start: int, end: int
) -> tuple[IntArray | None, list[tuple[int, int, int]]]:
    """Return the order that brings rows `start` to `end` together by part, and each part in it.

    The order is None if it is that of the rows. A part is its number, first row and number of rows.
    """
    low = np.searchsorted(pieces[:, 1], start, "right")
    high = np.searchsorted(pieces[:, 0], end, "left")
    first, last, part = pieces[low:high].T
    first, last = np.maximum(first, start) - start, np.minimum(last, end) - start
    by_part = np.argsort(part, kind="stable")
    first, rows, part = first[by_part], (last - first)[by_part], part[by_part]
    at = np.cumsum(rows) - rows
    starts = np.flatnonzero(np.diff(part, prepend=-1))
    found = zip(part[starts], at[starts], np.add.reduceat(rows, starts), strict=True)
    parts = [(int(one), int(where), int(n)) for one, where, n in found]
    if np.array_equal(first, at):
        return None, parts
    return np.repeat(first - at, rows) + np.arange(rows.sum()), parts


def _with_dictionaries(batch: pa.RecordBatch, dictionaries: dict[int, pa.Array]) -> pa.RecordBatch:
    if not dictionaries:
        return batch
    columns = batch.columns
    for place, dictionary in dictionaries.items():
        columns[place] = pa.DictionaryArray.from_arrays(columns[place], dictionary)
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Join batches of the same columns; a single batch is not copied."""
    return parts[0] if len(parts) == 1 else as_batch(pa.Table.from_batches(parts))
