"""Write to the log of a run how far a pass over a lake has come: scoring, evaluating."""

from __future__ import annotations

import time
from collections.abc import Callable

from onepass.text import printable
from onepass.training.progress import Progress
from onepass.wording import spoken
from prefect_onepass.background import run_logger
from prefect_onepass.figures import duration

LINE_SECONDS = 15.0
"""Time in seconds between two lines; a short pass has none."""


class PassLog(Progress):
    """Logs rows, speed and the time left now and then.

    Parameters
    ----------
    verb
        What is done with the rows, such as ``scored``.
    clock
        Returns the time in seconds.
    """

    def __init__(self, verb: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._verb, self._clock, self._logger = verb, clock, run_logger()
        self._total = self._done = 0
        self._began = self._last = clock()

    def started(self, n_partitions: int, n_rows: int) -> None:
        """Take the size of the work."""
        self._total, self._done = n_rows, 0
        self._began = self._last = self._clock()

    def advanced(self, n_rows: int) -> None:
        """Count rows, and log how far the pass has come."""
        self._done += n_rows
        now = self._clock()
        if now - self._last < LINE_SECONDS or self._done >= self._total:
            return
        self._last, speed = now, self._done / (now - self._began)
        left = (self._total - self._done) / speed
        self._logger.info(
            "%s %s of %s rows, %s rows/s, about %s left",
            self._verb,
            f"{self._done:,}",
            f"{self._total:,}",
            f"{speed:,.0f}",
            duration(left),
        )

    def noted(self, message: str) -> None:
        """Log a warning."""
        self._logger.warning("%s", printable(spoken(message)))
