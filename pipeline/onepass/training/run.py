"""Train the groups of a plan round by round, and commit each round.

A round of one group is learnt from blocks that are read ahead, across rounds. The groups of a
larger round are learnt side by side.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from onepass.encode.numbers import UNREADABLE
from onepass.environment import environment, peak_rss_bytes
from onepass.errors import BadPartition, ChangedPartition, DataError, ForeignModel, first_line
from onepass.job import Job
from onepass.learn.metrics import Stretches
from onepass.ledger.entries import TrainEntry
from onepass.ledger.trained import CandidateEntry, Trained
from onepass.model.directory import OpenModel
from onepass.model.state import ModelState
from onepass.partition import Group, Look, Partition
from onepass.text import listed, printable
from onepass.training.committer import Committer
from onepass.training.learn_group import GroupLearner
from onepass.training.learnt import Learnt
from onepass.training.looks import Looks
from onepass.training.progress import Progress
from onepass.training.report import finite, finite_values, last_tenth
from onepass.training.restore import Restorer
from onepass.training.round import BadRound, learn_round
from onepass.training.round_sizes import Remembered, Rounds, rows_of, rule_of

_UNREADABLE_SHARE = 0.9
"""Unreadable texts for each row from which a whole column seems to be written in another way."""

_MOST_NAMED = 3
"""Most partitions that a warning names."""


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
        self._most = model.file.job.n_parallel
        self._rounds = self._rounds_of([])
        self._horizon, self._rows = (0, 0), 0
        self._until: float | None = None
        self.total = model.file.metrics()
        """Progressive metrics of all groups that this run has committed."""
        self.stretches = Stretches(model.file.metrics)
        """Those of its groups in the first epoch of this run, by stretches of rows."""
        self._first_epoch: int | None = None
        self.newest_version = 0
        """Newest version that this run has committed; 0 before the first."""
        self._committer = Committer(model.ledger, self._committed)
        self._looks = Looks(learner)
        self._has_warned = False

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

    def forget(self) -> None:
        """Forget the state in memory; the next step restores the newest one that is committed."""
        self._state = None

    def train(self, pending: Sequence[Group], max_seconds: float | None = None) -> None:
        """Train groups; stop after the round in which `max_seconds` have passed."""
        n_partitions = sum(len(group.partitions) for group in pending)
        self._progress.started(n_partitions, sum(group.rows for group in pending))
        if not pending:
            return
        if self._state is None:
            self._state = self._restorer.newest()
        if self._job.on_bad == "quarantine":
            self._looks.take(pending)
        # Allocate the snapshot buffer before reader tasks start; later it competes with them.
        self._state.snapshot()
        self._horizon = self._model.ledger.history.planned_rows()
        self._rounds = self._rounds_of(self._model.ledger.history.planned())
        trained = self._model.ledger.history.trained()
        self._rows = sum(one.rows for entry in trained for one in entry.partitions)
        self._until = None if max_seconds is None else time.perf_counter() + max_seconds
        left = list(pending)
        with self._committer:
            while left:
                left = self._train_some(left)

    def _rounds_of(self, planned: Sequence[Group]) -> Rounds:
        job, rule = self._model.file.job, rule_of(self._model.file.encoder.n_selected)
        # A half-life of partitions passes with each group.
        remembered = Remembered.of(job.half_life_rows, job.half_life_partitions)
        return Rounds(planned, self._most, rule, remembered)

    def _train_some(self, groups: list[Group]) -> list[Group]:
        """Train the next round, or as many rounds of one group as follow each other.

        Returns
        -------
        The groups that are left; none if the time is over.
        """
        assert self._state is not None
        n_alone = self._rounds.n_alone(groups, self._rows)
        if not n_alone and not self._state.adds_up:
            n_alone = 1
        # With rounds on a cluster, a worker learns a group by itself as well, so no row travels.
        if n_alone and not (self._most > 1 and self._learner.is_on_cluster):
            return self._train_alone(groups[:n_alone], groups[n_alone:])
        size = 1 if n_alone else self._rounds.next_size(groups, self._rows)
        return self._train_round(groups[:size], groups[size:])

    def _train_alone(self, groups: list[Group], after: list[Group]) -> list[Group]:
        """Train rounds of one group each; stop at a bad partition, and skip it."""
        n_trained = 0
        try:
            with self._learner.blocks_of(groups) as blocks_of:
                for group, blocks in zip(groups, blocks_of, strict=False):
                    began = time.perf_counter()
                    learnt = self._learner.learn(self._learning(), group, blocks, self._horizon)
                    self._commit([group], learnt, time.perf_counter() - began)
                    n_trained += 1
                    if self._is_over():
                        return []
        except (BadPartition, ChangedPartition) as error:
            left = groups[n_trained:]
            at_fault = self._at_fault([(left[0], error)])
            self._restore()
            return self._skip([*left, *after], at_fault)
        return after

    def _train_round(self, groups: list[Group], after: list[Group]) -> list[Group]:
        """Train a round; if there are bad partitions in it, skip all of them instead."""
        began = time.perf_counter()
        try:
            learnt = learn_round(self._learner, self._learning(), groups, self._horizon)
        except BadRound as bad:
            return self._skip([*groups, *after], self._at_fault(bad.faults))
        self._commit(groups, learnt, time.perf_counter() - began)
        return [] if self._is_over() else after

    def _learning(self) -> ModelState:
        assert self._state is not None
        return self._state

    def _is_over(self) -> bool:
        return self._until is not None and time.perf_counter() >= self._until

    def _commit(self, groups: list[Group], learnt: Learnt, seconds: float) -> None:
        state = self._learning()
        trained = _record(groups, learnt, state, seconds)
        self._rows += rows_of(groups)
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
        self._warn_of_unreadable(entry)

    def _warn_of_unreadable(self, entry: TrainEntry) -> None:
        """Warn, once a run, if a whole column of texts seems to be written in another way now."""
        n_texts = entry.counts.get(UNREADABLE, 0)
        if self._has_warned or n_texts < _UNREADABLE_SHARE * entry.rows or not entry.rows:
            return
        self._has_warned = True
        names = listed([printable(one.name) for one in entry.partitions], _MOST_NAMED)
        self._progress.noted(
            f"{names}: {n_texts:,} texts in {entry.rows:,} rows hold no number or time that the "
            "model can read, and are learnt as missing: are they written in another form now?"
        )

    def _at_fault(self, faults: Sequence[tuple[Group, DataError]]) -> list[_Fault]:
        """Return the partitions to skip, with the reasons; raise the first error to be raised."""
        found: list[_Fault] = []
        for group, error in faults:
            if not isinstance(error, BadPartition | ChangedPartition):
                raise error
            wish = self._job.on_bad if isinstance(error, BadPartition) else self._job.on_changed
            at_fault = [one for one in group.partitions if _is_at_fault(one, error)]
            if wish == "error" or not at_fault:
                for _, other in faults:
                    if other is not error:
                        self._progress.noted(f"also at fault: {first_line(other)}")
                raise error
            is_kept = isinstance(error, BadPartition) and wish == "quarantine"
            found += [_Fault(one, first_line(error), self._look(one, is_kept)) for one in at_fault]
        return found

    def _look(self, partition: Partition, is_kept: bool) -> Look | None:
        return self._looks.of(partition.path) if is_kept else None

    def _restore(self) -> None:
        """Go back to the last commit, because the state may have learnt a part of a group."""
        self._committer.wait()
        # Free the snapshot first: the old and the new state are in memory at the same time.
        self._learning().forget_snapshot()
        self._state = self._restorer.newest()

    def _skip(self, left: list[Group], at_fault: list[_Fault]) -> list[Group]:
        """Skip partitions, in later epochs as well; return what is left of the groups."""
        self._committer.wait()
        for fault in at_fault:
            entry = self._model.ledger.commit_skip(fault.partition, fault.reason, fault.look)
            self.newest_version = entry.version
            self._progress.committed(entry, self.total)
        skipped = {fault.partition for fault in at_fault}
        rest = [group.without(skipped) for group in left]
        return [group for group in rest if group.partitions]


@dataclass(frozen=True, slots=True)
class _Fault:
    """A partition to leave out."""

    partition: Partition
    reason: str
    look: Look | None
    """What its file looked like before it was read, for a quarantine; None: out for good."""


def _record(groups: list[Group], learnt: Learnt, state: ModelState, seconds: float) -> Trained:
    return Trained(
        epoch=groups[0].epoch,
        partitions=[one for group in groups for one in group.partitions],
        round=[len(group.partitions) for group in groups] if len(groups) > 1 else [],
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
