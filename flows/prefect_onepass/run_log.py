"""Write the steps of a run to its log in Prefect: a line a group, or a line a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry, SkipEntry, TrainEntry
from onepass.text import counted, printable
from onepass.training.progress import COMPILING, Progress
from onepass.wording import spoken
from prefect_onepass.background import Logger, run_logger
from prefect_onepass.figures import duration, rounded
from prefect_onepass.names import span
from prefect_onepass.pace import Pace
from prefect_onepass.past_runs import mean_losses

LINE_SECONDS = 1.0
"""Least time in seconds between two lines about groups; the groups in between share a line."""

_LOOK_SECONDS = 10.0
"""Least time in seconds between two lines about the look at the labels."""


class RunLog(Progress):
    """Logs each group with its loss, speed and the time left; use it as a context manager.

    Groups that follow each other faster than a line a second are told together, with the sums of
    their rows. The end of the context writes the line that is still due. With several labels each
    has lines of its own, together no more than a line a second.

    Parameters
    ----------
    clock
        Returns the time in seconds.
    label
        Label of the model, of several; empty for a single one.

    Notes
    -----
    A line goes to the task run that is under way, and so to the page of its flow run as well.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, label: str = "") -> None:
        self._clock, self._label = clock, printable(label)
        self._of_labels: list[RunLog] = []
        """Those of all labels of the run; none for a single one."""
        self._pace = Pace(clock)
        self._due: list[TrainEntry] = []
        self._last_line, self._last_look = float("-inf"), clock()
        self._noted: set[str] = set()
        self._n_looked = 0
        self._of_flow = run_logger()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *exc: object) -> None:
        self.flush()
        for one in self._of_labels:
            one.flush()

    def of_label(self, label: str) -> RunLog:
        """Return the log of the model of one label; the lines begin with the label."""
        log = RunLog(self._clock, label)
        self._of_labels.append(log)
        log._of_labels = self._of_labels
        return log

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Log the size of the work, unless it was known."""
        self.flush()
        known = self._pace.n_total
        self._pace.started(n_partitions, n_rows)
        if n_partitions and self._pace.n_total > known:
            self._info(f"{counted(n_partitions, 'partition')} to train, {counted(n_rows, 'row')}")

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Log a group that is trained, or a partition that is skipped."""
        self._pace.committed(entry)
        if isinstance(entry, SkipEntry):
            self.noted(entry.told)
        elif isinstance(entry, TrainEntry):
            self._due.append(entry)
            is_last = self._pace.n_done >= self._pace.n_total
            least = LINE_SECONDS * max(1, len(self._of_labels))
            if is_last or self._clock() - self._last_line >= least:
                self.flush()

    def looked(self, n_rows: int, total: int) -> None:
        """Log now and then how far the look at the labels has come."""
        self._n_looked += n_rows
        if self._clock() - self._last_look >= _LOOK_SECONDS or self._n_looked >= total:
            self._last_look = self._clock()
            self._info(f"looked at the labels of {self._n_looked:,} of {counted(total, 'row')}")
        if self._n_looked >= total:
            # The rows of the next label, if there are several, are counted from the beginning.
            self._n_looked = 0

    def compiling(self) -> None:
        """Log why the first rows take long."""
        self._info(COMPILING)

    def noted(self, message: str) -> None:
        """Log a warning, once."""
        if message not in self._noted:
            self._noted.add(message)
            self._logger().warning("%s", self._labelled(printable(spoken(message))))

    def told(self, message: str) -> None:
        """Log what a run has found, once."""
        if message not in self._noted:
            self._noted.add(message)
            self._info(printable(spoken(message)))

    def flush(self) -> None:
        """Log the groups that have not been told yet."""
        if self._due:
            due, self._due = self._due, []
            self._last_line = self._clock()
            self._info(f"{_describe(due)}; {self._place()}")

    def _logger(self) -> Logger:
        # Threads other than that of the run have no run of Prefect around them.
        return run_logger(self._of_flow)

    def _place(self) -> str:
        pace = self._pace
        text = f"{pace.n_done:,} of {counted(pace.n_total, 'partition')}"
        left = pace.seconds_left
        if pace.n_done >= pace.n_total or left is None:
            return text
        return f"{text}, about {duration(left)} left"

    def _info(self, message: str) -> None:
        self._logger().info("%s", self._labelled(message))

    def _labelled(self, message: str) -> str:
        # Warnings about a column name it first, and this column may be the label.
        begins = f"{self._label}: "
        return message if not self._label or message.startswith(begins) else begins + message


def _describe(entries: Sequence[TrainEntry]) -> str:
    """Return what some groups are, and how they were learnt."""
    first, last = entries[0].version, entries[-1].version
    versions = f"version {first}" if first == last else f"versions {first:,}-{last:,}"
    partitions = [one for entry in entries for one in entry.partitions]
    named = span(partitions)
    if len(partitions) > 1:
        named = f"{len(partitions):,} partitions within {named}"
    rows = sum(entry.rows for entry in entries)
    rate = rows / max(sum(entry.seconds for entry in entries), 1e-9)
    loss, constant = mean_losses(entries)
    return (
        f"{versions}: {named}, {counted(rows, 'row')}, loss {rounded(loss, 5)} "
        f"(best constant {rounded(constant, 5)}), {rate:,.0f} rows/s"
    )
