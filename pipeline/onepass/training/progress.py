"""Receive the steps of a run while it goes on."""

from __future__ import annotations

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry


class Progress:
    """Receives the steps of a run and does nothing with them; override those of interest."""

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Receive the size of the work that begins."""

    def advanced(self, n_rows: int) -> None:
        """Receive the number of rows that have been learnt, evaluated or scored since the last."""

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Receive an entry that trains or skips partitions, once it is durable.

        Parameters
        ----------
        total
            Progressive metrics of the run so far.
        """

    def noted(self, message: str) -> None:
        """Receive a warning for the user."""
