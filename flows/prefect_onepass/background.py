"""Send what only shows to the Prefect API from a thread of its own.

Artifacts, events and assets tell people about a run. A server that is away for a minute, or for
good, must not fail or delay the training that they tell about.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import httpx
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from onepass.text import clipped, printable

Logger: TypeAlias = "logging.Logger | logging.LoggerAdapter[logging.Logger]"

_MOST_WAITING = 1000
"""Most calls that wait for a server that is away; later ones are dropped."""

_MOST_TRIES = 3
"""Tries of a call whose error does not look like one of the network."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
"""Pauses between tries, in seconds: each is twice the one before."""

_LINGER_SECONDS = 600.0
"""Longest time that calls are tried again after the end of the run."""

_STOP_SECONDS = 5.0
"""Longest time that the end of the process waits for the calls that are being made."""


@dataclass(slots=True)
class _Call:
    what: str
    run: Callable[[], object]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


class Background:
    """Makes calls one after the other in a daemon thread; use it as a context manager.

    A call that fails is made again, with growing pauses. A call that fails by an error of its own,
    such as a refused key, is made a few times only, and then dropped. The first one that is dropped
    is told in the log of the run; the others are not.

    The end of the context waits for a short time. Calls that are not done then are tried on: a run
    whose server is away lives until it has reported its end. The end of the process drops them. It
    waits for the call that is being made, a few seconds at most.

    Parameters
    ----------
    grace
        Longest time in seconds that the end of the context waits for calls that are not done.
    linger
        Time in seconds after which calls that are still not done are dropped.
    pause
        Time in seconds between the first two tries of a call.

    Notes
    -----
    A call runs in a copy of the context in which it was sent, so that Prefect assigns an artifact
    to the flow run and the task run of the sender. Prefect's own retries of a request are turned
    off within it: they would hold the thread for a minute.

    Examples
    --------
    >>> from prefect_onepass.background import Background
    >>> with Background() as background:
    ...     background.send("the answer", lambda: print(42))
    42
    """

    def __init__(
        self,
        *,
        grace: float = 5.0,
        linger: float = _LINGER_SECONDS,
        pause: float = _FIRST_PAUSE,
    ) -> None:
        self._grace, self._linger, self._pause = grace, linger, pause
        self._logger = run_logger()
        self._waiting: deque[_Call] = deque()
        self._changed = threading.Condition()
        self._is_closing = self._has_warned = False
        self._ends_at = math.inf
        self._thread = threading.Thread(target=self._work, name="onepass-shows", daemon=True)

    def __enter__(self) -> Background:
        self._thread.start()
        _started.add(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def send(self, what: str, call: Callable[[], object]) -> None:
        """Make a call soon, after those that were sent before; return at once and raise nothing.

        Parameters
        ----------
        what
            Name of what the call shows, for the warning if it is dropped.
        call
            May be made several times, as a reply may be lost.
        """
        with self._changed:
            if self._is_closing or len(self._waiting) >= _MOST_WAITING:
                why = "the run has ended" if self._is_closing else "the Prefect API does not answer"
            else:
                self._waiting.append(_Call(what, call))
                self._changed.notify_all()
                return
        self._drop(what, why)

    def close(self) -> None:
        """Wait for the calls that were sent, `grace` seconds at most; return while others wait."""
        with self._changed:
            self._is_closing = True
            self._ends_at = time.monotonic() + self._grace + self._linger
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(self._grace)
        with self._changed:
            left = [call.what for call in self._waiting]
        if left:
            self._warn(
                f"{left[0]} is not shown in Prefect yet (the Prefect API did not answer in time); "
                "it is tried again while the run reports its end"
            )

    def _stop(self) -> None:
        """Drop all calls but the one that is being made; return at once."""
        with self._changed:
            self._is_closing = True
            self._ends_at = -math.inf
            self._changed.notify_all()

    def _work(self) -> None:
        while (call := self._next()) is not None:
            self._make(call)
            with self._changed:
                # `close` may have given up the call while it was being made.
                if self._waiting and self._waiting[0] is call:
                    self._waiting.popleft()

    def _next(self) -> _Call | None:
        """Return the oldest call, which stays in the queue while it is made; None at the end."""
        with self._changed:
            while not self._waiting and not self._is_closing:
                self._changed.wait()
            return self._waiting[0] if self._waiting else None

    def _make(self, call: _Call) -> None:
        pause, n_tries = self._pause, 0
        while time.monotonic() < self._ends_at:
            n_tries += 1
            try:
                call.context.run(_once, call.run)
            except Exception as error:
                if n_tries >= _MOST_TRIES and not _is_of_the_network(error):
                    self._drop(call.what, _described(error))
                    return
            else:
                return
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _sleep(self, pause: float) -> None:
        """Pause between two tries; try more often once the context has ended."""
        with self._changed:
            if self._is_closing:
                pause = min(pause, _FIRST_PAUSE)
                self._changed.wait_for(lambda: time.monotonic() >= self._ends_at, pause)
            else:
                self._changed.wait_for(lambda: self._is_closing, pause)

    def _drop(self, what: str, why: str) -> None:
        self._warn(
            f"{what} is not shown in Prefect ({why}); more may be missing, but training goes on"
        )

    def _warn(self, text: str) -> None:
        with self._changed:
            is_first, self._has_warned = not self._has_warned, True
        if is_first:
            self._logger.warning("%s", text)


_started: weakref.WeakSet[Background] = weakref.WeakSet()
"""Those whose threads may be at work: a thread refers to its own."""


@atexit.register
def _stop_all() -> None:
    """Stop the threads before the interpreter ends.

    The interpreter ends a daemon thread when the thread next waits for the lock of the interpreter.
    Pydantic, which Prefect uses for settings and requests, validates in Rust and calls Python from
    there. A thread that is ended within such a call aborts the process, whose exit code is then 134
    and no longer that of the run.
    """
    # A fork has none of the threads, but may have copied their locks while they were held.
    alive = [one for one in _started if one._thread.is_alive()]
    for one in alive:
        one._stop()
    until = time.monotonic() + _STOP_SECONDS
    for one in alive:
        one._thread.join(max(0.0, until - time.monotonic()))


def _once(call: Callable[[], object]) -> None:
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        call()


def _is_of_the_network(error: Exception) -> bool:
    """Return whether a later try may succeed: the server is away, busy or failing."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code in {408, 429}
    return isinstance(error, OSError | httpx.TransportError) or "reach API" in str(error)


def _described(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    return clipped(printable(text))


def run_logger(otherwise: Logger | None = None) -> Logger:
    """Return the logger of the run that is under way; outside of one, another one."""
    try:
        return get_run_logger()
    except MissingContextError:
        return otherwise or get_logger("onepass")
