"""Large row groups that fit into memory, read in shares with rows from all over the row group.

`onepass.lake.spilled_row_groups` gives the same shares of those that do not fit.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from onepass.arrays import as_batch
from onepass.lake.rowgroups import Whole
from onepass.lake.spread import Spread


class SpreadWhole(Whole):
    """A row group that is decoded as a whole, and whose slices have rows from all over it.

    Parameters
    ----------
    decode
        Returns all rows.
    spread
        Cut of the row group into shares.
    """

    def __init__(self, decode: Callable[[], pa.RecordBatch], spread: Spread) -> None:
        super().__init__(decode, spread.n_shares)
        self._spread = spread

    def take(self, offset: int, n_rows: int) -> pa.RecordBatch:
        """Return a copy of the rows of share number `offset`; each can be taken once."""
        del n_rows
        rows = self._all_rows()
        return _joined([rows.slice(*piece) for piece in self._spread.pieces(offset)])


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Join batches of the same columns; a single batch is not copied."""
    return parts[0] if len(parts) == 1 else as_batch(pa.Table.from_batches(parts).combine_chunks())
