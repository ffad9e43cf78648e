"""Give calls to the workers of a cluster, again if need be, until each has an outcome.

A call is given to one worker by name. It is given to another one as soon as its worker leaves or
falls silent, and a second one takes it up if it is late and threads are idle. Calls are pure, so
the first outcome counts. Results wait on the workers until it is nearly their turn, so that few
are in the memory of this process. Everything here runs in the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from onepass.errors import ClusterError
from onepass.stream.cluster.hub import Hub
from onepass.stream.cluster.members import Member
from onepass.stream.cluster.remote import Outcome

NEAR = 3
"""Number of results that are fetched ahead of the consumer."""

MOST_LOST = 4
"""Number of workers that may die of a call, or by chance during it."""

NOTHING = object()
"""Stands for the shared value of calls that need none."""


@dataclass(eq=False)
class Pending:
    """A call without an outcome."""

    number: int
    """Place in the order of the calls."""
    call: bytes
    result: Future[Any] = field(default_factory=Future)
    near: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the result may be fetched."""
    attempts: list[_Attempt] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Workers that have left while they made this call."""


@dataclass(eq=False)
class _Attempt:
    pending: Pending
    member: Member
    began: float = field(default_factory=time.monotonic)
    has_place: bool = True
    """Whether it counts among the calls of its worker."""
    is_made: bool = False
    """Whether the worker has made the call, and keeps its result."""
    task: asyncio.Task[None] | None = None


class Dispatch:
    """The calls of one consumer.

    Parameters
    ----------
    hub
        The cluster.
    shared
        Value that all calls need, or `NOTHING`.
    n_at_once
        Most calls that run in one process at the same time.
    keeps_place
        Whether a result that waits counts as a call that runs, because it is large.
    """

    def __init__(self, hub: Hub, shared: Any, n_at_once: int, *, keeps_place: bool) -> None:
        self._hub, self._shared, self._n_at_once = hub, shared, n_at_once
        self._keeps_place = keeps_place
        self._pending: dict[int, Pending] = {}
        self._n_taken = 0
        self._sent: asyncio.Task[Any] | None = None
        self._n_silences_at_sending = 0
        self._longest = 0.0

    def add(self, calls: list[Pending]) -> None:
        """Take on calls."""
        self._hub.dispatches.add(self)
        for pending in calls:
            self._pending[pending.number] = pending
            if self._hub.error is not None:
                self._end(pending, error=self._hub.error)
        self._let_near()
        self.place()

    def taken_one(self) -> None:
        """Note that the consumer has taken a result."""
        self._n_taken += 1
        self._let_near()

    def close(self) -> None:
        """Drop all calls."""
        self._hub.dispatches.discard(self)
        for pending in list(self._pending.values()):
            self._end(pending)
        if self._sent is not None:
            self._sent.cancel()

    def fail(self, error: Exception) -> None:
        """Let all calls fail, because the cluster cannot be used."""
        for pending in list(self._pending.values()):
            self._end(pending, error=error)

    def review(self) -> None:
        """Look for calls whose workers have left, fallen silent, or are late."""
        if self._sent is not None and not self._sent.done() and not self._is_sent():
            # Sending waits for a worker that does not answer.
            self._sent.cancel()
        for pending in list(self._pending.values()):
            for attempt in list(pending.attempts):
                if attempt.member.is_gone or attempt.member.is_silent:
                    self._give_up(attempt)
        self.place()
        self._place_late()

    def place(self) -> None:
        """Give calls to workers with free places, those that are due first before others."""
        waiting = sorted(number for number, one in self._pending.items() if not one.attempts)
        first = min(self._pending, default=None)
        for number in waiting:
            member = self._for_first() if number == first else self._freest()
            if member is None:
                return
            self._begin(self._pending[number], member)

    def _let_near(self) -> None:
        for number in range(self._n_taken, self._n_taken + NEAR):
            if number in self._pending:
                self._pending[number].near.set()

    def _place_late(self) -> None:
        """Let a second worker make the call that the consumer waits for, if it is late."""
        first = min(self._pending, default=None)
        if first is None or any(not one.attempts for one in self._pending.values()):
            return
        pending = self._pending[first]
        age = time.monotonic() - min(attempt.began for attempt in pending.attempts)
        if len(pending.attempts) > 1 or age < max(self._hub.patience.late, 3 * self._longest):
            return
        member = self._for_first(but=pending.attempts[0].member)
        if member is not None:
            self._begin(pending, member)

    def _for_first(self, but: Member | None = None) -> Member | None:
        """Return a worker for the call that the consumer waits for.

        Results that wait for this call may hold all places of the workers that are left.
        """
        member = self._freest(but)
        if member is None and self._keeps_place:
            members = [one for one in self._hub.members.usable() if one is not but]
            member = min(members, key=lambda one: one.n_calls, default=None)
        return member

    def _freest(self, but: Member | None = None) -> Member | None:
        members = [one for one in self._hub.members.usable() if one is not but]
        best = max(members, key=lambda one: one.n_free(self._n_at_once), default=None)
        return best if best is not None and best.n_free(self._n_at_once) else None

    def _begin(self, pending: Pending, member: Member) -> None:
        attempt = _Attempt(pending, member)
        member.n_calls += 1
        pending.attempts.append(attempt)
        attempt.task = asyncio.create_task(self._attempt(attempt))

    async def _attempt(self, attempt: _Attempt) -> None:
        """Let a worker make a call, and fetch the result; a lost attempt leaves no outcome."""
        pending, future = attempt.pending, None
        try:
            shared = await self._shared_on_workers()
            future = self._hub.connection.submit(pending.call, shared, attempt.member.address)
            error = await future.exception()
            if error is not None:
                self._end(pending, error=self._hub.explained(error, attempt.member.address))
                return
            if future.status != "finished":
                raise OSError("the call or the shared value is lost")
            attempt.is_made = True
            self._longest = max(self._longest, time.monotonic() - attempt.began)
            if not self._keeps_place:
                self._free_place(attempt)
            await pending.near.wait()
            outcome: Outcome = await self._hub.connection.gather(future)
            self._end(pending, outcome.value, outcome.error)
        except (OSError, CancelledError):
            # The scheduler, the worker or the shared value is gone. Once the list of workers has
            # been looked at again, everything is sent again.
            await asyncio.sleep(self._hub.patience.poll)
            self._forget_sent()
        except Exception as error:
            # Such as a result that cannot be unpickled here.
            self._end(pending, error=self._hub.explained(error, attempt.member.address))
        finally:
            self._free_place(attempt)
            with suppress(ValueError):
                pending.attempts.remove(attempt)
            if future is not None:
                future.release()
            self.place()

    async def _shared_on_workers(self) -> Any:
        """Return the shared value as Dask knows it, sent again if it may be lost."""
        if self._shared is NOTHING:
            return None
        if not self._is_sent():
            self._n_silences_at_sending = self._hub.members.n_silences
            self._sent = asyncio.create_task(self._send())
            # asyncio would log an error that no attempt has waited for.
            self._sent.add_done_callback(lambda sent: sent.cancelled() or sent.exception())
        sent = self._sent
        assert sent is not None
        await asyncio.wait([sent])
        # The scheduler raises a KeyError for a worker that has just left.
        if sent.cancelled() or isinstance(sent.exception(), KeyError):
            raise OSError("the shared value is to be sent again")
        return sent.result()

    def _is_sent(self) -> bool:
        if self._sent is None or self._n_silences_at_sending != self._hub.members.n_silences:
            return False
        if not self._sent.done():
            return True
        has_failed = self._sent.cancelled() or self._sent.exception() is not None
        return not has_failed and self._sent.result().status == "finished"

    def _forget_sent(self) -> None:
        if self._sent is not None and self._sent.done():
            self._sent = None

    async def _send(self) -> Any:
        attempts = (one for pending in self._pending.values() for one in pending.attempts)
        members = dict.fromkeys(attempt.member for attempt in attempts)
        workers = [member.address for member in members if member.is_usable]
        if not workers:
            raise OSError("the workers have left")
        seconds = self._hub.patience.scatter
        return await self._hub.connection.scatter(self._shared, workers, seconds)

    def _give_up(self, attempt: _Attempt) -> None:
        """Drop an attempt whose worker does not answer; another one is made."""
        pending, member = attempt.pending, attempt.member
        pending.attempts.remove(attempt)
        self._free_place(attempt)
        if attempt.task is not None:
            attempt.task.cancel()
        if member.is_gone and not attempt.is_made:
            pending.lost.append(member.address)
        if len(pending.lost) >= MOST_LOST:
            self._end(
                pending,
                error=ClusterError(
                    f"{len(pending.lost)} workers have died of the same call, the last one at "
                    f"{pending.lost[-1]}\nWhat is committed is kept. See their logs; if memory was "
                    "short, lower --memory-limit or give a worker fewer threads, and run again."
                ),
            )

    def _free_place(self, attempt: _Attempt) -> None:
        if attempt.has_place:
            attempt.has_place = False
            attempt.member.n_calls -= 1

    def _end(self, pending: Pending, value: Any = None, error: BaseException | None = None) -> None:
        self._pending.pop(pending.number, None)
        for attempt in pending.attempts:
            if attempt.task is not None and attempt.task is not asyncio.current_task():
                attempt.task.cancel()
        if pending.result.set_running_or_notify_cancel():
            if error is None:
                pending.result.set_result(value)
            else:
                pending.result.set_exception(error)
