"""Learn one group of a round apart from the others: a pure call, in a thread or on a cluster.

All shares of a round begin from the same state, the base. A share decodes, encodes and learns its
group in one thread, and returns what it has learnt as a difference to the base.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.errors import DataError
from onepass.learn.metrics import Metrics, Stretches
from onepass.model.file import ModelFile
from onepass.model.state import ModelState, StateDifference
from onepass.partition import Group
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.reading import Reading
from onepass.stream.sources import Files, open_sources
from onepass.stream.stop import Stop
from onepass.stream.stream import ReadGroup, blocks_of
from onepass.training.learnt import Lake, Learning, Learnt, learn_blocks
from onepass.training.learnt_rows import LearntRows
from onepass.training.progress import Progress


class Watch:
    """Shows the rows of shares that run in this process, and stops these shares.

    Parameters
    ----------
    rows
        Receives the rows of all shares, one call at a time, from the threads of the shares.
    """

    def __init__(self, rows: LearntRows) -> None:
        self._rows, self._lock, self._stop = rows, Lock(), Stop()

    def advanced(self, n_rows: int) -> None:
        """Report rows of a share; raise `Stopped` after `stop`."""
        with self._lock:
            self._stop.check()
            self._rows.advanced(n_rows)

    def stop(self) -> None:
        """Let every share end at its next block."""
        # Without the lock: the thread that waits for the shares may be interrupted at any time.
        self._stop.set()


class Base:
    """State and settings from which all shares of a round begin; it is sent once to each worker.

    Threads share a base, and only read it. Pickled, it has the arrays of the state, and neither the
    watch nor the files that have been checked here.

    Parameters
    ----------
    file
        Frozen decisions of the model.
    reading
        Settings for reading; `Reading.whole_bytes` is the memory of one share.
    state
        State at the begin of the round. It must not change until the last share has ended.
    horizon
        See `onepass.training.learnt.Learning`.
    n_shares
        Number of groups of the round; the share of a round of one returns the new state.
    n_rows
        Number of rows of all groups of the round, about as many as are taken.
    beside
        Bases of the models that learn the same rows, in the order of `Reading.beside`.
    watch
        Sees the shares that run in this process.
    check
        Check that has seen files of the lake before.
    """

    def __init__(
        self,
        file: ModelFile,
        reading: Reading,
        state: ModelState,
        *,
        horizon: tuple[int, int],
        n_shares: int = 1,
        n_rows: int = 0,
        beside: Sequence[Base] = (),
        watch: Watch | None = None,
        check: ColumnCheck | None = None,
    ) -> None:
        self.file, self.reading, self.state = file, reading, state
        self.horizon, self.n_shares, self.n_rows = horizon, n_shares, n_rows
        self.beside = list(beside)
        self.watch = watch or Watch(LearntRows(Progress()))
        self.check = check or ColumnCheck(file.encoder, label=True, selection=file.job.selection)

    def copied(self) -> ModelState:
        """Return a copy of the state that learns a share of the round; see `ModelState.hold`."""
        copy = self.file.new_state()
        if self.n_shares == 1:
            copy.load(self.state.arrays())
            return copy
        # A share counts frequent values from zero, so those of the base are not copied.
        copy.learner.restore(self.state.learner.arrays())
        copy.hold(self.n_shares, self.n_rows)
        return copy

    def share(self, state: ModelState, learnt: Learnt) -> Share:
        """Return what a copy has learnt."""
        parts, counts = learnt.stretches.parts(), learnt.counts
        if self.n_shares == 1:
            return Share(arrays=state.arrays(), parts=parts, counts=counts)
        return Share(state.difference(self.state), parts=parts, counts=counts)

    def __getstate__(self) -> dict[str, Any]:
        names = ("file", "reading", "horizon", "n_shares", "n_rows", "beside")
        return {name: getattr(self, name) for name in names} | {"arrays": self.state.arrays()}

    def __setstate__(self, content: Mapping[str, Any]) -> None:
        fields = dict(content)
        state = fields["file"].new_state()
        state.load(fields.pop("arrays"))
        self.__init__(state=state, **fields)  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Task:
    """One group to learn from the base."""

    group: Group
    files: Files
    """Files of the group's partitions, as they were listed; a file that is gone is not there."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one share has learnt, or the fault of its files."""

    difference: StateDifference | None = None
    """What the group has added to the base; None for a round of one group, and after an error."""
    arrays: Mapping[str, NDArray[np.generic]] | None = None
    """The new state, for a round of one group; see `ModelState.load`."""
    parts: tuple[Metrics, ...] = ()
    """Progressive metrics by stretches of rows."""
    counts: Counter[str] | None = None
    """Dropped rows and treated values by kind."""
    error: DataError | None = None
    """The first fault of the group's files; a value, so that all faults of a round are found."""
    beside: tuple[Share, ...] = ()
    """What the models beside this one have learnt."""

    def learnt(self, file: ModelFile) -> Learnt:
        """Return the measurements of the group."""
        stretches = Stretches(file.metrics, self.parts)
        return Learnt(stretches.whole(), stretches, Counter(self.counts))


def learn_share(base: Base, task: Task) -> Share:
    """Learn one group from copies of the base and of those beside it.

    Raises
    ------
    Diverged
        If the weights are no longer finite.
    Stopped
        If the watch of the base has been stopped.
    """
    bases = [base, *base.beside]
    states = [one.copied() for one in bases]
    lake = Lake(task.files, base.check)
    checks = [one.check for one in bases]
    sources = partial(open_sources, task.group.partitions, lake.files, checks)
    try:
        with closing(blocks_of(ReadGroup(sources, task.group.epoch), base.reading)) as blocks:
            learnings = [
                Learning(one.file, state, one.horizon, one.watch.advanced)
                for one, state in zip(bases, states, strict=True)
            ]
            learnt = learn_blocks(learnings, task.group, blocks, lake)
    except DataError as error:
        # The traceback would keep the decoded rows in memory.
        return Share(error=error.with_traceback(None))
    found = zip(bases, states, learnt, strict=True)
    first, *others = [one.share(state, measured) for one, state, measured in found]
    return replace(first, beside=tuple(others))
