"""End tasks in threads of this process whose results nobody waits for."""

from __future__ import annotations

import threading


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
