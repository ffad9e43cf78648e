"""The results of a run of the train flow for one model, which artifacts and events show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from onepass.actions.evaluate import EvaluateReport
from onepass.actions.publish import Publication
from onepass.job import Job
from onepass.ledger.entries import TrainEntry
from onepass.model.directory import OpenModel
from onepass.training.report import TrainReport
from prefect_onepass.figures import mean
from prefect_onepass.past_runs import holdout_losses
from prefect_onepass.run_report import FinishedRun

if TYPE_CHECKING:
    from onepass.report.write import PageReport


@dataclass(frozen=True, slots=True)
class Group:
    """The entries that one train task has committed."""

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
        return mean((entry.rows, entry.loss) for entry in self.entries)

    @property
    def constant_loss(self) -> float | None:
        """Loss of the best constant of each commit, mean per row."""
        return mean((entry.rows, entry.metrics.get("constant_loss")) for entry in self.entries)


@dataclass(slots=True)
class Outcome:
    """The results of a run for the model of one label so far."""

    job: Job
    """The complete job: the fields of the form and those of the model."""
    model: OpenModel
    """The model, with its log after training."""
    trained: TrainReport
    """All that the run has trained."""
    since: int
    """Newest version before the run."""
    groups: list[Group] = field(default_factory=list)
    """The entries of each train task, oldest first."""
    holdout: EvaluateReport | None = None
    holdout_error: str | None = None
    """Message of the error, if the evaluation on the holdout lake failed."""
    publication: Publication | None = None
    """Which version predictions use after the run; None if the version was refused."""
    refusal: str | None = None
    """Message of the error, if the guard has refused the version."""
    page: PageReport | None = None
    """The report page that was written, if one was asked for."""
    report: str | None = None
    """The markdown report of the run; None for a quiet run."""
    warnings: Sequence[str] = ()
    """Warnings that the report shows, the worst first."""
    error: Exception | None = None
    """The error by which the evaluation or the publication has ended, if one has."""

    @property
    def label(self) -> str:
        """Column that the model predicts."""
        return self.job.label

    @property
    def is_quiet(self) -> bool:
        """Whether the run found nothing to train, and no file to leave out."""
        trained = self.trained
        return not (trained.partitions or trained.skipped or trained.quarantined)

    @property
    def newest(self) -> str | None:
        """Time of the newest commit that counts and that learnt rows, in ISO 8601."""
        trained = self.model.ledger.history.trained()
        return trained[-1].time if trained else None

    def finished(self) -> FinishedRun:
        """Return what the pages of the run are made from."""
        return FinishedRun(
            job=self.job,
            model_id=self.model.file.id,
            history=self.model.ledger.history,
            since=self.since,
            trained=self.trained,
            holdout=self.holdout,
            holdout_error=self.holdout_error,
            refusal=self.refusal,
            page=self.page,
            holdouts=self._holdouts(),
        )

    def _holdouts(self) -> dict[int, float]:
        """Return the loss of each version on the files of the holdout lake, as recorded."""
        if self.holdout is None:
            return {}
        store, history = self.model.store, self.model.ledger.history
        return holdout_losses(store, history, self.holdout)

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain values, as the flow returns it."""
        trained = self.trained
        return {
            "label": self.label,
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
            "published": None if self.publication is None else self.publication.model_dump(),
            "report": self.report,
        }
