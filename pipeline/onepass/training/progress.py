"""What a run tells while it goes on; the base class says nothing."""

from __future__ import annotations

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry


class Progress:
    """Receives the steps of a run. Override what is of interest."""

    def started(self, n_partitions: int, n_rows: int) -> None:
        """So much is to be done."""

    def advanced(self, n_rows: int) -> None:
        """So many more rows have been read and learnt, evaluated or scored."""

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """A partition has been trained or skipped; `total` is the run's progressive loss so far."""

    def noted(self, message: str) -> None:
        """Something the user should know."""
