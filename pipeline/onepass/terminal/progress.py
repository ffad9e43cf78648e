"""Show the progress of a run on stderr: a live bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry, SkipEntry, TrainEntry
from onepass.terminal.printing import say
from onepass.text import printable
from onepass.training.progress import COMPILING, OfLabel
from onepass.training.progress import Progress as RunProgress

LINE_SECONDS = 1.0
"""Least time between two plain lines, in seconds."""


_MANY_FILES = 1000
"""Fewer footers are read in a moment, without a bar."""


class Display(RunProgress):
    """Shows rows per second, time left and the running loss; use it as a context manager.

    Parameters
    ----------
    verb
        Word for the work in each line, such as ``trained``.
    """

    def __init__(self, verb: str) -> None:
        self.version = 0
        """Newest version that has been committed; 0 before the first commit."""
        self._verb = verb
        self._n_rows = self._done = 0
        self._n_partitions = self._n_committed = 0
        self._began = self._last_line = time.perf_counter()
        self._losses: dict[str, str] = {}
        """Running loss of each label; that of a single model has the label ""."""
        self._bar = _bar() if sys.stderr.isatty() else None
        self._task: TaskID | None = None
        self._looking: TaskID | None = None
        self._looked = 0
        self._comparing: TaskID | None = None
        self._compared = 0

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
        """Add to the size of the work."""
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
                self._task, advance=n_rows, loss=self._loss(), rate=f"{self._rate():,.0f}"
            )

    def looked(self, n_rows: int, total: int) -> None:
        """Move a bar of its own, which goes when all labels have been looked at."""
        if self._bar is None:
            return
        if self._looking is None:
            text = "looked at labels of"
            self._looking = self._bar.add_task(text, total=total, loss="", rate="")
        self._bar.update(self._looking, advance=n_rows)
        self._looked += n_rows
        if self._looked >= total:
            self._bar.remove_task(self._looking)
            self._looking, self._looked = None, 0

    def compared(self, n_files: int) -> None:
        """Move a bar of its own, or print a line now and then, if there are many footers."""
        self._compared += 1
        is_last = self._compared >= n_files
        if n_files >= _MANY_FILES and self._bar is not None:
            if self._comparing is None:
                text = "read footers of"
                self._comparing = self._bar.add_task(text, total=n_files, loss="", rate="")
            self._bar.update(self._comparing, advance=1)
            if is_last:
                self._bar.remove_task(self._comparing)
                self._comparing = None
        elif n_files >= _MANY_FILES and self._bar is None:
            now = time.perf_counter()
            if now - self._last_line >= LINE_SECONDS:
                self._last_line = now
                say(f"read {self._compared:,} of {n_files:,} footers", err=True)
        if is_last:
            self._compared = 0

    def of_label(self, label: str) -> RunProgress:
        """Show the running loss of each label."""
        return _OfLabel(self, label)

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Show the running loss, or the reason why a partition is skipped."""
        self.version = entry.version
        self.settled(entry, total, "")

    def settled(self, entry: AnyEntry, total: Metrics, label: str) -> None:
        """Show an entry of the model of a label; see `committed`."""
        self._n_committed += len(entry.partitions) if isinstance(entry, TrainEntry) else 1
        if isinstance(entry, SkipEntry):
            (self.of_label(label) if label else self).noted(entry.told)
        elif isinstance(entry, TrainEntry):
            self._losses[label] = f"{total.loss():.5g}"
            self._print_line(entry.version if not label else None)

    def compiling(self) -> None:
        """Say why the first rows take long."""
        if self._bar is not None:
            self._bar.console.print(COMPILING, highlight=False)
        else:
            say(COMPILING, err=True)

    def noted(self, message: str) -> None:
        """Print a warning."""
        if self._bar is not None:
            text = Text.assemble(("warning:", "yellow"), f" {printable(message)}")
            self._bar.console.print(text, highlight=False)
        else:
            say(f"warning: {printable(message)}", err=True)

    def told(self, message: str) -> None:
        """Print what a run has found."""
        if self._bar is not None:
            self._bar.console.print(Text(printable(message)), highlight=False)
        else:
            say(printable(message), err=True)

    def _loss(self) -> str:
        losses = [f"{label} {loss}".strip() for label, loss in self._losses.items()]
        return f"loss {', '.join(losses)}" if losses else ""

    def _print_line(self, version: int | None) -> None:
        now = time.perf_counter()
        is_last = self._n_committed >= self._n_partitions
        if self._bar is not None or (now - self._last_line < LINE_SECONDS and not is_last):
            return
        self._last_line = now
        left = max(0, self._n_rows - self._done) / max(self._rate(), 1e-9)
        say(
            f"{self._verb} {self._n_committed}/{self._n_partitions} partitions, "
            f"{self._done:,} rows, {self._rate():,.0f} rows/s, {left:.0f} s left, {self._loss()}"
            + ("" if version is None else f", version {version}"),
            err=True,
        )

    def _rate(self) -> float:
        return self._done / max(1e-9, time.perf_counter() - self._began)


class _OfLabel(OfLabel):
    """The steps of the model of one label: the display has one line for all of them."""

    def __init__(self, display: Display, label: str) -> None:
        super().__init__(display, label)
        self._display = display

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        """Show the running loss beside those of the other labels."""
        self._display.settled(entry, total, self._label)


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
