"""Read partitions by several tasks at once, which share the memory of a process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from onepass.lake.discover import LakeFile
from onepass.partition import Partition
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.reading import Reading, Streamed
from onepass.stream.sources import open_sources
from onepass.stream.stop import Stop
from onepass.stream.stream import ReadGroup, blocks_of
from onepass.stream.threads import WINDOW
from onepass.stream.workers import Workers

_SLACK = 1.1
"""Tasks of whole partitions are preferred to tasks of blocks unless they take this much longer."""

_WAITING = 4
"""Values that may wait for their turn, for each task that runs."""

_MOST_IN_PROCESS = 16
"""Maximum number of partitions that a worker of a cluster reads at once."""

_SMALL_BYTES = 1 << 20
"""Values up to this size may wait for their turn; larger ones hold back the tasks behind them."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A partition with the file that holds it."""

    partition: Partition
    file: LakeFile | None
    """The file as it was listed; None if the lake no longer has it."""

    def group(self, check: ColumnCheck) -> ReadGroup:
        """Return the partition as a group to read."""
        files = {} if self.file is None else {self.file.key: self.file}
        return ReadGroup(partial(open_sources, [self.partition], files, [check]))


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
