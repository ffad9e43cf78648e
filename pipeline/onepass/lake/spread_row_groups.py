"""Large row groups that are read in shares, each with rows from all over the row group.

A row group that fits into memory is decoded once. One that does not is decoded several times, and
each pass over it keeps the rows of a few shares. Both give the same shares.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from onepass.arrays import as_batch
from onepass.lake.column_chunks import check_texts
from onepass.lake.spread import Spread


class SpreadWhole:
    """A row group that the first `take` decodes as a whole; see `onepass.lake.rowgroups.RowGroup`.

    Parameters
    ----------
    decode
        Returns all rows.
    spread
        Cut of the row group into shares.
    """

    def __init__(self, decode: Callable[[], pa.RecordBatch], spread: Spread) -> None:
        self._decode, self._spread, self._n_left = decode, spread, spread.n_shares
        self._lock = threading.Lock()
        self._rows: pa.RecordBatch | None = None

    @property
    def is_used_up(self) -> bool:
        """Whether all shares have been taken."""
        return not self._n_left

    def take(self, offset: int, n_rows: int) -> pa.RecordBatch:
        """Return a copy of the rows of share number `offset`; each can be taken once."""
        del n_rows
        with self._lock:
            rows = self._rows if self._rows is not None else self._decode()
            self._n_left -= 1
            self._rows = rows if self._n_left else None
        return _joined([rows.slice(*piece) for piece in self._spread.pieces(offset)])


class SpreadPasses:
    """A row group that is decoded in several passes; see `onepass.lake.rowgroups.RowGroup`.

    Parameters
    ----------
    batches
        Returns all rows, batch by batch, anew at each call; texts have not been checked.
    spread
        Cut of the row group into shares.
    n_bytes
        Memory for the shares that a pass keeps, unless a single share takes more.
    row_bytes
        Estimated memory of a decoded row.
    """

    def __init__(
        self,
        batches: Callable[[], Iterator[pa.RecordBatch]],
        spread: Spread,
        n_bytes: int,
        row_bytes: float,
    ) -> None:
        self._batches, self._spread, self._n_bytes = batches, spread, n_bytes
        self._n_kept = max(1, int(n_bytes / max(1.0, row_bytes * max(1, spread.rows(0)))))
        self._left = set(range(spread.n_shares))
        self._kept: dict[int, list[pa.RecordBatch]] = {}
        self._lock = threading.Lock()

    @property
    def is_used_up(self) -> bool:
        """Whether all shares have been taken."""
        return not self._left

    def take(self, offset: int, n_rows: int) -> pa.RecordBatch:
        """Return the rows of share number `offset`; each can be taken once."""
        del n_rows
        with self._lock:
            if offset not in self._left:
                raise pa.ArrowInvalid(f"share {offset} is not there, or was taken before")
            if offset not in self._kept:
                self._pass(offset)
            self._left.discard(offset)
            parts = self._kept.pop(offset)
        return _joined(parts)

    def _pass(self, first: int) -> None:
        """Decode the row group once, and keep `first` and the next shares that are left."""
        # Parts of different shares are views of the same memory, so copy what is still to be taken.
        # A thread must not wait for others to take it: their tasks may have been cancelled.
        self._kept = {share: [_copied(parts)] for share, parts in self._kept.items()}
        missing = sorted(
            share for share in self._left if share >= first and share not in self._kept
        )
        while True:
            found = self._collected(missing[: self._n_kept])
            if found is not None:
                self._kept |= found
                return
            # Texts are longer than the footer tells.
            self._n_kept = max(1, self._n_kept // 2)

    def _collected(self, shares: list[int]) -> dict[int, list[pa.RecordBatch]] | None:
        """Return the parts of some shares; None if they take too much memory."""
        pieces = sorted(
            (first, rows, share) for share in shares for first, rows in self._spread.pieces(share)
        )
        found: dict[int, list[pa.RecordBatch]] = {share: [] for share in shares}
        at, n_bytes, next_piece = 0, 0, 0
        for batch in self._batches():
            check_texts(batch)
            cuts: list[tuple[int, pa.RecordBatch]] = []
            end = at + batch.num_rows
            while next_piece < len(pieces) and pieces[next_piece][0] < end:
                first, rows, share = pieces[next_piece]
                start, stop = max(first, at), min(first + rows, end)
                cuts.append((share, batch.slice(start - at, stop - start)))
                if first + rows > end:
                    break
                next_piece += 1
            at = end
            if cuts:
                # A slice would keep the whole batch in memory.
                copied, start = _copied([rows for _, rows in cuts]), 0
                n_bytes += _own_bytes(copied)
                for share, part in cuts:
                    found[share].append(copied.slice(start, part.num_rows))
                    start += part.num_rows
            if n_bytes > 1.25 * self._n_bytes and len(shares) > 1:
                return None
        if at != self._spread.n_rows:
            expected = self._spread.n_rows
            raise pa.ArrowInvalid(f"the footer promises {expected} rows, the pages hold {at}")
        return found


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Join batches of the same columns; a single batch is not copied."""
    return parts[0] if len(parts) == 1 else as_batch(pa.Table.from_batches(parts).combine_chunks())


def _copied(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Join copies of batches of the same columns."""
    return parts[0].take(pa.array(np.arange(len(parts[0])))) if len(parts) == 1 else _joined(parts)


def _own_bytes(rows: pa.RecordBatch) -> int:
    """Return the bytes of a batch, without dictionaries, which batches share."""
    columns = [c.indices if pa.types.is_dictionary(c.type) else c for c in rows.columns]
    return sum(column.nbytes for column in columns)
