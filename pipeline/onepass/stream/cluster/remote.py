"""Run calls in the process of a worker, and check the worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Any

from threadpoolctl import threadpool_limits

from onepass.environment import environment
from onepass.errors import OnepassError
from onepass.lake.remote import describe


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value that a call has returned, or its error; Dask would log an error that is raised."""

    value: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its task, to call with the shared value."""

    function: Callable[[Any, Any], Any]
    task: Any
    n_at_once: int
    """Most calls that run at the same time in one process."""

    def __call__(self, shared: Any) -> Outcome:
        """Call the function, once fewer than `n_at_once` calls run in this process."""
        with _busy.one(self.n_at_once):
            try:
                return Outcome(self.function(shared, self.task))
            except Exception as error:
                # The traceback would keep decoded rows in memory.
                return Outcome(error=error.with_traceback(None))


@dataclass(frozen=True, slots=True)
class Seen:
    """A file of the lake as the driver sees it."""

    location: str
    size: int
    is_remote: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Answer of a worker: its libraries and processor, and the first file that it does not see."""

    environment: dict[str, str]
    unseen: str | None = None
    """The first file that the worker does not see as the driver does, and why."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A check of a worker; the argument of the call is not used."""

    files: tuple[Seen, ...]

    def __call__(self, shared: object) -> Outcome:
        """Describe this process, and look for the files."""
        unseen = (f"{one.location}: {why}" for one in self.files if (why := _why_unseen(one)))
        return Outcome(Report(environment(), next(unseen, None)))


def _why_unseen(file: Seen) -> str | None:
    """Return why a file is not as expected; None if it is."""
    try:
        size = describe(file.location).size if file.is_remote else os.stat(file.location).st_size
    except FileNotFoundError:
        return "not found"
    except (OSError, OnepassError) as error:
        return getattr(error, "strerror", None) or str(error).splitlines()[0]
    return None if size == file.size else f"expected {file.size:,} bytes, found {size:,}"


class _Busy:
    """The calls that run in this process, from all drivers that use the cluster."""

    def __init__(self) -> None:
        self._changed, self._n, self._blas = Condition(), 0, None

    @contextmanager
    def one(self, most: int) -> Iterator[None]:
        """Wait until fewer than `most` calls run; BLAS has one thread while any runs.

        A driver that was killed may have left calls behind, whose memory counts as well.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._n < most)
            self._n += 1
            if self._n == 1:
                self._blas = threadpool_limits(1, "blas")
        try:
            yield
        finally:
            with self._changed:
                self._n -= 1
                if not self._n and self._blas is not None:
                    self._blas.restore_original_limits()
                self._changed.notify_all()


_busy = _Busy()
