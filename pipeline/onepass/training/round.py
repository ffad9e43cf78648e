"""Learn a round: several groups from the same state, side by side, merged in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from onepass.errors import DataError
from onepass.model.state import StateDifference
from onepass.partition import Group
from onepass.training.groups import Groups, Pupil, learn_again
from onepass.training.learnt import Learnt, joined
from onepass.training.round_sizes import rows_of
from onepass.training.share import Base, Share, Task, Watch, learn_share

_AHEAD = 2
"""Shares for each thread that run or wait for their turn to be merged. With more than one, a thread
does not idle while the share before it is late."""


class BadRound(Exception):
    """Raised when files of a round are bad or have changed; the states are as they were.

    Parameters
    ----------
    faults
        Groups with the first fault of each, in the order of the groups.
    """

    def __init__(self, faults: list[tuple[Group, DataError]]) -> None:
        super().__init__(faults)
        self.faults = faults


def learn_round(reader: Groups, pupils: Sequence[Pupil], groups: Sequence[Group]) -> list[Learnt]:
    """Learn groups from the same states, each by a share of its own, and merge them in their order.

    A round of one group gives the bytes that `Groups.learn` gives.

    Parameters
    ----------
    pupils
        The models of the reader, in the same order. Their states are updated in place, once all
        groups have been learnt.

    Raises
    ------
    BadRound
        If files of some groups cannot be learnt; it has the faults of all of them.
    Diverged
        If the weights are no longer finite.
    """
    merges = [_Merge(one, is_alone=len(groups) == 1) for one in pupils]
    faults: list[tuple[Group, DataError]] = []
    for group, share in zip(groups, _shares(reader, pupils, groups), strict=True):
        if share.error is not None:
            faults.append((group, share.error))
        elif not faults:
            for merge, one in zip(merges, (share, *share.beside), strict=True):
                merge.add(one)
    if faults:
        raise BadRound(faults)
    return [merge.finish() for merge in merges]


class _Merge:
    """Merges the shares of one model."""

    def __init__(self, pupil: Pupil, *, is_alone: bool) -> None:
        self._file, self._state, self._is_alone = pupil.learner.file, pupil.state, is_alone
        self._merged: StateDifference | None = None
        self._found: list[Learnt] = []

    def add(self, share: Share) -> None:
        """Take the share of the next group."""
        self._found.append(share.learnt(self._file))
        if self._is_alone:
            assert share.arrays is not None
            self._state.load(share.arrays)
            return
        # Always from the left, so that the bytes do not depend on who comes first.
        added = share.difference
        assert added is not None
        self._merged = added if self._merged is None else self._merged.then(added)

    def finish(self) -> Learnt:
        """Update the state, and return the measurements of the round."""
        if self._merged is not None:
            self._state.merge([self._merged])
        return joined(self._found, self._file)


def learn_groups_again(pupil: Pupil, groups: Sequence[Group]) -> Learnt:
    """Read and learn the groups of one version again; see `learn_round`.

    Raises
    ------
    BadPartition, ChangedPartition
        The fault of the first group that cannot be learnt.
    """
    if len(groups) == 1:
        return learn_again(pupil, groups[0])
    try:
        (learnt,) = learn_round(Groups([pupil.learner]), [pupil], groups)
    except BadRound as bad:
        raise bad.faults[0][1] from None
    return learnt


def _shares(reader: Groups, pupils: Sequence[Pupil], groups: Sequence[Group]) -> Iterator[Share]:
    """Yield the share of each group, in the order of the groups."""
    workers = reader.workers
    watches = [Watch(one.learner.rows) for one in pupils]
    n_at_once, whole_bytes = reader.share_memory
    reading = replace(reader.reading, whole_bytes=whole_bytes)
    first, *others = [
        Base(
            pupil.learner.file,
            pupil.learner.reading,
            pupil.state,
            horizon=pupil.horizon,
            n_shares=len(groups),
            n_rows=pupil.learner.file.taken_rows(rows_of(groups)),
            watch=watch,
            check=pupil.learner.check,
        )
        for pupil, watch in zip(pupils, watches, strict=True)
    ]
    first.reading, first.beside = reading, others
    tasks = [Task(group, reader.files_of(group)) for group in groups]
    # The pool bounds the shares that run, so more of them may wait where memory allows all threads.
    most = n_at_once if n_at_once < workers.n_threads else _AHEAD * n_at_once
    shares = workers.each(
        learn_share, first, tasks, n_at_once=n_at_once if workers.is_cluster else most
    )
    try:
        with closing(shares):
            for task, share in zip(tasks, shares, strict=True):
                if workers.is_cluster and share.error is not None:
                    # A worker may have lost its way to the lake, and a file that is skipped is
                    # skipped for good. So it is bad only if this process finds it bad as well.
                    yield learn_share(first, task)
                    continue
                if workers.is_cluster:
                    # The watches are of this process alone.
                    for pupil, one in zip(pupils, (share, *share.beside), strict=True):
                        pupil.learner.rows.advanced(sum(part.n_rows for part in one.parts))
                yield share
    finally:
        # After an error or an interrupt, shares may be running whose results nobody wants.
        for watch in watches:
            watch.stop()
