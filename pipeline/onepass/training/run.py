"""The run of one model: its state, the groups that are left, and the commit of each round.

`onepass.training.lockstep` reads the groups and has them learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from onepass.training.groups import Pupil
from onepass.training.learn_group import GroupLearner
from onepass.training.learnt import Learnt
from onepass.training.looks import Looks
from onepass.training.progress import Progress
from onepass.training.report import finite, finite_values, last_tenth
from onepass.training.restore import Restorer
from onepass.training.round_sizes import Remembered, Rounds, rows_of, rule_of

_UNREADABLE_SHARE = 0.9
"""Unreadable texts for each row from which a whole column seems to be written in another way."""

_MOST_NAMED = 3
"""Most partitions that a warning names."""


class Run:
    """Commits the groups that a model has learnt; a group counts once its commit is durable.

    Parameters
    ----------
    model
        The model; a session must hold its lock.
    job
        Job of this run, which says whether bad and changed files are skipped.
    learner
        The lake of the model, and how it is read.
    restorer
        Restores the state to start from.
    """

    def __init__(
        self, model: OpenModel, job: Job, learner: GroupLearner, restorer: Restorer
    ) -> None:
        self._model, self._job = model, job
        self.learner, self._restorer = learner, restorer
        self._progress: Progress = learner.progress
        self._state: ModelState | None = None
        self._most = model.file.job.n_parallel
        self._rounds = self._rounds_of([])
        self._horizon, self._rows = (0, 0), 0
        self._groups: list[Group] = []
        self._n_done = 0
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

    @contextmanager
    def training(self, pending: Sequence[Group]) -> Iterator[None]:
        """Make ready to train groups; what has been learnt is committed when the context ends."""
        n_partitions = sum(len(group.partitions) for group in pending)
        self._progress.started(n_partitions, sum(group.rows for group in pending))
        self._groups, self._n_done = list(pending), 0
        if not pending:
            yield
            return
        if self._state is None:
            self._state = self._restorer.newest()
        # Those of an attempt that has failed, and of versions whose state was learnt again.
        self.learner.rows.undo()
        if self._job.on_bad == "quarantine":
            self._looks.take(pending)
        # Allocate the snapshot buffer before reader tasks start; later it competes with them.
        self._state.snapshot()
        self._horizon = self._model.ledger.history.planned_rows()
        self._rounds = self._rounds_of(self._model.ledger.history.planned())
        trained = self._model.ledger.history.trained()
        self._rows = sum(one.rows for entry in trained for one in entry.partitions)
        with self._committer:
            yield

    def _rounds_of(self, planned: Sequence[Group]) -> Rounds:
        job, rule = self._model.file.job, rule_of(self._model.file.encoder.n_selected)
        # A half-life of partitions passes with each group.
        remembered = Remembered.of(job.half_life_rows, job.half_life_partitions)
        return Rounds(planned, self._most, rule, remembered)

    @property
    def left(self) -> list[Group]:
        """Groups that are still to be trained, in their order."""
        return self._groups[self._n_done :]

    @property
    def n_left(self) -> int:
        """Number of these groups."""
        return len(self._groups) - self._n_done

    def next_round(self) -> tuple[int, bool]:
        """Return how many of the groups that are left come next, and whether they are one round.

        Otherwise each of them is a round of its own, and these rounds follow each other.
        """
        assert self._state is not None
        left = self.left
        n_alone = self._rounds.n_alone(left, self._rows)
        if not n_alone and not self._state.adds_up:
            n_alone = 1
        # With rounds on a cluster, a worker learns a group by itself as well, so no row travels.
        if n_alone and not (self._most > 1 and self.learner.is_on_cluster):
            return n_alone, False
        return 1 if n_alone else self._rounds.next_size(left, self._rows), True

    def pupil(self) -> Pupil:
        """Return the model as it learns the next groups."""
        assert self._state is not None
        return Pupil(self.learner, self._state, self._horizon)

    def commit(self, groups: list[Group], learnt: Learnt, seconds: float) -> None:
        """Commit the groups that come next, which the state has learnt."""
        state = self.pupil().state
        trained = _record(groups, learnt, state, seconds)
        self._rows += rows_of(groups)
        self.learner.rows.commit()
        # The next snapshot reuses the memory of this one, which must have been written by then.
        self._committer.wait()
        self._committer.submit(state.snapshot(), trained, learnt)
        self._n_done += len(groups)

    def leave_out(self, faults: Sequence[tuple[Group, DataError]], *, restores: bool) -> None:
        """Skip the partitions at fault, in later epochs as well.

        Parameters
        ----------
        faults
            Groups with the first fault of each.
        restores
            Whether the state may have learnt a part of a group, and goes back to the last commit.

        Raises
        ------
        BadPartition, ChangedPartition
            The first fault that the job does not skip.
        """
        at_fault = self._at_fault(faults)
        self.learner.rows.undo()
        if restores:
            self._restore()
        self._skip(at_fault)

    def step_back(self) -> None:
        """Go back to the last commit, because the state may have learnt a part of a group.

        The log is read on, as an earlier commit may have failed.
        """
        self.learner.rows.undo()
        self._restore()
        self._groups, self._n_done = list(self._model.ledger.history.pending()), 0
        trained = self._model.ledger.history.trained()
        self._rows = sum(one.rows for entry in trained for one in entry.partitions)

    def settle(self) -> None:
        """Wait until all that was learnt is committed."""
        self._committer.wait()

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
        self._committer.wait()
        # Free the snapshot first: the old and the new state are in memory at the same time.
        self.pupil().state.forget_snapshot()
        self._state = self._restorer.newest()

    def _skip(self, at_fault: list[_Fault]) -> None:
        self._committer.wait()
        for fault in at_fault:
            entry = self._model.ledger.commit_skip(fault.partition, fault.reason, fault.look)
            self.newest_version = entry.version
            self._progress.committed(entry, self.total)
        skipped = {fault.partition for fault in at_fault}
        rest = [group.without(skipped) for group in self.left]
        self._groups, self._n_done = [group for group in rest if group.partitions], 0


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
