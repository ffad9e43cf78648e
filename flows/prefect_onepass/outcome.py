"""What a run of the train flow has done; states, artifacts and events tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from onepass.actions.evaluate import EvaluateReport
from onepass.job import Job
from onepass.ledger.entries import TrainEntry
from onepass.ledger.history import History
from onepass.training.report import PlanReport, TrainReport


@dataclass(frozen=True, slots=True)
class Group:
    """What one train task has committed."""

    entries: Sequence[TrainEntry]
    """Log entries of the task, oldest first."""
    seconds: float
    """Seconds that the task took, the last commit included."""

    @property
    def rows(self) -> int:
        """Rows that the task has learnt."""
        return sum(entry.rows for entry in self.entries)

    @property
    def partitions(self) -> int:
        """Partitions that the task has learnt."""
        return sum(len(entry.partitions) for entry in self.entries)

    @property
    def loss(self) -> float | None:
        """Progressive loss, mean per row; None if no row was learnt."""
        return _mean(self.entries, lambda entry: entry.loss)

    @property
    def constant_loss(self) -> float | None:
        """Loss of the best constant of each commit, mean per row."""
        return _mean(self.entries, lambda entry: entry.metrics.get("constant_loss"))


@dataclass(slots=True)
class Outcome:
    """What a run has done so far."""

    job: Job
    """The complete job: the fields of the form and those of the model."""
    model_id: str
    planned: PlanReport
    """The first plan of the run."""
    trained: TrainReport
    """All that the run has trained."""
    newest: str | None
    """Time of the newest commit that counts and that learnt rows, in ISO 8601; None for none."""
    history: History
    """History of the model after training."""
    since: int
    """Newest version before the run."""
    groups: list[Group] = field(default_factory=list)
    """What each train task has committed, oldest first."""
    holdout: EvaluateReport | None = None
    holdout_error: str | None = None
    """Message of the error, if the evaluation on the holdout lake failed."""
    report: str | None = None
    """The markdown report of the run; None for a quiet run."""

    @property
    def is_quiet(self) -> bool:
        """Whether the run found nothing to train."""
        return not (self.trained.partitions or self.trained.skipped)

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain values, as the flow returns it."""
        trained = self.trained
        return {
            "model": trained.model,
            "version": trained.version,
            "partitions": trained.partitions,
            "rows": trained.rows,
            "skipped": trained.skipped,
            "state_sha256": trained.state_sha256,
            "trained": trained.model_dump(),
            "groups": [
                {
                    "version": group.entries[-1].version if group.entries else None,
                    "partitions": group.partitions,
                    "rows": group.rows,
                    "loss": group.loss,
                    "constant_loss": group.constant_loss,
                    "seconds": group.seconds,
                }
                for group in self.groups
            ],
            "holdout": None if self.holdout is None else self.holdout.model_dump(),
            "report": self.report,
        }


def _mean(entries: Sequence[TrainEntry], loss: Any) -> float | None:
    known = [(entry.rows, loss(entry)) for entry in entries if entry.rows]
    known = [(rows, value) for rows, value in known if value is not None]
    rows = sum(rows for rows, _ in known)
    return sum(rows * value for rows, value in known) / rows if rows else None
