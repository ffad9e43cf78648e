"""How long a driver waits for a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

from onepass.cloud.faults import setting

DEADLINE_SECONDS = 120.0
"""Seconds without a scheduler or a worker that end a run, unless ONEPASS_DASK_DEADLINE is set."""


def _deadline() -> float:
    return setting("ONEPASS_DASK_DEADLINE", DEADLINE_SECONDS)


@dataclass(frozen=True)
class Patience:
    """Seconds after which a cluster or a part of it is not waited for any longer."""

    deadline: float = field(default_factory=_deadline)
    """Without a scheduler, or without a worker that may be used."""
    connect: float = 20.0
    """For the scheduler to answer for the first time."""
    check: float = 60.0
    """For the workers that are there at the beginning to be checked, which imports onepass."""
    answer: float = 10.0
    """For the scheduler to list its workers."""
    silence: float = 15.0
    """Without a sign of life of a worker, whose calls are then made elsewhere. Workers give one
    each half second, and in clusters of N > 200 every N / 100 seconds."""
    scatter: float = 60.0
    """For the shared value to reach the first workers; then it is sent again."""
    late: float = 10.0
    """Least age of a call that is made a second time because threads have nothing else to do."""
    poll: float = 0.5
    """Between two looks at the list of workers, in a small cluster."""

    def of_silence(self, n_workers: int) -> float:
        """Return the seconds of silence that are allowed in a cluster of a size."""
        return self.silence + n_workers / 20

    def of_poll(self, n_workers: int) -> float:
        """Return the seconds between two looks; a look costs 0.1 ms for each worker."""
        return self.poll + n_workers / 200
