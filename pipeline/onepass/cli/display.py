"""Progress on stderr: a live bar on a terminal, plain lines otherwise; and aligned tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry, PlanEntry, SkipEntry, TrainEntry
from onepass.text import printable
from onepass.training.progress import Progress as Told

LINE_SECONDS = 1.0
"""Plain lines come at most so often."""

_SKETCHED = 1e-4
"""By how much the best constant's loss of huber loss, which a sketch tells, may be too low."""


class Display(Told):
    """Shows rows/s, time left and the running loss of a run; use it as a context."""

    def __init__(self, verb: str) -> None:
        self.version = 0
        """Newest version seen."""
        self._verb = verb
        self._n_rows = self._done = 0
        self._n_partitions = self._n_committed = 0
        self._began = self._last_line = time.perf_counter()
        self._loss = ""
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task: TaskID | None = None

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Show the size of the work."""
        self._n_rows += n_rows
        self._n_partitions += n_partitions
        if self._bar is not None and n_rows:
            if self._task is None:
                self._task = self._bar.add_task(self._verb, total=0, loss="", rate="")
            self._bar.update(self._task, total=self._n_rows)

    def advanced(self, n_rows: int) -> None:
        """Move the bar."""
        self._done += n_rows
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, advance=n_rows, loss=self._loss, rate=f"{self._rate():,.0f}"
            )

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Show the running loss, or why a partition is left out."""
        self.version = entry.version
        self._n_committed += 1
        match entry:
            case SkipEntry():
                self.noted(f"left out: {entry.reason}")
            case TrainEntry():
                self._loss = f"loss {total.loss():.5g}"
                self._plain_line(entry)
            case PlanEntry():
                pass

    def noted(self, message: str) -> None:
        """Print a warning."""
        if self._bar is not None:
            text = Text.assemble(("warning:", "yellow"), f" {printable(message)}")
            self._bar.console.print(text, highlight=False)
        else:
            say(f"warning: {printable(message)}", err=True)

    def _plain_line(self, entry: TrainEntry) -> None:
        now = time.perf_counter()
        is_last = self._n_committed >= self._n_partitions
        if self._bar is not None or (now - self._last_line < LINE_SECONDS and not is_last):
            return
        self._last_line = now
        left = max(0, self._n_rows - self._done) / max(self._rate(), 1e-9)
        say(
            f"{self._verb} {self._n_committed}/{self._n_partitions} partitions, "
            f"{self._done:,} rows, {self._rate():,.0f} rows/s, {left:.0f} s left, {self._loss}, "
            f"version {entry.version}",
            err=True,
        )

    def _rate(self) -> float:
        return self._done / max(1e-9, time.perf_counter() - self._began)


def say(text: str, *, err: bool = False) -> None:
    """Print a text to stdout, or to stderr, with nothing in it that steers a terminal.

    Its newlines stay; those within a name are for `printable`, before the name is put into it.
    """
    click.echo(printable(text, lines=True), err=err)


def print_table(
    rows: Sequence[Sequence[str]], header: Sequence[str], *, right: Sequence[int] = ()
) -> None:
    """Print aligned columns to stdout; those in `right` are aligned to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    # A pipe has no width: cutting names there would make the output useless to grep.
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def warn_if_worse(loss: float | None, metrics: Mapping[str, float | None]) -> None:
    """Print a warning if a loss is above that of the best constant."""
    constant = metrics.get("constant_loss")
    if loss is not None and constant is not None and loss > constant * (1 + _SKETCHED):
        say(
            f"warning: the loss {loss:.5g} is worse than {constant:.5g}, that of the best constant "
            "prediction: on these rows the model is of no use",
            err=True,
        )


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} rows"),
        TextColumn("{task.fields[rate]} rows/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        console=Console(stderr=True, markup=True),
    )
