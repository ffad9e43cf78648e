"""The interface that receives the steps of a run as they happen."""

from __future__ import annotations

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry


class Progress:
    """Receives the steps of a run and ignores them; subclasses override methods of interest."""

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Receive the size of the work that begins.

        Parameters
        ----------
        n_partitions
            Number of units of the work: groups to train, partitions of a batch pass, or files to
            evaluate, score or compare.
        n_rows
            Number of rows of these units.
        """

    def advanced(self, n_rows: int) -> None:
        """Receive the number of rows learnt, evaluated, scored or compared since the last call."""

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Receive an entry that trains or skips partitions, once it is durable.

        Parameters
        ----------
        entry
            The entry, as it is in the log.
        total
            Progressive metrics of the run so far.
        """

    def looked(self, n_rows: int, total: int) -> None:
        """Receive how far a look at the labels of the lake has come, before a model is created.

        Parameters
        ----------
        n_rows
            Number of rows looked at since the last call.
        total
            Number of rows to look at in all.
        """

    def noted(self, message: str) -> None:
        """Receive a warning for the user."""
