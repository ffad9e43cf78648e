"""Record the steps of a run, or act at one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry
from onepass.training.progress import Progress
from places import copy_model


class Recorder(Progress):
    """Records what a run reports.

    Parameters
    ----------
    model
        Directory or URL of a model to copy after each commit; None copies nothing.
    """

    def __init__(self, model: str | Path | None = None) -> None:
        self._model = model
        self.entries: list[AnyEntry] = []
        """Entries that were reported as committed."""
        self.notes: list[str] = []
        """Warnings for the user."""
        self.copies: dict[int, str] = {}
        """Copy of the model, by the version that was newest then."""

    @property
    def version(self) -> int:
        """The newest version that was reported as committed; 0 before the first."""
        return max((entry.version for entry in self.entries), default=0)

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        self.entries.append(entry)
        if self._model is not None:
            copy = f"{self._model}-at-{entry.version}"
            copy_model(self._model, copy)
            self.copies[entry.version] = copy

    def noted(self, message: str) -> None:
        self.notes.append(message)

    def told(self, message: str) -> None:
        self.notes.append(message)


class At(Recorder):
    """Acts at a step of a run, and records like a `Recorder`.

    Parameters
    ----------
    step
        ``started`` is taken before the first row is read, ``advanced`` after each block,
        ``committed`` after each entry.
    action
        Receives all rows, the rows of the block, or the entry.
    call
        Number of the step to act at, from 1; None acts at each.
    """

    def __init__(
        self,
        step: Literal["started", "advanced", "committed"],
        action: Callable[[Any], object],
        call: int | None = 1,
    ) -> None:
        super().__init__()
        self._step, self._action, self._call = step, action, call
        self._n_taken = 0

    def started(self, n_partitions: int, n_rows: int) -> None:
        self._take("started", n_rows)

    def advanced(self, n_rows: int) -> None:
        self._take("advanced", n_rows)

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        super().committed(entry, total)
        self._take("committed", entry)

    def _take(self, step: str, value: Any) -> None:
        if step == self._step:
            self._n_taken += 1
            if self._call in {None, self._n_taken}:
                self._action(value)
