"""Train: restore, learn one partition after another, commit each.

Every entry into training (command, flow, retry, schedule) comes through here and looks into the
model directory first, so there is nothing to resume by hand.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from pydantic import BaseModel
from threadpoolctl import threadpool_limits

from pipeline.committer import Committer
from pipeline.create import create_model
from pipeline.encode.encoder import Encoder
from pipeline.environment import environment, peak_rss_bytes
from pipeline.errors import (
    BadPartition,
    ChangedPartition,
    ForeignModel,
    JobError,
    ModelNotFound,
)
from pipeline.job import Job, parse_job, resume_job
from pipeline.lake.cursors import Source
from pipeline.lake.discover import LakeFile, discover
from pipeline.lake.partition import Footer, Partition, is_unchanged, read_footer
from pipeline.learn.metrics import Metrics
from pipeline.ledger.entries import (
    CandidateEntry,
    LearntEntry,
    RefineEntry,
    RewindEntry,
    SkipEntry,
    TrainEntry,
)
from pipeline.ledger.leftovers import sweep
from pipeline.ledger.store import open_store
from pipeline.model import (
    OpenModel,
    load_trainee,
    model_exists,
    open_model,
    warn_if_elsewhere,
)
from pipeline.planning import (
    Group,
    first_line,
    gone,
    make_plan,
    pending_groups,
    planned_rows,
)
from pipeline.progress import Progress
from pipeline.stream import Reading, Streamed, Together, itself, stream, streams
from pipeline.trainee import Trainee
from pipeline.workers import Workers

logger = logging.getLogger(__name__)


class TrainReport(BaseModel):
    """What one run has done."""

    model: str
    """Model directory."""
    version: int
    """Newest version of the model."""
    partitions: int
    """Partitions trained by this run, once for each epoch."""
    rows: int
    """Rows learnt by this run."""
    skipped: int
    """Partitions left out by this run."""
    pending: int
    """Partitions of the plan that are still to be trained."""
    loss: float | None
    """Progressive loss of this run: weighted mean per row; None if nothing was trained."""
    metrics: dict[str, float | None]
    """Progressive metrics of this run."""
    candidates: list[CandidateEntry]
    """Learners that are tried side by side, as of the newest version; empty for one."""
    seconds: float
    rows_per_second: float
    peak_rss_bytes: int
    state_sha256: str | None
    """Digest of the newest state; None before the first partition."""


class PlanReport(BaseModel):
    """What a run would train."""

    model: str
    version: int
    partitions: int
    rows: int
    bytes: int
    """Size of the files."""
    created: bool
    """Whether the model directory was created by this call."""
    warnings: list[str]


def train(
    job: Job | Mapping[str, Any],
    *,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a model on everything in its lake that it has not seen.

    Parameters
    ----------
    job
        The job, or its fields; for an existing model ``{"model": directory}`` is enough.
    progress
        Told about each step; silent by default.

    Raises
    ------
    JobError
        If the job is incomplete, unsuited to the lake, or contradicts the model.
    DataError
        If a file is bad or has changed, and the job does not say to go on.
    ModelConflict
        If another process trains the same model.

    Notes
    -----
    What has been committed stays, whatever happens afterwards. A partition is committed while the
    next one is learnt, so a run that fails or is interrupted loses the partition that it was
    learning, and one that is killed perhaps the one before as well.
    """
    with opened(job, progress or Progress()) as run:
        had_pending = bool(run.model.ledger.pending())
        run.plan()
        run.train_pending()
        if had_pending:
            # The unfinished plan came first, so that its order is the one it was frozen with.
            run.plan()
            run.train_pending()
        return run.report()


def plan(job: Job | Mapping[str, Any], *, progress: Progress | None = None) -> PlanReport:
    """Create the model if need be, look at the whole lake, and freeze what is to be trained.

    Raises as `train` does.
    """
    with opened(job, progress or Progress()) as run:
        pending = run.plan()
        return PlanReport(
            model=run.model.path,
            version=run.model.ledger.version,
            partitions=sum(len(group.partitions) for group in pending),
            rows=sum(group.rows for group in pending),
            bytes=sum({p.path: p.fingerprint.size for p in _all_partitions(pending)}.values()),
            created=run.created,
            warnings=run.warnings,
        )


def train_pending(
    job: Job | Mapping[str, Any],
    *,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train planned partitions, stopping after the one in which `max_seconds` have passed.

    Raises as `train` does.
    """
    with opened(job, progress or Progress()) as run:
        run.train_pending(max_seconds)
        return run.report()


@contextmanager
def opened(
    job: Job | Mapping[str, Any], progress: Progress, *, creates: bool = True
) -> Iterator[Run]:
    """Hold a model for one run, as its only writer.

    Parameters
    ----------
    creates
        Whether a model that is not there yet is created.

    Raises as `train` does.
    """
    given = job.model_dump(include=job.model_fields_set) if isinstance(job, Job) else dict(job)
    directory = str(given.get("model") or parse_job(given).model)
    created, warnings = False, []
    if not model_exists(directory):
        _refuse_headless_log(directory)
        if "lake" not in given or not creates:
            raise ModelNotFound(f"no model in {directory!r}; to create one, give LAKE and --label")
        complete = parse_job(given)
        _check_holdout(complete)
        warnings = create_model(complete)
        created = True
    with open_store(directory).exclusive():
        model = open_model(directory)
        sweep(model.store, model.ledger)
        for rewound, partition in model.ledger.unwritten_skips():
            model.ledger.commit_skip(partition, exclusion(rewound))
        for warning in warnings:
            progress.noted(warning)
        resumed = _resumed(model, given)
        _check_holdout(resumed)
        with Workers(resumed.dask) as workers, threadpool_limits(1, "blas"):
            yield Run(model, resumed, workers, progress, created, warnings)


def _resumed(model: OpenModel, given: Mapping[str, Any]) -> Job:
    try:
        return resume_job(model.file.job, given)
    except JobError as error:
        if model.ledger.trained():
            raise
        raise JobError(
            f"{error}\nNothing has been trained yet: removing {model.path} loses nothing."
        ) from None


def _check_holdout(job: Job) -> None:
    # Before hours of training, not after.
    if job.holdout is not None:
        discover(job.holdout)


def _refuse_headless_log(directory: str) -> None:
    if open_store(directory).list("log"):
        open_model(directory)


@dataclass
class Run:
    """One run of one writer over a model that it holds."""

    model: OpenModel
    job: Job
    workers: Workers
    progress: Progress
    created: bool
    warnings: list[str]
    _trainee: Trainee | None = None
    _horizon: tuple[int, int] = (0, 0)
    reading: Reading = field(init=False)
    _committer: Committer = field(init=False)
    _first_version: int = field(init=False)
    _total: Metrics = field(init=False)
    _started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        content = self.model.file
        self._first_version = self.model.ledger.version
        self._total = self._metrics()
        self._committer = Committer(self.model.ledger, self._committed)
        self.reading = Reading(
            Encoder(content.encoder, drop_null_label=content.job.on_null_label == "drop"),
            batch_rows=content.batch_rows,
            seed=content.job.seed if content.job.order == "shuffled" else None,
            holds_out=content.job.has_candidates,
        )

    def plan(self) -> list[Group]:
        """Look at the whole lake and freeze what is to be trained."""
        ledger = self.model.ledger
        known = ledger.version
        pending = make_plan(self.model, self.job)
        for entry in ledger.entries[known:]:
            if isinstance(entry, SkipEntry):
                self.progress.noted(f"left out: {entry.reason}")
        return pending

    def train_pending(self, max_seconds: float | None = None) -> None:
        """Train the rest of the newest plan, or as much as fits into `max_seconds`."""
        pending = pending_groups(self.model)
        self.progress.started(len(pending), sum(group.rows for group in pending))
        if not pending:
            return
        files = {file.key: file for file in discover(self.job.lake)}
        if self._trainee is None:
            self._trainee = self.restored(files)
        self._horizon = planned_rows(self.model, self.model.ledger.version)
        until = None if max_seconds is None else time.perf_counter() + max_seconds
        with self._committer:
            while pending:
                pending = self._train_groups(pending, files, until)

    def report(self) -> TrainReport:
        """What this run has done so far."""
        ledger = self.model.ledger
        decided = [e for e in ledger.decided() if e.version > self._first_version]
        trained = [entry for entry in decided if isinstance(entry, TrainEntry)]
        seconds = time.perf_counter() - self._started
        rows = sum(entry.rows for entry in trained)
        newest = ledger.learnt()[-1:]
        return TrainReport(
            model=self.model.path,
            version=ledger.version,
            partitions=sum(len(entry.partitions) for entry in trained),
            rows=rows,
            skipped=len(decided) - len(trained),
            pending=sum(len(group.partitions) for group in ledger.pending()),
            loss=finite(self._total.loss()) if trained else None,
            metrics=finite_values(self._total) if trained else {},
            candidates=next((e.candidates for e in reversed(ledger.trained())), []),
            seconds=seconds,
            rows_per_second=rows / seconds,
            peak_rss_bytes=peak_rss_bytes(),
            state_sha256=newest[0].state.sha256 if newest else None,
        )

    def _train_groups(
        self, groups: list[Group], files: dict[str, LakeFile], until: float | None
    ) -> list[Group]:
        """Train groups; return those that are left after some partitions have been left out."""
        n_trained = 0
        together = [Together(partial(_sources, g, files), g.epoch) for g in groups]
        with closing(streams(together, self.reading, self.workers, itself)) as blocks_of:
            try:
                for group, blocks in zip(groups, blocks_of, strict=False):
                    self._train_group(group, blocks, files)
                    n_trained += 1
                    if until is not None and time.perf_counter() >= until:
                        break
            except (BadPartition, ChangedPartition) as error:
                return self._without_fault(groups[n_trained:], error)
        return []

    def _without_fault(
        self, groups: list[Group], error: BadPartition | ChangedPartition
    ) -> list[Group]:
        """Go back to the last commit, and leave out what is at fault in the first of `groups`.

        It is left out of later epochs as well: what has been shown to be bad is not tried again.
        """
        wish = self.job.on_bad if isinstance(error, BadPartition) else self.job.on_changed
        at_fault = [one for one in groups[0].partitions if _is_at_fault(one, error)]
        if wish == "error" or not at_fault:
            raise error
        self._committer.wait()
        # Half a group may have been learnt.
        self._trainee, _ = load_trainee(self.model)
        for partition in at_fault:
            self.model.ledger.commit_skip(partition.model_dump(), first_line(error))
            self.progress.committed(self.model.ledger.entries[-1], self._total)
        left = [group.without(at_fault) for group in groups]
        return [group for group in left if group.partitions]

    def _train_group(
        self, group: Group, blocks: Iterator[Streamed], files: dict[str, LakeFile]
    ) -> None:
        began = time.perf_counter()
        trainee = self._trainee
        assert trainee is not None
        metrics, counts = self._learn(trainee, group, blocks, files, self._horizon)
        fields = {
            "epoch": group.epoch,
            "partitions": [partition.model_dump() for partition in group.partitions],
            "rows": metrics.n_rows,
            "candidates": trainee.standings(),
            "counts": dict(counts),
            "loss": finite(metrics.loss()),
            "metrics": finite_values(metrics),
            "seconds": time.perf_counter() - began,
            "peak_rss_bytes": peak_rss_bytes(),
            "environment": environment(),
        }
        self._committer.submit(trainee.snapshot(), fields, metrics)

    def _committed(self, entry: TrainEntry, metrics: Metrics) -> None:
        self._total.merge(metrics)
        self.progress.committed(entry, self._total)

    def _learn(
        self,
        trainee: Trainee,
        group: Group,
        blocks: Iterator[Streamed],
        files: dict[str, LakeFile],
        horizon: tuple[int, int],
    ) -> tuple[Metrics, Counter[str]]:
        metrics, counts = self._metrics(), Counter[str]()
        trainee.learner.horizon(*horizon)
        trainee.learner.partition_begins()
        try:
            for streamed in blocks:
                block = streamed.encoded.block
                # Steps that overflow are taken back, or end in Diverged; numpy need not tell.
                with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                    predictions = trainee.learn(streamed.encoded, streamed.held_out)
                    metrics.add(predictions, block.label, block.weight)
                counts.update(streamed.encoded.counts)
                self.progress.advanced(block.n_rows)
        finally:
            # A file replaced while it is read gives rows of both contents, or looks corrupt.
            for partition in group.partitions:
                _check_unchanged(partition, files)
        return metrics, counts

    def restored(self, files: dict[str, LakeFile]) -> Trainee:
        """The newest learner; a damaged newest state is retrained from the one before."""
        ledger = self.model.ledger
        trainee, sound = load_trainee(self.model)
        lost = [e for e in ledger.learnt() if sound is None or e.version > sound.version]
        for entry in lost:
            logger.warning("retraining version %d, whose state is lost", entry.version)
            self.retrain(trainee, entry, files)
            state = trainee.dump()
            # The others have fallen out of retention and are only steps on the way.
            if ledger.keeps_state(entry):
                ledger.heal(entry, state)
            trainee.restore(state, entry.state.key)
        warn_if_elsewhere(sound)
        return trainee

    def retrain(
        self, trainee: Trainee, entry: LearntEntry, files: dict[str, LakeFile]
    ) -> tuple[Metrics, Counter[str]]:
        """Learn what a version has learnt, with a learner as it was before that version.

        Raises
        ------
        ForeignModel
            If it is a refinement.
        BadPartition, ChangedPartition
            If a file is gone, bad, or another one now.
        """
        if isinstance(entry, RefineEntry):
            raise ForeignModel(
                f"{entry.state.key}, the state of version {entry.version}, is lost, and batch "
                "passes are not repeated by training; restore the file from a copy, or go back to "
                f"a version before: onepass rewind {self.model.path} --to {entry.version - 1}"
            )
        group = Group(entry.epoch, [Partition.model_validate(p) for p in entry.partitions])
        sources = _sources(group, files)
        blocks = stream(sources, self.reading, self.workers, epoch=group.epoch)
        horizon = planned_rows(self.model, entry.version)
        return self._learn(trainee, group, blocks, files, horizon)

    def _metrics(self) -> Metrics:
        return self.model.file.metrics()


def exclusion(entry: RewindEntry) -> str:
    """The reason that the log gives for partitions which a rewind has excluded."""
    return f"excluded by the rewind to version {entry.to}: {', '.join(entry.exclude)}"


def _sources(group: Group, files: dict[str, LakeFile]) -> list[Source]:
    return [source_of(partition, files) for partition in group.partitions]


def source_of(partition: Partition, files: dict[str, LakeFile]) -> Source:
    """A partition in its file, after that has been compared with its fingerprint.

    Raises
    ------
    BadPartition, ChangedPartition
        If the file is gone, unreadable or another one now.
    """
    file = files.get(partition.path)
    if file is None:
        raise gone(partition.path)
    return Source(partition, file, _unchanged_footer(file, partition))


def _check_unchanged(partition: Partition, files: dict[str, LakeFile]) -> None:
    file = files.get(partition.path)
    if file is None or not is_unchanged(file, partition.fingerprint):
        source_of(partition, files)


def _unchanged_footer(file: LakeFile, partition: Partition) -> Footer:
    footer = read_footer(file)
    if footer.fingerprint != partition.fingerprint:
        raise ChangedPartition(
            f"{partition.path} has changed since it was planned\n"
            "Put the old file back, or choose --on-changed skip or retrain.",
            path=partition.path,
        )
    return footer


def _is_at_fault(partition: Partition, error: BadPartition | ChangedPartition) -> bool:
    row_group = error.row_group if isinstance(error, BadPartition) else None
    is_within = row_group is None or (
        partition.first_row_group <= row_group < partition.end_row_group
    )
    return partition.path == error.path and is_within


def _all_partitions(groups: list[Group]) -> list[Partition]:
    return [partition for group in groups for partition in group.partitions]


def finite(value: float) -> float | None:
    """The value as JSON can have it: None if it is not finite."""
    return value if value == value and abs(value) != float("inf") else None


def finite_values(metrics: Metrics) -> dict[str, float | None]:
    """Metrics as the log keeps them."""
    return {name: finite(value) for name, value in metrics.values().items()}


__all__ = ["PlanReport", "Run", "TrainReport", "plan", "train", "train_pending"]
