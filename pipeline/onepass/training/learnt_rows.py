"""Report rows as they are learnt, and take those back that are learnt again after a fault."""

from __future__ import annotations

from onepass.training.progress import Progress


class LearntRows:
    """The rows of one model that a progress has received.

    Rows are reported block by block, before it is known whether their group has a bad page. They
    count once the group is committed.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._n_open = 0

    def advanced(self, n_rows: int) -> None:
        """Report rows that were learnt."""
        self._n_open += n_rows
        self._progress.advanced(n_rows)

    def commit(self) -> None:
        """Let the rows since the last commit count."""
        self._n_open = 0

    def undo(self) -> None:
        """Take back the rows since the last commit: the state goes back to it."""
        n_open, self._n_open = self._n_open, 0
        if n_open:
            self._progress.advanced(-n_open)
