"""Large row groups that fit into memory, read in shares with rows from all over the row group.

`onepass.lake.spilled_row_groups` gives the same shares of those that do not fit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pyarrow as pa

from onepass.arrays import as_batch
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


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Join batches of the same columns; a single batch is not copied."""
    return parts[0] if len(parts) == 1 else as_batch(pa.Table.from_batches(parts).combine_chunks())
