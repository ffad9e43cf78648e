"""Learn one group of a round apart from the others: a pure call, in a thread or on a cluster.

All shares of a round begin from the same state, the base. A share decodes, encodes and learns its
group in one thread, and returns what it has learnt as a difference to the base.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
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
from onepass.training.learnt import Lake, Learnt, learn_blocks
from onepass.training.progress import Progress


class Watch:
    """Shows the rows of shares that run in this process, and stops these shares.

    Parameters
    ----------
    progress
        Receives the rows of all shares, one call at a time, from the threads of the shares.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock, self._stop = progress, Lock(), Stop()

    def advanced(self, n_rows: int) -> None:
        """Report rows of a share; raise `Stopped` after `stop`."""
        with self._lock:
            self._stop.check()
            self._progress.advanced(n_rows)

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
        watch: Watch | None = None,
        check: ColumnCheck | None = None,
    ) -> None:
        self.file, self.reading, self.state = file, reading, state
        self.watch = watch or Watch(Progress())
        self.check = check or ColumnCheck(file.encoder, label=True, selection=file.job.selection)

    def copied(self) -> ModelState:
        """Return a copy of the state, to learn with."""
        copy = self.file.new_state()
        copy.load(self.state.arrays())
        return copy

    def held(self, n_shares: int, n_rows: int) -> ModelState:
        """Return a copy that learns a share of a round; see `ModelState.hold`."""
        copy = self.file.new_state()
        # A share counts frequent values from zero, so those of the base are not copied.
        copy.learner.restore(self.state.learner.arrays())
        copy.hold(n_shares, n_rows)
        return copy

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "reading": self.reading, "arrays": self.state.arrays()}

    def __setstate__(self, content: Mapping[str, Any]) -> None:
        state = content["file"].new_state()
        state.load(content["arrays"])
        self.__init__(content["file"], content["reading"], state)  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class Task:
    """One group to learn from the base."""

    group: Group
    files: Files
    """Files of the group's partitions, as they were listed; a file that is gone is not there."""
    horizon: tuple[int, int]
    """See `learn_blocks`."""
    n_shares: int = 1
    """Number of groups of the round; the share of a round of one returns the new state."""
    n_rows: int = 0
    """Number of rows of all groups of the round, about as many as are taken."""


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

    def learnt(self, file: ModelFile) -> Learnt:
        """Return the measurements of the group."""
        stretches = Stretches(file.metrics, self.parts)
        return Learnt(stretches.whole(), stretches, Counter(self.counts))


def learn_share(base: Base, task: Task) -> Share:
    """Learn one group from a copy of the base.

    Raises
    ------
    Diverged
        If the weights are no longer finite.
    Stopped
        If the watch of the base has been stopped.
    """
    alone = task.n_shares == 1
    state = base.copied() if alone else base.held(task.n_shares, task.n_rows)
    lake = Lake(task.files, base.check)
    sources = partial(open_sources, task.group.partitions, lake.files, lake.check)
    try:
        with closing(blocks_of(ReadGroup(sources, task.group.epoch), base.reading)) as blocks:
            learnt = learn_blocks(
                base.file,
                state,
                task.group,
                blocks,
                lake=lake,
                horizon=task.horizon,
                advanced=base.watch.advanced,
            )
    except DataError as error:
        # The traceback would keep the decoded rows in memory.
        return Share(error=error.with_traceback(None))
    parts, counts = learnt.stretches.parts(), learnt.counts
    if alone:
        return Share(arrays=state.arrays(), parts=parts, counts=counts)
    return Share(state.difference(base.state), parts=parts, counts=counts)
