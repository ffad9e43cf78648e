"""One run over one model: restore, learn one planned partition after another, commit each.

What has been committed stays, whatever happens afterwards.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from onepass.encode.encoder import Encoder
from onepass.environment import environment, peak_rss_bytes
from onepass.errors import (
    BadPartition,
    ChangedPartition,
    DataError,
    ForeignModel,
    advised,
    first_line,
)
from onepass.job import Job
from onepass.lake.discover import LakeFile, discover
from onepass.learn.metrics import Metrics
from onepass.ledger.entries import (
    CandidateEntry,
    LearntEntry,
    RefineEntry,
    SkipEntry,
    Trained,
    TrainEntry,
)
from onepass.model.directory import OpenModel, warn_if_elsewhere
from onepass.model.memory import whole_bytes
from onepass.model.state import Trainee
from onepass.partition import Group
from onepass.stream.stream import Reading, Streamed, Together, itself, stream, streams
from onepass.stream.workers import Workers
from onepass.training.committer import Committer
from onepass.training.plan import make_plan
from onepass.training.progress import Progress
from onepass.training.report import TrainReport, finite, finite_values
from onepass.training.sources import check_unchanged, is_at_fault, sources_of


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
            whole_bytes=whole_bytes(self.job, content.encoder, content.batch_rows),
        )

    def plan(self) -> list[Group]:
        """Look at the whole lake and freeze what is to be trained."""
        ledger = self.model.ledger
        known = ledger.version
        pending = make_plan(self.model, self.job)
        for entry in ledger.entries[known:]:
            if isinstance(entry, SkipEntry):
                self.progress.noted(f"left out: {entry.reason}")
        if not pending:
            self._make_good()
        return pending

    def train_pending(self, max_seconds: float | None = None) -> None:
        """Train the rest of the newest plan, or as much as fits into `max_seconds`."""
        pending = self.model.ledger.history.pending()
        self.progress.started(len(pending), sum(group.rows for group in pending))
        if not pending:
            return
        files = {file.key: file for file in discover(self.job.lake)}
        if self._trainee is None:
            self._trainee = self.restored(files)
        # Takes memory for the snapshots to come: of a large state that took 200 ms beside tasks
        # that ask for some, too, and 30 before there are any.
        self._trainee.snapshot()
        self._horizon = self.model.ledger.history.planned_rows()
        until = None if max_seconds is None else time.perf_counter() + max_seconds
        with self._committer:
            while pending:
                pending = self._train_groups(pending, files, until)

    def report(self) -> TrainReport:
        """What this run has done so far."""
        ledger = self.model.ledger
        decided = [e for e in ledger.history.decided() if e.version > self._first_version]
        trained = [entry for entry in decided if isinstance(entry, TrainEntry)]
        seconds = time.perf_counter() - self._started
        rows = sum(entry.rows for entry in trained)
        newest = ledger.history.learnt()[-1:]
        return TrainReport(
            model=self.model.path,
            version=ledger.version,
            partitions=sum(len(entry.partitions) for entry in trained),
            rows=rows,
            skipped=len(decided) - len(trained),
            left_out=ledger.history.n_left_out(),
            pending=sum(len(group.partitions) for group in ledger.history.pending()),
            loss=finite(self._total.loss()) if trained else None,
            metrics=finite_values(self._total) if trained else {},
            candidates=next((e.candidates for e in reversed(ledger.history.trained())), []),
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
        together = [Together(partial(sources_of, g, files), g.epoch) for g in groups]
        try:
            with closing(streams(together, self.reading, self.workers, itself)) as blocks_of:
                for group, blocks in zip(groups, blocks_of, strict=False):
                    self._train_group(group, blocks, files)
                    n_trained += 1
                    if until is not None and time.perf_counter() >= until:
                        break
        except (BadPartition, ChangedPartition) as error:
            return self._without_fault(groups[n_trained:], files, error)
        return []

    def _without_fault(
        self,
        groups: list[Group],
        files: dict[str, LakeFile],
        error: BadPartition | ChangedPartition,
    ) -> list[Group]:
        """Go back to the last commit, and leave out what is at fault in the first of `groups`.

        It is left out of later epochs as well: what has been shown to be bad is not tried again.
        """
        wish = self.job.on_bad if isinstance(error, BadPartition) else self.job.on_changed
        at_fault = [one for one in groups[0].partitions if is_at_fault(one, error)]
        if wish == "error" or not at_fault:
            raise error
        self._committer.wait()
        # Half a group may have been learnt. For a moment there are two learners.
        if self._trainee is not None:
            self._trainee.forget_snapshot()
        self._trainee = self.restored(files)
        for partition in at_fault:
            self.model.ledger.commit_skip(partition, first_line(error))
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
        trained = Trained(
            epoch=group.epoch,
            partitions=group.partitions,
            rows=metrics.n_rows,
            candidates=[CandidateEntry(**one) for one in trainee.standings()],
            counts=dict(counts),
            loss=finite(metrics.loss()),
            metrics=finite_values(metrics),
            seconds=time.perf_counter() - began,
            peak_rss_bytes=peak_rss_bytes(),
            environment=environment(),
        )
        # The snapshot before must have been written: the next one takes its memory.
        self._committer.wait()
        self._committer.submit(trainee.snapshot(), trained, metrics)

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
        except DataError:
            # A file replaced while it is read looks corrupt. Other errors are not about the lake,
            # and an interrupt is not to be taken for one that is.
            _check_all_unchanged(group, files)
            raise
        # Or it gives rows of both contents.
        _check_all_unchanged(group, files)
        return metrics, counts

    def _make_good(self) -> None:
        """Where nothing is to be trained: see to it that readers find the newest state."""
        newest = self.model.ledger.history.learnt()[-1:]
        if self._trainee is not None or not newest:
            return
        try:
            self.model.restored(newest[0])
        except ForeignModel:
            self._trainee = self.restored({file.key: file for file in discover(self.job.lake)})

    def restored(self, files: dict[str, LakeFile]) -> Trainee:
        """The newest learner; a damaged newest state is retrained from the one before.

        Nothing else gives a learner to train on: one of an older version would lack partitions that
        the log counts.
        """
        ledger = self.model.ledger
        sound, trainee = self.model.newest_usable()
        trainee = trainee or self.model.file.trainee()
        lost = [e for e in ledger.history.learnt() if sound is None or e.version > sound.version]
        for entry in lost:
            self.progress.noted(f"retraining version {entry.version}, whose state is lost")
            with advised(
                f"The state of version {entry.version} is lost, and retrained from the files as "
                "they were: put the old file back, or go back for good: "
                f"onepass rewind {self.model.path} --to {sound.version if sound else 0}"
            ):
                self.retrain(trainee, entry, files)
            state = trainee.dump()
            # The others have fallen out of retention and are only steps on the way.
            if ledger.retention.keeps(entry):
                ledger.heal(entry, state)
            trainee.restore(state, entry.state.key)
        if self._trainee is None:
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
        group = Group(entry.epoch, entry.partitions)
        sources = sources_of(group, files)
        blocks = stream(sources, self.reading, self.workers, epoch=group.epoch)
        horizon = self.model.ledger.history.planned_rows(entry.version)
        return self._learn(trainee, group, blocks, files, horizon)

    def _metrics(self) -> Metrics:
        return self.model.file.metrics()


def _check_all_unchanged(group: Group, files: dict[str, LakeFile]) -> None:
    for partition in group.partitions:
        check_unchanged(partition, files)
