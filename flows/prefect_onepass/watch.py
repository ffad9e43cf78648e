"""`onepass watch`: tell Prefect when files have landed in a lake, so that training can start.

The watch remembers nothing. At its start it announces what is there, which covers all that has
landed while it was not running. An event that does not reach the server is kept and grows. So
events may tell too much, never too little, and training takes what is new in any case.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import click
from prefect.events import Event
from prefect.settings import PREFECT_API_URL

from onepass.cloud.url import canonical, is_url
from onepass.errors import OnepassError
from onepass.lake.landing import Landed, Landing, Stamp, stamps
from onepass.terminal.printing import say
from onepass.text import counted, listed, megabytes, printable
from prefect_onepass.credentials import credentials_option, lent
from prefect_onepass.events import lake_landed
from prefect_onepass.sending import post
from prefect_onepass.wakes import waking

_MOST_NAMED = 4
"""Most files that a line names."""

_REST = 4
"""Least pause between two looks while files land, in times of a look: it bounds the use of CPU."""

_IDLE_REST = 20
"""Least pause between two looks while nothing happens, in times of a look."""

_BURST_SECONDS = 0.2
"""Pause between the first change of a burst and the look."""

_PAUSES = (1.0, 60.0)
"""First and longest pause in seconds between two attempts to reach the server."""


@click.command("watch")
@click.argument("lake", metavar="LAKE")
@click.option(
    "--poll",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks at a lake of which the system does not tell.",
)
@click.option(
    "--settle",
    type=click.FloatRange(min=0.0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="A file has landed once it has not changed for this time.",
)
@click.option(
    "--at-start/--no-at-start",
    default=True,
    show_default=True,
    help="Announce the files that are there when the watch begins.",
)
@credentials_option
def command(lake: str, poll: float, settle: float, at_start: bool, credentials: str | None) -> None:
    """Send the event onepass.lake.landed to Prefect when files have landed in LAKE.

    LAKE is a folder, a glob, a table, or a URL of an object store. The command needs a Prefect server
    (PREFECT_API_URL) and runs until it is stopped. docs/events.md has the event and examples of
    automations that train when it comes.
    """
    if PREFECT_API_URL.value() is None:
        raise click.UsageError(
            "events need a Prefect server: run 'prefect server start' and set PREFECT_API_URL, "
            "for instance to http://127.0.0.1:4200/api"
        )
    place = canonical(lake) if is_url(lake) else os.path.abspath(lake)
    with lent(credentials):
        _watch(place, poll, settle, at_start)


def _watch(lake: str, poll: float, settle: float, at_start: bool) -> None:
    # A lake that does not exist at the start is a mistake of the user, so this look may raise.
    first = stamps(lake)
    landing = Landing(settle)
    if at_start:
        landing.look(first, time.monotonic())
    else:
        landing.know(first)
    wake = threading.Event()
    with waking(lake, wake) as how:
        n_files = counted(len(first), "file")
        say(f"watching {printable(lake)}: {n_files}; looks every {poll:g} s{how}")
        watch = Watch(lake, landing, list_files=lambda: stamps(lake), send=post, poll=poll)
        watch.is_at_start = at_start and bool(first)
        try:
            watch.run(wake)
        except KeyboardInterrupt:
            watch.end()


class Watch:
    """Looks at a lake until it is interrupted, and sends an event for what has landed.

    Parameters
    ----------
    list_files
        Returns the files of the lake, as `stamps` does.
    send
        Sends an event and raises if the server does not take it.
    poll
        Time between two looks in seconds.
    """

    def __init__(
        self,
        lake: str,
        landing: Landing,
        *,
        list_files: Callable[[], dict[str, Stamp]],
        send: Callable[[Event], None],
        poll: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lake, self._landing = lake, landing
        self._list, self._send, self._poll, self._clock = list_files, send, poll, clock
        self._unsent = Landed()
        self._event: Event | None = None
        self._complaint = ""
        self._is_away = False
        self._pause, self._try_at = _PAUSES[0], 0.0
        self.is_at_start = False
        """Whether the next event is about all files that were there at the start."""

    def run(self, wake: threading.Event) -> None:
        """Look and send for ever; `wake` asks for a look before its time."""
        while True:
            started = self._clock()
            self.look()
            self.send_unsent()
            took = self._clock() - started
            self._rest(wake, took)

    def look(self) -> None:
        """List the lake once, and keep what has landed to be sent."""
        try:
            found = self._list()
        except (OnepassError, OSError) as error:
            complaint = str(error).splitlines()[0]
            if complaint != self._complaint:
                say(f"warning: cannot look at {self._lake}, trying on: {complaint}", err=True)
            self._complaint = complaint
            return
        if self._complaint:
            say(f"{printable(self._lake)} can be listed again")
            self._complaint = ""
        now = self._clock()
        self._landing.look(found, now)
        if landed := self._landing.take(now):
            self._unsent.add(landed)
            self._event = None

    def send_unsent(self) -> bool:
        """Send what has landed if it is time to; return whether nothing is left to send."""
        if not self._unsent:
            return True
        if self._clock() < self._try_at:
            return False
        # The same event is sent again as long as nothing is added: the server counts it once.
        self._event = self._event or self._built()
        try:
            self._send(self._event)
        except Exception as error:  # The client raises many kinds; none may end the watch.
            if not self._is_away:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                say(f"warning: the event is kept, the server does not take it: {reason}", err=True)
            self._is_away = True
            self._try_at = self._clock() + self._pause
            self._pause = min(2 * self._pause, _PAUSES[1])
            return False
        self._say_sent()
        self._unsent, self._event, self._is_away = Landed(), None, False
        self._pause, self._try_at, self.is_at_start = _PAUSES[0], 0.0, False
        return True

    def end(self) -> None:
        """Try once more to send what is left."""
        self._try_at = 0.0
        if not self.send_unsent():
            say("the last event was not sent; the next start announces all files", err=True)

    def _built(self) -> Event:
        return lake_landed(
            self._lake,
            new=list(self._unsent.new),
            replaced=list(self._unsent.replaced),
            n_bytes=self._unsent.n_bytes,
            at_start=self.is_at_start,
        )

    def _say_sent(self) -> None:
        landed = self._unsent
        names = [printable(key) for key in (*landed.new, *landed.replaced)]
        at_start = " at the start" if self.is_at_start else ""
        say(
            f"{time.strftime('%Y-%m-%d %H:%M:%S')} landed{at_start}: {len(landed.new):,} new, "
            f"{len(landed.replaced):,} replaced, {megabytes(landed.n_bytes)}: "
            f"{listed(names, _MOST_NAMED)}"
        )

    def _rest(self, wake: threading.Event, took: float) -> None:
        """Wait until a look or an attempt to send is due, or something has changed."""
        now = self._clock()
        ready = now + _REST * took
        due = [now + max(self._poll, _IDLE_REST * took)]
        if (settled := self._landing.next_time()) is not None:
            due.append(settled)
        if self._unsent:
            due.append(self._try_at)
        if wake.wait(max(min(due), ready) - now):
            # Changes come in bursts: one look serves all that happen during the pause.
            time.sleep(max(ready - self._clock(), _BURST_SECONDS))
            wake.clear()
