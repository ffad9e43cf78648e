"""Train the groups of a plan round by round, for one model or for several that read the same rows.

A round of one group is learnt from blocks that are read ahead, across rounds. The groups of a
larger round are learnt side by side.

Each run has a state, a log and commits of its own. Runs share the reading while their next groups
are the same partitions. After a kill between two commits one of them is a group ahead: the others
train that group alone first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from onepass.errors import (
    BadPartition,
    ChangedPartition,
    DataError,
    ForeignModel,
    JobError,
    ModelConflict,
    OnepassError,
)
from onepass.partition import Group
from onepass.training.groups import Groups
from onepass.training.round import BadRound, learn_round
from onepass.training.run import Run

OF_ONE_MODEL = (DataError, JobError, ModelConflict, ForeignModel)
"""Errors that stop one model, and not the others that are trained with it."""

_MOST_AHEAD = 1024
"""Most groups that are compared at once: no round has more."""


class Deadline:
    """The time at which training pauses, after the round that is under way.

    Parameters
    ----------
    max_seconds
        Seconds from now; None: never.
    """

    def __init__(self, max_seconds: float | None = None) -> None:
        self._end = math.inf if max_seconds is None else time.perf_counter() + max_seconds

    @property
    def is_over(self) -> bool:
        """Whether the time has come."""
        return time.perf_counter() >= self._end


def train_groups(run: Run, pending: Sequence[Group], deadline: Deadline | None = None) -> None:
    """Train groups until they or the time end."""
    deadline = deadline or Deadline()
    with run.training(pending):
        party = Party([run], deadline)
        while run.n_left:
            party.step(run.n_left)
            if deadline.is_over:
                return


class Failures(dict[Run, OnepassError]):
    """The runs of several that have stopped, each with its error."""

    @contextmanager
    def of(self, run: Run) -> Iterator[None]:
        """Note an error that stops this run alone."""
        try:
            yield
        except OF_ONE_MODEL as error:
            # The traceback would keep the decoded rows in memory.
            self.setdefault(run, error.with_traceback(None))


def train_in_lockstep(
    runs: Sequence[Run],
    pending: Sequence[Sequence[Group]],
    failures: Failures,
    deadline: Deadline | None = None,
) -> None:
    """Train the groups of each run until they or the time end.

    Groups that several runs need next are read once.

    Parameters
    ----------
    runs
        Of models that `read_alike`.
    pending
        Groups of each run.
    failures
        Receives the runs that an error has stopped; the others go on.
    """
    deadline = deadline or Deadline()
    with ExitStack() as stack:
        for run, groups in zip(runs, pending, strict=True):
            with failures.of(run):
                stack.enter_context(run.training(groups))
        parties: dict[tuple[Run, ...], Party] = {}
        while left := [run for run in runs if run.n_left and run not in failures]:
            members, n_groups = _next_party(left)
            key = tuple(members)
            if key not in parties:
                parties[key] = Party(members, deadline)
            _step(parties[key], n_groups, failures)
            if deadline.is_over:
                break
        for run in runs:
            with failures.of(run):
                run.settle()


def _next_party(runs: Sequence[Run]) -> tuple[list[Run], int]:
    """Return the runs that train next, and how many of their next groups they have in common.

    The run with most groups left goes first, so that the others wait for it where it is behind.
    They join it as soon as they meet.
    """
    left = {run: run.left[:_MOST_AHEAD] for run in runs}
    first = max(runs, key=lambda run: run.n_left)
    members = [run for run in runs if _key(left[run][0]) == _key(left[first][0])]
    met = {_key(left[run][0]) for run in runs if run not in members}
    n_groups = 1
    for groups in zip(*(left[run][1:] for run in members), strict=False):
        keys = {_key(one) for one in groups}
        if len(keys) > 1 or keys & met:
            break
        n_groups += 1
    return members, n_groups


def _key(group: Group) -> tuple[object, ...]:
    return (group.epoch, *group.partitions)


def _step(party: Party, n_groups: int, failures: Failures) -> None:
    """Let a party train; if that fails, let each run train the next group by itself.

    So a file that is bad for one label alone is left out of one model alone.
    """
    if len(party.runs) == 1:
        with failures.of(party.runs[0]):
            party.step(n_groups)
        return
    try:
        party.step(n_groups)
    except OF_ONE_MODEL:
        for run in party.runs:
            with failures.of(run):
                run.step_back()
                if run.n_left:
                    Party([run], Deadline()).step(1)


class Party:
    """Runs that train the same groups next, from one reading.

    Parameters
    ----------
    runs
        One, or several of models that `read_alike`; all are in `Run.training`.
    deadline
        Ends a step after the round in which it is over.
    """

    def __init__(self, runs: Sequence[Run], deadline: Deadline) -> None:
        self.runs, self._deadline = list(runs), deadline
        self._reader = Groups([run.learner for run in runs])

    def step(self, most: int) -> None:
        """Train the next round, or as many rounds of one group as follow each other.

        Parameters
        ----------
        most
            Number of the next groups that the runs have in common.

        Raises
        ------
        DataError
            If a single run cannot leave out the fault; for several runs, any fault of the lake.
        Diverged
            If the weights of a model are no longer finite.
        """
        sizes = [run.next_round() for run in self.runs]
        (n_groups, _), left = sizes[0], self.runs[0].left
        if not any(is_round for _, is_round in sizes):
            self._one_by_one(left[: min(most, *(n for n, _ in sizes))])
        elif len(self.runs) == 1 or (len({*sizes}) == 1 and n_groups <= most):
            self._round(left[:n_groups])
        else:
            # Models that differ in the rows that they have learnt may have rounds of other sizes.
            Party(self.runs[:1], self._deadline).step(n_groups)

    def _one_by_one(self, groups: list[Group]) -> None:
        """Train rounds of one group each; stop at a bad partition, and skip it."""
        group = groups[0]
        try:
            with self._reader.blocks_of(groups) as blocks_of:
                for group, blocks in zip(groups, blocks_of, strict=False):
                    began = time.perf_counter()
                    pupils = [run.pupil() for run in self.runs]
                    found = self._reader.learn(pupils, group, blocks)
                    for run, learnt in zip(self.runs, found, strict=True):
                        run.commit([group], learnt, time.perf_counter() - began)
                    if self._deadline.is_over or not all(run.n_left for run in self.runs):
                        return
        except (BadPartition, ChangedPartition) as error:
            if len(self.runs) > 1:
                raise
            self.runs[0].leave_out([(group, error)], restores=True)

    def _round(self, groups: list[Group]) -> None:
        """Train a round; if there are bad partitions in it, skip all of them instead."""
        began = time.perf_counter()
        try:
            found = learn_round(self._reader, [run.pupil() for run in self.runs], groups)
        except BadRound as bad:
            if len(self.runs) > 1:
                raise bad.faults[0][1] from None
            self.runs[0].leave_out(bad.faults, restores=False)
            return
        for run, learnt in zip(self.runs, found, strict=True):
            run.commit(groups, learnt, time.perf_counter() - began)
