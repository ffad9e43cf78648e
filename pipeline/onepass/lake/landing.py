"""Notice files that have landed in a lake: new or replaced, and no longer being written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from onepass.errors import EmptyLake
from onepass.lake.tables.open import list_lake

Stamp: TypeAlias = tuple[int, int | str | None]
"""Size in bytes, and time of modification in ns (or etag): what changes when a file is written."""

_LONGEST_WAIT = 10
"""Settled files wait for files that still change, this many times the settling time at most."""


def stamps(lake: str | list[str]) -> dict[str, Stamp]:
    """List the files of a lake that training would read, each with its stamp.

    An empty lake gives an empty dict. Errors are those of `list_lake`.
    """
    try:
        files = list_lake(lake)
    except EmptyLake:
        return {}
    found: dict[str, Stamp] = {}
    for file in files:
        if file.remote is not None:
            found[file.key] = (file.remote.size, file.remote.etag)
            continue
        try:
            status = os.stat(file.location)
        except FileNotFoundError:
            continue  # It was renamed or deleted after it had been listed.
        found[file.key] = (status.st_size, status.st_mtime_ns)
    return found


@dataclass(slots=True)
class Landed:
    """Files that have landed and are not announced yet, each with its size in bytes."""

    new: dict[str, int] = field(default_factory=dict)
    replaced: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.new or self.replaced)

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(self.new.values()) + sum(self.replaced.values())

    def add(self, later: Landed) -> None:
        """Take files that have landed later; a new file that is replaced is still new."""
        self.new |= later.new
        for key, size in later.replaced.items():
            (self.new if key in self.new else self.replaced)[key] = size


class Landing:
    """Compares listings of a lake, and tells which files have landed.

    A file has landed if its stamp is not known and has not changed for some time. Files that land
    together are told together: files that have settled wait for those that still change, but only
    for ten times the settling time.

    Parameters
    ----------
    settle_seconds
        Time for which a file must not change.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle = settle_seconds
        self._known: dict[str, Stamp] = {}
        self._waiting: dict[str, tuple[Stamp, float]] = {}

    def know(self, found: dict[str, Stamp]) -> None:
        """Take the files of a listing as known."""
        self._known = found
        self._waiting.clear()

    def look(self, found: Mapping[str, Stamp], now: float) -> None:
        """Compare a listing that was made at a time in seconds."""
        # A file that is gone and comes back lands again.
        for gone in self._known.keys() - found.keys():
            del self._known[gone]
        for gone in self._waiting.keys() - found.keys():
            del self._waiting[gone]
        for key, stamp in found.items():
            if self._known.get(key) == stamp:
                self._waiting.pop(key, None)
            elif key not in self._waiting or self._waiting[key][0] != stamp:
                self._waiting[key] = (stamp, now)

    def take(self, now: float) -> Landed:
        """Return the files that have landed, and know them from now on."""
        settled = {
            key: since for key, (_, since) in self._waiting.items() if now - since >= self._settle
        }
        landed = Landed()
        if not settled or (
            len(settled) < len(self._waiting)
            and now - min(settled.values()) < self._settle * (1 + _LONGEST_WAIT)
        ):
            return landed
        for key in settled:
            stamp, _ = self._waiting.pop(key)
            kind = landed.replaced if key in self._known else landed.new
            kind[key] = stamp[0]
            self._known[key] = stamp
        return landed

    def next_time(self) -> float | None:
        """Return the time at which `take` may return files; None if no file is waiting."""
        if not self._waiting:
            return None
        since = [since for _, since in self._waiting.values()]
        return self._settle + min(max(since), min(since) + _LONGEST_WAIT * self._settle)
