"""Reports of training, which the command line prints and the flow publishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from onepass.environment import peak_rss_bytes
from onepass.learn.metrics import Metrics
from onepass.ledger.entries import PlanEntry, SkipEntry, TrainEntry
from onepass.ledger.history import History
from onepass.ledger.trained import CandidateEntry, LastTenth
from onepass.model.cross_validated import CrossValidated
from onepass.partition import DELETED, LEFT_OUT_BY_SAMPLE, LEFT_OUT_BY_WHERE, NOT_TAKEN, Group

_REASONS = {
    DELETED: "deleted from the table",
    LEFT_OUT_BY_WHERE: "left out by --where",
    LEFT_OUT_BY_SAMPLE: "left out by --sample",
}


_ORDERS = 0.55
"""Area under the ROC curve from which on a model tells how rows are ordered."""


class Quarantined(BaseModel):
    """A file that is left out until it is replaced."""

    path: str
    """Key of the file within the lake."""
    reason: str
    """Place and fault, in one line."""


class TrainReport(BaseModel):
    """Outcome of one run of training."""

    model: str
    """Model directory."""
    version: int
    """Newest version of the model."""
    parallel: int = 1
    """Most groups of partitions that the model learns at the same time."""
    partitions: int
    """Partitions trained by this run, once for each epoch."""
    rows: int
    """Rows learnt by this run."""
    skipped: int
    """Partitions that this run has skipped for good, and files of a table that it has left out."""
    quarantined: list[Quarantined] = []
    """Files that this run has put in quarantine, each once."""
    in_quarantine: int = 0
    """Files of the lake that are in quarantine: bad when they were read, and the same since."""
    left_out: int
    """Partitions that this run or an earlier one has skipped, and that were not trained since."""
    lake_version: int | None = None
    """Version of the table up to which everything is trained, planned or left out; None if the lake
    is no table."""
    pending: int
    """Partitions of the plan that are still to be trained."""
    not_taken: dict[str, int] = {}
    """Rows of these partitions that were not taken, by reason: `deleted` from their table,
    `left_out_by_where`, `left_out_by_sample`."""
    pruned_files: int = 0
    """Files of the lake of which no row can meet the condition of the job; they are not planned."""
    files: int = 0
    """Files of the lake, if the run has listed it."""
    held_out: list[str] = []
    """Files that a rolling holdout leaves for the evaluation, until they leave its window."""
    loss: float | None
    """Progressive loss of this run, weighted mean per row; None if nothing was trained."""
    metrics: dict[str, float | None]
    """Progressive metrics of this run."""
    last_tenth: LastTenth | None
    """Progressive metrics of the last rows of this run, in its first epoch: a tenth of them, or
    some more. The first rows are predicted by a model that knows little, so these say better what
    the model has become. None for few rows."""
    candidates: list[CandidateEntry]
    """Scores of the candidates as of the newest version; empty for a single learner."""
    cross_validation: list[CrossValidated] = []
    """Cross-validation of the newest version, one for each candidate; empty without folds."""
    seconds: float
    rows_per_second: float
    peak_rss_bytes: int
    state_sha256: str | None
    """Digest of the newest state; None before the first partition."""


class PlanReport(BaseModel):
    """Outcome of planning."""

    model: str
    """Model directory."""
    version: int
    """Newest version of the model."""
    partitions: int
    """Partitions that the plan has still to train, once for each epoch."""
    rows: int
    """Rows of these partitions."""
    bytes: int
    """Size of their files in bytes."""
    created: bool
    """Whether this call created the model directory."""
    warnings: list[str]
    """Warnings about the lake, if the model was created."""
    in_quarantine: int = 0
    """Files of the lake that are in quarantine; see `TrainReport.in_quarantine`."""
    left_out: int
    """Partitions that runs have skipped, and that were not trained since."""
    state_sha256: str | None
    """Digest of the newest state; None before the first partition."""


def train_report(
    model: str,
    history: History,
    *,
    parallel: int,
    since: int,
    held_out: list[str],
    in_quarantine: int,
    pruned: tuple[int, int] = (0, 0),
    cross_validation: Sequence[CrossValidated] = (),
    total: Metrics,
    recent: Metrics | None,
    seconds: float,
) -> TrainReport:
    """Report what a run has done.

    Parameters
    ----------
    parallel
        See `TrainReport.parallel`.
    since
        Newest version before the run.
    held_out, in_quarantine
        See `TrainReport`.
    pruned
        Files of which no row can meet the condition of the job, and files of the lake.
    cross_validation
        Of the newest version; see `TrainReport`.
    total
        Progressive metrics of the run.
    recent
        Those of its last rows; see `TrainReport.last_tenth`.
    """
    decided = [entry for entry in history.decided() if entry.version > since]
    trained = [entry for entry in decided if isinstance(entry, TrainEntry)]
    left_out = [entry for entry in decided if isinstance(entry, SkipEntry)]
    quarantined = {e.partition.path: e.reason for e in left_out if e.kind == "quarantine"}
    rows = sum(entry.rows for entry in trained)
    return TrainReport(
        model=model,
        version=history.version,
        parallel=parallel,
        partitions=sum(len(entry.partitions) for entry in trained),
        rows=rows,
        skipped=sum(entry.kind == "skip" for entry in left_out) + _n_left_out(history, since),
        lake_version=marks[-1].version if (marks := history.table_marks()) else None,
        not_taken=_not_taken(trained),
        pruned_files=pruned[0],
        files=pruned[1],
        held_out=held_out,
        quarantined=[Quarantined(path=p, reason=reason) for p, reason in quarantined.items()],
        in_quarantine=in_quarantine,
        left_out=history.n_left_out(),
        pending=sum(len(group.partitions) for group in history.pending()),
        loss=finite(total.loss()) if trained else None,
        metrics=finite_values(total) if trained else {},
        last_tenth=last_tenth(recent),
        candidates=next((entry.candidates for entry in reversed(history.trained())), []),
        cross_validation=list(cross_validation),
        seconds=seconds,
        rows_per_second=rows / seconds,
        peak_rss_bytes=peak_rss_bytes(),
        state_sha256=newest_sha256(history),
    )


def _not_taken(trained: Sequence[TrainEntry]) -> dict[str, int]:
    counts = {kind: sum(entry.counts.get(kind, 0) for entry in trained) for kind in NOT_TAKEN}
    return {kind: n for kind, n in counts.items() if n}


def plan_report(
    model: str,
    history: History,
    pending: list[Group],
    *,
    created: bool,
    warnings: list[str],
    in_quarantine: int,
) -> PlanReport:
    """Report what a plan has still to train."""
    partitions = [partition for group in pending for partition in group.partitions]
    return PlanReport(
        model=model,
        version=history.version,
        partitions=len(partitions),
        rows=sum(partition.rows for partition in partitions),
        bytes=sum({one.path: one.fingerprint.size for one in partitions}.values()),
        created=created,
        warnings=warnings,
        in_quarantine=in_quarantine,
        left_out=history.n_left_out(),
        state_sha256=newest_sha256(history),
    )


def _n_left_out(history: History, since: int) -> int:
    """Return the number of files of a table that plans after a version have left out."""
    plans = [one for one in history.line() if isinstance(one, PlanEntry) and one.version > since]
    return sum(len(one.table.left_out) for one in plans if one.table is not None)


def nothing_to_train(
    n_left_out: int, *, has_trained: bool, n_held_out: int = 0, n_pruned: int = 0
) -> str:
    """Return a sentence that explains why a run had nothing to train.

    Parameters
    ----------
    n_left_out
        Partitions that are skipped; see `TrainReport.left_out`.
    has_trained
        Whether the model has learnt any partition.
    n_held_out
        Number of files that a rolling holdout holds out.
    n_pruned
        Number of files of which no row can meet the condition of the job.
    """
    why = f"{n_left_out:,} left out (onepass log says why)"
    if n_left_out and not has_trained:
        return f"nothing to train: the lake has no partitions but {why}"
    but = [f"{n_held_out:,} held out"] if n_held_out else []
    but += [why] if n_left_out else []
    but += [f"{n_pruned:,} left out by --where"] if n_pruned else []
    rest = f" but {' and '.join(but)}" if but else ""
    return f"nothing to train: the model has seen every partition of its lake{rest}"


def not_taken(counts: Mapping[str, int]) -> str:
    """Return in words how many rows were not taken, and why; see `TrainReport.not_taken`."""
    said = {kind: f"{n:,} {_REASONS[kind]}" for kind, n in counts.items()}
    return f"rows not taken: {', '.join(said.values())}"


def in_rounds(parallel: int, n_partitions: int) -> str:
    """Return how many of some partitions are learnt at the same time, as the end of a phrase."""
    most = min(parallel, n_partitions)
    return f" in rounds of up to {most}" if most > 1 else ""


def newest_sha256(history: History) -> str | None:
    """Return the digest of the newest state that counts; None if there is none."""
    newest = history.newest_states(1)
    return newest[0].state.sha256 if newest else None


def last_tenth(recent: Metrics | None) -> LastTenth | None:
    """Return the metrics of the last rows as they are recorded."""
    if recent is None:
        return None
    loss, metrics = finite(recent.loss()), finite_values(recent)
    return LastTenth(rows=recent.n_rows, loss=loss, metrics=metrics)


def finite(value: float) -> float | None:
    """Return a value, or None for NaN and infinity, which JSON cannot represent."""
    return value if value == value and abs(value) != float("inf") else None


def finite_values(metrics: Metrics) -> dict[str, float | None]:
    """Return the values of metrics by name, with None for NaN and infinity."""
    return {name: finite(value) for name, value in metrics.values().items()}


def of_no_use(metrics: Mapping[str, float | None]) -> str:
    """Say what is of no use of a model whose loss is above that of the best constant."""
    auc = metrics.get("auc")
    if auc is None or auc < _ORDERS:
        return "the model is of no use"
    return f"only the order of its predictions is of use (auc {auc:.4g}), as with class weights"
