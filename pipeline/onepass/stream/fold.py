"""Fold the blocks of partitions into one small value where they are read, and add up these.

A task reads one run of partitions in one thread and returns one value, so rows never leave the
worker. A run is one partition, or several small ones. Within a run values are added block by block,
and then run by run, both in order. Runs follow from the rows of the partitions, so the total
depends neither on the workers nor on their number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import Any, Generic, Protocol, TypeVar

from onepass.lake.discover import LakeFile
from onepass.partition import Partition
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.reading import Reading, Streamed
from onepass.stream.sources import open_sources
from onepass.stream.stream import ReadGroup, blocks_of, stream
from onepass.stream.threads import WINDOW
from onepass.stream.workers import Workers

_SLACK = 1.1
"""Tasks of whole partitions are preferred to tasks of blocks unless they take this much longer."""

RUN_ROWS = 1 << 17
"""Rows that end a run of partitions. On a cluster a task costs some milliseconds, which is what
that many rows take."""

_RUN_FILES = 64
"""Maximum number of partitions in a run."""

_WAITING = 4
"""Values that may wait for their turn, for each task that runs."""

_MOST_IN_PROCESS = 16
"""Maximum number of partitions that a worker of a cluster reads at once."""

_SMALL_BYTES = 1 << 20
"""Values up to this size may wait for their turn; larger ones hold back the tasks behind them."""


class Total(Protocol):
    """A value of some rows, which the value of later rows can be added to."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        ...

    def add(self, other: Any, /) -> None:
        """Add the value of later rows in place."""
        ...


S = TypeVar("S")
T = TypeVar("T", bound=Total)


def runs(items: Iterable[S], rows_of: Callable[[S], int]) -> list[list[S]]:
    """Divide files or partitions into runs, each of which is read by one task.

    Parameters
    ----------
    rows_of
        Returns the number of rows of an item.
    """
    found: list[list[S]] = []
    n_rows = RUN_ROWS
    for item in items:
        if n_rows >= RUN_ROWS or len(found[-1]) >= _RUN_FILES:
            found.append([])
            n_rows = 0
        found[-1].append(item)
        n_rows += rows_of(item)
    return found


class Stop:
    """Tells tasks in threads of this process that nobody waits for them any more."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """End the tasks at their next block."""
        self._event.set()

    def check(self) -> None:
        """Raise `Stopped` if nobody waits any more."""
        if self._event.is_set():
            raise Stopped

    def __reduce__(self) -> tuple[object, ...]:
        # A worker in another process ends its task, and nobody takes the result.
        return (Stop, ())


class Stopped(Exception):
    """Ends a task whose result nobody waits for."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A partition with the file that holds it."""

    partition: Partition
    file: LakeFile | None
    """The file as it was listed; None if the lake no longer has it."""

    def group(self, check: ColumnCheck) -> ReadGroup:
        """Return the partition as a group to read."""
        files = {} if self.file is None else {self.file.key: self.file}
        return ReadGroup(partial(open_sources, [self.partition], files, check))


@dataclass(frozen=True, slots=True)
class Readers:
    """How partitions are read, by several tasks at once."""

    reading: Reading
    """Settings of one reader that has all memory."""
    check: ColumnCheck
    """Checks the columns of each file that is read."""
    n_at_once: int
    """Number of partitions that memory allows one process to read at once, at least 1."""
    stop: Stop = field(default_factory=Stop)

    def tasks(self, workers: Workers) -> int:
        """Return the number of partitions that one process reads at once."""
        most = _MOST_IN_PROCESS if workers.is_cluster else workers.n_threads
        return min(self.n_at_once, most)

    def shared(self, workers: Workers) -> Readers:
        """Return the settings of one of the tasks that share the memory of a process.

        The caller must set `stop` when it takes no more results.
        """
        share = self.reading.whole_bytes // self.tasks(workers)
        reading = replace(self.reading, whole_bytes=share)
        return replace(self, reading=reading, stop=Stop())

    def ahead(self, workers: Workers, nbytes: int) -> int:
        """Return the number of tasks to begin before the first one must end.

        In threads, results that are small may wait for their turn where memory is enough for all
        threads, so that no thread waits for the slow task of another.
        """
        n_tasks = self.tasks(workers)
        is_free = self.n_at_once >= workers.n_threads and nbytes <= _SMALL_BYTES
        return _WAITING * n_tasks if is_free and not workers.is_cluster else n_tasks

    def suits_tasks(self, rows: Iterable[int], workers: Workers) -> bool:
        """Return whether each task should read a whole part of the lake, rather than one block.

        On a cluster it should, so that rows do not travel. In threads it should if the parts are
        many, and none of them so large that the others would wait for it.

        Parameters
        ----------
        rows
            Number of rows of each part, which one task would read.
        """
        if workers.is_cluster:
            return True
        each, n_tasks = list(rows), self.tasks(workers)
        # The largest part may come last, and then one thread reads it alone.
        longest = sum(each) / n_tasks + max(each, default=0) * (1 - 1 / n_tasks)
        return longest <= _SLACK * sum(each) / min(workers.n_threads, WINDOW)

    def blocks_of(self, part: Placed) -> Iterator[Streamed]:
        """Read a partition in this thread, until nobody waits for it any more.

        Raises
        ------
        DataError
            If the partition cannot be read.
        Stopped
            If nobody waits any more.
        """
        for block in blocks_of(part.group(self.check), self.reading):
            yield block
            self.stop.check()


@dataclass(frozen=True, slots=True)
class Fold(Generic[T]):
    """Values of blocks to add up."""

    readers: Readers
    of_block: Callable[[Streamed], T]
    """Returns the value of a block; called on the worker that reads the block."""
    nbytes: int = 0
    """Approximate size of a value."""


def folded(
    parts: Sequence[Placed], fold: Fold[T], workers: Workers, advanced: Callable[[int], None]
) -> T | None:
    """Add up the values of all blocks of partitions.

    Each task reads a run of whole partitions. In threads of this process it reads one block instead
    if runs would leave some threads without work. The total is the same.

    Parameters
    ----------
    advanced
        Called with the number of rows of each value that has been added.

    Returns
    -------
    The total; None if there is no block.

    Raises
    ------
    DataError
        If a partition is bad: the error of the first one.
    """
    total = None
    found = runs(parts, lambda part: part.partition.rows)
    rows = [sum(part.partition.rows for part in run) for run in found]
    by = _by_run if fold.readers.suits_tasks(rows, workers) else _by_block
    values = by(found, fold, workers, advanced)
    with closing(values):
        for value in values:
            total = _added(total, value)
    return total


def _by_run(
    found: list[list[Placed]], fold: Fold[T], workers: Workers, advanced: Callable[[int], None]
) -> Generator[T, None, None]:
    readers = fold.readers
    shared, n_ahead = (
        replace(fold, readers=readers.shared(workers)),
        readers.ahead(workers, fold.nbytes),
    )
    values = workers.each(fold_run, shared, found, n_at_once=n_ahead)
    try:
        for value in values:
            if value is not None:
                n_rows = value.n_rows
                yield value
                advanced(n_rows)
    finally:
        shared.readers.stop.set()
        values.close()


def fold_run(fold: Fold[T], run: list[Placed]) -> T | None:
    """Read a run of partitions and add up the values of its blocks; None if it has no block."""
    total: T | None = None
    with suppress(Stopped):
        for part in run:
            for block in fold.readers.blocks_of(part):
                total = _added(total, fold.of_block(block))
    return total


def _by_block(
    found: list[list[Placed]], fold: Fold[T], workers: Workers, advanced: Callable[[int], None]
) -> Generator[T, None, None]:
    readers = fold.readers
    groups = [part.group(readers.check) for run in found for part in run]
    with closing(stream(groups, readers.reading, workers, fold.of_block)) as streamed:
        for run in found:
            total: T | None = None
            for value in chain.from_iterable(islice(streamed, len(run))):
                n_rows = value.n_rows
                total = _added(total, value)
                advanced(n_rows)
            if total is not None:
                yield total


def _added(total: T | None, value: T) -> T:
    if total is None:
        return value
    total.add(value)
    return total
