"""The runs that a ledger tells of, to compare a run with those before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from onepass.actions.evaluate import EvaluateReport
from onepass.learn.metrics.stretches import LEAST_ROWS, SHARE
from onepass.ledger.entries import PlanEntry, TrainEntry
from onepass.ledger.history import History
from onepass.ledger.store import Store
from onepass.model.evaluations import read_records, recorded

MOST_RUNS = 10
"""Most runs that are compared."""


@dataclass(slots=True)
class PastRun:
    """Entries of one plan. A run that goes on with the plan of another is counted with it."""

    entries: list[TrainEntry] = field(default_factory=list)
    """Entries that learnt partitions, oldest first; at least one."""

    @property
    def version(self) -> int:
        """Newest version of the run."""
        return self.entries[-1].version

    @property
    def time(self) -> str:
        """Time of the newest version: day, hour and minute, UTC."""
        return self.entries[-1].time[:16].replace("T", " ")

    @property
    def n_partitions(self) -> int:
        """Partitions that were learnt, once for each epoch."""
        return sum(len(entry.partitions) for entry in self.entries)

    @property
    def rows(self) -> int:
        """Rows that were learnt, once for each epoch."""
        return sum(entry.rows for entry in self.entries)

    @property
    def rows_per_second(self) -> float:
        """Rows per second of learning, without planning and evaluation."""
        return self.rows / max(sum(entry.seconds for entry in self.entries), 1e-9)

    @property
    def first_epoch(self) -> list[TrainEntry]:
        """Entries of the first epoch of the plan: later epochs predict rows that were learnt."""
        return [entry for entry in self.entries if entry.epoch == self.entries[0].epoch]

    def losses(self) -> tuple[float | None, float | None]:
        """Return the progressive loss and that of the best constants; see `mean_losses`."""
        return mean_losses(self.first_epoch)

    def last_losses(self) -> tuple[float | None, float | None]:
        """Return `losses` of the last rows.

        They are the last entries with a tenth of the rows together, or the last tenth of the last
        entry if it has most of them. None if the run has few rows.
        """
        trained = [entry for entry in self.first_epoch if entry.loss is not None and entry.rows]
        rows, last = sum(entry.rows for entry in trained), list[TrainEntry]()
        while trained and sum(entry.rows for entry in last) * SHARE < rows:
            last.insert(0, trained.pop())
        n_last = sum(entry.rows for entry in last)
        if 2 * n_last <= rows and n_last >= LEAST_ROWS:
            return mean_losses(last)
        if not last or (own := last[-1].last_tenth) is None:
            return None, None
        return own.loss, own.metrics.get("constant_loss")


def past_runs(history: History) -> list[PastRun]:
    """Return the runs whose versions count and that have learnt something, oldest first."""
    found = [PastRun()]
    for entry in history.line():
        if isinstance(entry, PlanEntry):
            found.append(PastRun())
        elif isinstance(entry, TrainEntry):
            found[-1].entries.append(entry)
    return [run for run in found if run.entries]


def holdout_losses(store: Store, history: History, report: EvaluateReport) -> dict[int, float]:
    """Return the recorded losses of the last runs on the files that a report is about, by version.

    Losses on other files, as of a holdout that moves with the days, cannot be compared.
    """
    of_this = read_records(store, report.version)[0].get(report.recorded or "")
    if of_this is None:
        return {}
    found: dict[int, float] = {}
    for run in past_runs(history)[-MOST_RUNS:]:
        for one in recorded(store, run.version):
            if one.files_sha256 == of_this.files_sha256:
                found[one.version] = one.loss
    return found


def mean_losses(entries: Sequence[TrainEntry]) -> tuple[float | None, float | None]:
    """Return the progressive loss of some entries and that of the best constant of each.

    Both are means weighted by rows; None if no entry has them.
    """
    rows = loss = constant = 0.0
    for entry in entries:
        best = entry.metrics.get("constant_loss")
        if entry.loss is not None and best is not None and entry.rows:
            rows += entry.rows
            loss += entry.rows * entry.loss
            constant += entry.rows * best
    return (loss / rows, constant / rows) if rows else (None, None)


def ratio(loss: float | None, constant: float | None) -> float | None:
    """Return a loss over that of the best constant; None if it cannot be said."""
    return None if loss is None or not constant else loss / constant
