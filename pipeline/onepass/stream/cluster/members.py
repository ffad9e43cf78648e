"""The workers of a cluster: which ones are there, answer, and have been checked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from onepass.stream.cluster.patience import Patience


@dataclass(eq=False)
class Member:
    """One worker process."""

    address: str
    n_threads: int
    last_seen: float = 0.0
    """Last sign of life by the scheduler's clock, which is compared with nothing but itself."""
    answered: float = field(default_factory=time.monotonic)
    """When the last sign of life was noticed, by the clock of this process."""
    is_running: bool = True
    """Whether Dask gives it work: it is neither paused for its memory nor about to leave."""
    is_checked: bool = False
    """Whether it has passed the check of versions, processor and lake."""
    is_gone: bool = False
    is_silent: bool = False
    n_calls: int = 0
    """Calls of this driver that run on it, or whose results have a share in its memory."""

    @property
    def is_usable(self) -> bool:
        """Whether it may be given a call now."""
        return self.is_checked and self.is_running and not (self.is_gone or self.is_silent)

    def n_free(self, n_at_once: int) -> int:
        """Return how many more calls it may be given."""
        return max(0, min(self.n_threads, n_at_once) - self.n_calls) if self.is_usable else 0


class Members:
    """All workers that the scheduler lists, by address."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._members: dict[str, Member] = {}
        self.n_silences = 0
        """How often workers have fallen silent."""

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    def update(self, listed: Mapping[str, Mapping[str, Any]]) -> list[Member]:
        """Take over the scheduler's list of workers, and return those that are new in it."""
        now, new = time.monotonic(), []
        for address in [one for one in self._members if one not in listed]:
            self._members.pop(address).is_gone = True
        most = self._patience.of_silence(len(listed))
        for address, found in listed.items():
            member = self._members.get(address)
            if member is None:
                member = self._members[address] = Member(address, int(found["nthreads"]))
                new.append(member)
            if found["last_seen"] != member.last_seen:
                member.last_seen, member.answered = found["last_seen"], now
            was_silent, member.is_silent = member.is_silent, now - member.answered > most
            member.is_running = found.get("status", "running") == "running"
            self.n_silences += member.is_silent and not was_silent
        return new

    def clear(self) -> None:
        """Forget all workers, because the scheduler is gone."""
        self.update({})

    def usable(self) -> list[Member]:
        """Return the workers that may be given calls."""
        return [member for member in self if member.is_usable]

    def n_threads(self, n_at_once: int | None = None) -> int:
        """Return the number of calls that can run at the same time.

        Parameters
        ----------
        n_at_once
            Most calls in one process.
        """
        threads = (member.n_threads for member in self.usable())
        return sum(n if n_at_once is None else min(n, n_at_once) for n in threads)
