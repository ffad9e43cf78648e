"""Train the groups of a plan: learn one after another, and commit each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from onepass.environment import environment, peak_rss_bytes
from onepass.errors import BadPartition, ChangedPartition, ForeignModel, first_line
from onepass.job import Job
from onepass.learn.metrics import Stretches
from onepass.ledger.entries import CandidateEntry, Trained, TrainEntry
from onepass.model.directory import OpenModel
from onepass.model.state import ModelState
from onepass.partition import Group, Partition
from onepass.stream.reading import Streamed
from onepass.training.committer import Committer
from onepass.training.learn_group import GroupLearner
from onepass.training.learnt import Learnt
from onepass.training.progress import Progress
from onepass.training.report import finite, finite_values, last_tenth
from onepass.training.restore import Restorer


class Run:
    """Learns groups and commits them; a group counts once its commit is durable.

    Parameters
    ----------
    model
        The model; a session must hold its lock.
    job
        Job of this run, which says whether bad and changed files are skipped.
    learner
        Reads and learns groups.
    restorer
        Restores the state to start from.
    """

    def __init__(
        self, model: OpenModel, job: Job, learner: GroupLearner, restorer: Restorer
    ) -> None:
        self._model, self._job = model, job
        self._learner, self._restorer = learner, restorer
        self._progress: Progress = learner.progress
        self._state: ModelState | None = None
        self._horizon = (0, 0)
        self.total = model.file.metrics()
        """Progressive metrics of all groups that this run has committed."""
        self.stretches = Stretches(model.file.metrics)
        """Those of its groups in the first epoch of this run, by stretches of rows."""
        self._first_epoch: int | None = None
        self.newest_version = 0
        """Newest version that this run has committed; 0 before the first."""
        self._committer = Committer(model.ledger, self._committed)

    def state(self) -> ModelState:
        """Return the newest state; restore it first if this run has not yet done so."""
        if self._state is None:
            newest = self._model.ledger.history.newest_states(1)
            try:
                self._state = self._model.state_of(newest[0]) if newest else None
            except ForeignModel:
                self._state = None
            self._state = self._state or self._restorer.newest()
        return self._state

    def train(self, pending: Sequence[Group], max_seconds: float | None = None) -> None:
        """Train groups; stop after the one in which `max_seconds` have passed."""
        self._progress.started(len(pending), sum(group.rows for group in pending))
        if not pending:
            return
        if self._state is None:
            self._state = self._restorer.newest()
        # Allocate the snapshot buffer before reader tasks start; later it competes with them.
        self._state.snapshot()
        self._horizon = self._model.ledger.history.planned_rows()
        until = None if max_seconds is None else time.perf_counter() + max_seconds
        left = list(pending)
        with self._committer:
            while left:
                left = self._train_groups(left, until)

    def _train_groups(self, groups: list[Group], until: float | None) -> list[Group]:
        """Train groups; after a bad partition, skip it and return the groups that are left."""
        n_trained = 0
        try:
            with self._learner.blocks_of(groups) as blocks_of:
                for group, blocks in zip(groups, blocks_of, strict=False):
                    self._train_group(group, blocks)
                    n_trained += 1
                    if until is not None and time.perf_counter() >= until:
                        break
        except (BadPartition, ChangedPartition) as error:
            return self._skip(groups[n_trained:], error)
        return []

    def _train_group(self, group: Group, blocks: Iterator[Streamed]) -> None:
        began = time.perf_counter()
        state = self._state
        assert state is not None
        learnt = self._learner.learn(state, group, blocks, self._horizon)
        trained = _record(group, learnt, state, time.perf_counter() - began)
        # The next snapshot reuses the memory of this one, which must have been written by then.
        self._committer.wait()
        self._committer.submit(state.snapshot(), trained, learnt)

    def _committed(self, entry: TrainEntry, learnt: Learnt) -> None:
        self.total.merge(learnt.metrics)
        # Later epochs predict rows that have been learnt before.
        self._first_epoch = entry.epoch if self._first_epoch is None else self._first_epoch
        if entry.epoch == self._first_epoch:
            self.stretches.extend(learnt.stretches)
        self.newest_version = entry.version
        self._progress.committed(entry, self.total)

    def _skip(self, groups: list[Group], error: BadPartition | ChangedPartition) -> list[Group]:
        """Restore the last commit, and skip the partitions at fault in the first of `groups`.

        They are skipped in later epochs as well.
        """
        wish = self._job.on_bad if isinstance(error, BadPartition) else self._job.on_changed
        at_fault = [one for one in groups[0].partitions if _is_at_fault(one, error)]
        if wish == "error" or not at_fault:
            raise error
        self._committer.wait()
        # The state may have learnt a part of the group, so restore the committed one. Free the
        # snapshot first, because the old and the new state are in memory at the same time.
        if self._state is not None:
            self._state.forget_snapshot()
        self._state = self._restorer.newest()
        for partition in at_fault:
            entry = self._model.ledger.commit_skip(partition, first_line(error))
            self.newest_version = entry.version
            self._progress.committed(entry, self.total)
        left = [group.without(at_fault) for group in groups]
        return [group for group in left if group.partitions]


def _record(group: Group, learnt: Learnt, state: ModelState, seconds: float) -> Trained:
    return Trained(
        epoch=group.epoch,
        partitions=group.partitions,
        rows=learnt.metrics.n_rows,
        candidates=[CandidateEntry.model_validate(one) for one in state.standings()],
        counts=dict(learnt.counts),
        loss=finite(learnt.metrics.loss()),
        metrics=finite_values(learnt.metrics),
        last_tenth=last_tenth(learnt.stretches.last()),
        seconds=seconds,
        peak_rss_bytes=peak_rss_bytes(),
        environment=environment(),
    )


def _is_at_fault(partition: Partition, error: BadPartition | ChangedPartition) -> bool:
    """Return whether an error is about this partition, not another range of the same file."""
    row_group = error.row_group if isinstance(error, BadPartition) else None
    is_within = row_group is None or (
        partition.first_row_group <= row_group < partition.end_row_group
    )
    return partition.path == error.path and is_within
