"""Learn a round: several groups from the same state, side by side, merged in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from onepass.errors import DataError
from onepass.model.state import ModelState, StateDifference
from onepass.partition import Group
from onepass.training.learn_group import GroupLearner
from onepass.training.learnt import Learnt, joined
from onepass.training.round_sizes import rows_of
from onepass.training.share import Base, Share, Task, Watch, learn_share

_AHEAD = 2
"""Shares for each thread that run or wait for their turn to be merged. With more than one, a thread
does not idle while the share before it is late."""


class BadRound(Exception):
    """Raised when files of a round are bad or have changed; the state is as it was.

    Parameters
    ----------
    faults
        Groups with the first fault of each, in the order of the groups.
    """

    def __init__(self, faults: list[tuple[Group, DataError]]) -> None:
        super().__init__(faults)
        self.faults = faults


def learn_round(
    learner: GroupLearner, state: ModelState, groups: Sequence[Group], horizon: tuple[int, int]
) -> Learnt:
    """Learn groups from the same state, each by a share of its own, and merge them in their order.

    A round of one group gives the bytes that `GroupLearner.learn` gives.

    Parameters
    ----------
    state
        Updated in place, once all groups have been learnt.
    horizon
        See `learn_blocks`.

    Raises
    ------
    BadRound
        If files of some groups cannot be learnt; it has the faults of all of them.
    Diverged
        If the weights are no longer finite.
    """
    merged: StateDifference | None = None
    found: list[Learnt] = []
    faults: list[tuple[Group, DataError]] = []
    alone = len(groups) == 1
    for group, share in zip(groups, _shares(learner, state, groups, horizon), strict=True):
        if share.error is not None:
            faults.append((group, share.error))
        elif not faults:
            found.append(share.learnt(learner.file))
            if alone:
                assert share.arrays is not None
                state.load(share.arrays)
            else:
                # Always from the left, so that the bytes do not depend on who comes first.
                added = share.difference
                assert added is not None
                merged = added if merged is None else merged.then(added)
    if faults:
        raise BadRound(faults)
    if merged is not None:
        state.merge([merged])
    return joined(found, learner.file)


def learn_groups_again(
    learner: GroupLearner, state: ModelState, groups: Sequence[Group], horizon: tuple[int, int]
) -> Learnt:
    """Read and learn the groups of one version again; see `learn_round`.

    Raises
    ------
    BadPartition, ChangedPartition
        The fault of the first group that cannot be learnt.
    """
    if len(groups) == 1:
        return learner.learn_again(state, groups[0], horizon)
    try:
        return learn_round(learner, state, groups, horizon)
    except BadRound as bad:
        raise bad.faults[0][1] from None


def _shares(
    learner: GroupLearner, state: ModelState, groups: Sequence[Group], horizon: tuple[int, int]
) -> Iterator[Share]:
    """Yield the share of each group, in the order of the groups."""
    workers, watch = learner.workers, Watch(learner.progress)
    n_at_once, whole_bytes = learner.share_memory
    reading = replace(learner.reading, whole_bytes=whole_bytes)
    base = Base(learner.file, reading, state, watch=watch, check=learner.check)
    n_rows = learner.file.taken_rows(rows_of(groups))
    tasks = [
        Task(
            group,
            learner.files_of(group),
            horizon,
            len(groups),
            n_rows,
        )
        for group in groups
    ]
    # The pool bounds the shares that run, so more of them may wait where memory allows all threads.
    most = n_at_once if n_at_once < workers.n_threads else _AHEAD * n_at_once
    shares = workers.each(
        learn_share, base, tasks, n_at_once=n_at_once if learner.is_on_cluster else most
    )
    try:
        with closing(shares):
            for task, share in zip(tasks, shares, strict=True):
                if learner.is_on_cluster and share.error is not None:
                    # A worker may have lost its way to the lake, and a file that is skipped is
                    # skipped for good. So it is bad only if this process finds it bad as well.
                    yield learn_share(base, task)
                    continue
                if learner.is_on_cluster:
                    # The watch is of this process alone.
                    learner.progress.advanced(sum(part.n_rows for part in share.parts))
                yield share
    finally:
        # After an error or an interrupt, shares may be running whose results nobody wants.
        watch.stop()
