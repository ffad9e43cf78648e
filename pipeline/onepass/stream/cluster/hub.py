"""Watch over a cluster: keep the connection, list the workers, and check each before it works."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Protocol

from onepass.environment import environment
from onepass.errors import ClusterUnavailable, JobError
from onepass.stream.cluster.connection import Connection, serialized
from onepass.stream.cluster.members import Member, Members
from onepass.stream.cluster.patience import Patience
from onepass.stream.cluster.remote import Outcome, Probe, Report, Seen

logger = logging.getLogger(__name__)

_PATIENT_SECONDS = 10.0
"""Seconds without a worker after which the user is told."""

_MOST_NAMED = 5
"""Maximum number of refused workers that one message names."""


class Dispatching(Protocol):
    """Receives a call when workers come or go."""

    def review(self) -> None:
        """Act on the new list of workers."""

    def fail(self, error: Exception) -> None:
        """Give up."""


class Hub:
    """A cluster as the event loop sees it; its attributes belong to the thread of the loop.

    Parameters
    ----------
    address
        Address of the scheduler.
    mixed
        Whether workers may have another environment than this process.
    """

    def __init__(self, address: str, patience: Patience, *, mixed: bool) -> None:
        self.address, self.patience = address, patience
        self.connection, self.members = Connection(address), Members(patience)
        self.dispatches: set[Dispatching] = set()
        self.error: Exception | None = None
        """Why the cluster cannot be used any longer."""
        self._mixed = mixed
        self._files: tuple[Seen, ...] = ()
        self._refused: dict[str, str] = {}
        self._probes: dict[Member, asyncio.Task[None]] = {}
        self._is_checking = self._is_missed = False
        self._alive = time.monotonic()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and check the workers.

        Raises
        ------
        JobError
            If no scheduler answers, or a worker is refused.
        ClusterUnavailable
            If there is no worker by the deadline.
        """
        try:
            await self.connection.open(self.patience.connect)
            await self._look()
        except (OSError, ValueError) as error:
            raise JobError(f"no Dask scheduler answers at {self.address!r}: {error}") from None
        self._watch = asyncio.create_task(self._watch_over())
        await self._all_checked()

    async def see(self, files: tuple[Seen, ...]) -> None:
        """Check that all workers see some files, and let those that come later be checked.

        Raises
        ------
        JobError, ClusterUnavailable
            As `start`.
        """
        self._files = files
        for member in self.members:
            self._check(member)
        await self._all_checked()

    async def close(self) -> None:
        """End the watch, the calls and the connection."""
        # An attempt that is cancelled would begin another one for a call that is left.
        self._fail(ClusterUnavailable(f"the connection to {self.address} is closed"))
        for task in [self._watch, *self._probes.values()]:
            if task is not None:
                task.cancel()
        await self.connection.close()

    def explained(self, error: BaseException, worker: str) -> Exception:
        """Return the error to raise for a call that Dask could not even begin."""
        if isinstance(error, ModuleNotFoundError):
            return JobError(
                f"the Dask worker {worker} cannot import {error.name!r}: install there what is "
                "installed here"
            )
        return ClusterUnavailable(
            f"the Dask worker {worker} failed: {type(error).__name__}: {error}\n"
            "What is committed is kept: see its log, and run again."
        )

    async def _all_checked(self) -> None:
        """Wait until the workers that answer have been checked, and one may be used."""
        until, self._is_checking = time.monotonic() + self.patience.check, True
        while self.error is None:
            waits = [one for one in self.members if not (one.is_checked or one.is_silent)]
            waits = [one for one in waits if one.address not in self._refused]
            is_late = time.monotonic() > until
            if self.members.usable() and (not waits or is_late):
                break
            if not waits and self._refused:
                break
            await asyncio.sleep(0.02)
        self._is_checking, self._alive = False, time.monotonic()
        if self._refused:
            self.error = self.error or JobError(self._refusal())
        if self.error is not None:
            raise self.error

    async def _watch_over(self) -> None:
        while self.error is None:
            await asyncio.sleep(self.patience.of_poll(len(self.members)))
            # A connection may break in many ways; whatever is raised, the deadline ends it.
            with suppress(Exception):
                await self._look()
                if self.members.usable():
                    self._alive = time.monotonic()
            self._judge()

    async def _look(self) -> None:
        """List the workers, after connecting again if the connection is lost."""
        try:
            if not self.connection.is_open:
                await self.connection.open(self.patience.answer)
            listed = await self.connection.workers(self.patience.answer)
        except ValueError as error:
            raise OSError(str(error)) from error
        for member in self.members.update(listed):
            self._check(member)

    def _judge(self) -> None:
        """Let the calls be reviewed; fail if no worker has been usable until the deadline."""
        self._warn()
        for dispatch in list(self.dispatches):
            dispatch.review()
        if time.monotonic() - self._alive <= self.patience.deadline or self.error is not None:
            return
        self._fail(
            ClusterUnavailable(
                f"{self._missing()} has answered for {self.patience.deadline:.0f} s\n"
                "What is committed is kept: start the cluster again, and run the same command."
            )
        )

    def _warn(self) -> None:
        """Tell once that the cluster is waited for."""
        is_missed = time.monotonic() - self._alive > _PATIENT_SECONDS
        if is_missed and not self._is_missed:
            most = self.patience.deadline
            logger.warning("%s answers; waiting for it, at most %.0f s", self._missing(), most)
        self._is_missed = is_missed

    def _missing(self) -> str:
        what = "no worker of the Dask cluster" if self.connection.is_open else "no Dask scheduler"
        return f"{what} at {self.address}"

    def _fail(self, error: Exception) -> None:
        self.error = error
        for dispatch in list(self.dispatches):
            dispatch.fail(error)

    def _check(self, member: Member) -> None:
        member.is_checked = False
        if (older := self._probes.pop(member, None)) is not None:
            older.cancel()
        self._probes[member] = asyncio.create_task(self._probe(member))

    async def _probe(self, member: Member) -> None:
        """Ask a worker what it has and sees; it is used, refused, or does not answer."""
        refusal: str | None = None
        while not member.is_gone:
            try:
                probe = serialized(Probe(self._files))
                future = self.connection.submit(probe, None, member.address)
                error = await future.exception()
                if error is not None:
                    refusal = str(self.explained(error, member.address))
                    break
                outcome: Outcome = await self.connection.gather(future)
                refusal = self._objection(member.address, outcome.value)
                break
            except (OSError, CancelledError):
                await asyncio.sleep(self.patience.poll)
            except Exception as error:
                refusal = str(self.explained(error, member.address))
                break
        self._probes.pop(member, None)
        if refusal is None:
            member.is_checked = not member.is_gone
            for dispatch in list(self.dispatches):
                dispatch.review()
        else:
            self._refused[member.address] = refusal
            if not self._is_checking:
                self._fail(JobError(self._refusal()))

    def _objection(self, address: str, report: Report) -> str | None:
        """Return why a worker is refused; None if it is not."""
        own = environment()
        other = [name for name in own if report.environment.get(name) != own[name]]
        if other and not self._mixed:
            found = ", ".join(f"{name} {report.environment.get(name)}" for name in other)
            expected = ", ".join(f"{name} {own[name]}" for name in other)
            return (
                f"the Dask worker {address} has {found}; expected, as here, {expected}\n"
                "States may differ in their last bits. Install the same there, or let train and "
                "refine accept it: --mixed-workers."
            )
        if report.unseen is not None:
            return (
                f"the Dask worker {address} does not see the lake: {report.unseen}\n"
                "Workers read the lake themselves: give them the same path, or the credentials of "
                "its store."
            )
        return None

    def _refusal(self) -> str:
        texts = list(self._refused.values())
        more = [f"and {len(texts) - _MOST_NAMED:,} more"] if len(texts) > _MOST_NAMED else []
        # Each text has the remedy in its second line, which is said once.
        firsts = [text.splitlines()[0] for text in texts[:_MOST_NAMED]]
        return "\n".join([*firsts, *more, *texts[0].splitlines()[1:]])
