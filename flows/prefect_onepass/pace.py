"""How far a run has come, how fast it goes, and when it will have trained everything."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from onepass.ledger.entries import AnyEntry, SkipEntry, TrainEntry
from onepass.partition import Partition

_MOST_POINTS = 50
"""Commits over which the speed is taken."""


class Pace:
    """Counts the partitions and rows of a run as they are committed.

    Parameters
    ----------
    clock
        Returns the time in seconds.

    Notes
    -----
    The speed is that between commits. The time before the first one says little about the rest,
    as loops may be compiled then.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._points: deque[tuple[float, int]] = deque(maxlen=_MOST_POINTS)
        self._first_rate = 0.0
        self.n_done = self.n_total = 0
        """Partitions that are trained or skipped, and all that are to be; once for each epoch."""
        self.n_rows = self.total_rows = 0
        """Rows of these partitions."""

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Take note of what is pending now."""
        self.n_total, self.total_rows = self.n_done + n_partitions, self.n_rows + n_rows

    def committed(self, entry: AnyEntry) -> None:
        """Take note of partitions that are trained or skipped."""
        if not isinstance(entry, TrainEntry | SkipEntry):
            return
        partitions = list(entry.all_partitions())
        rows = sum(one.rows for one in partitions if isinstance(one, Partition))
        self.n_done += len(partitions)
        self.n_rows += rows
        # A partition that is skipped is left out in later epochs as well, which are not counted.
        self.n_total = max(self.n_total, self.n_done)
        self.total_rows = max(self.total_rows, self.n_rows)
        if isinstance(entry, TrainEntry):
            if not self._points:
                self._first_rate = rows / max(entry.seconds, 1e-9)
            self._points.append((self._clock(), self.n_rows))

    @property
    def percent(self) -> float:
        """Percent of the rows that are done; 0 before anything is known."""
        return 100.0 * self.n_rows / self.total_rows if self.total_rows else 0.0

    @property
    def rows_per_second(self) -> float:
        """Rows per second over the last commits; 0 before the first."""
        if len(self._points) < 2:
            return self._first_rate
        (since, before), (now, after) = self._points[0], self._points[-1]
        return (after - before) / max(now - since, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the rest is trained at this speed; None if no speed is known."""
        rate = self.rows_per_second
        return (self.total_rows - self.n_rows) / rate if rate else None
