"""Find and remove the files that killed runs leave in a model directory.

A kill leaves a temporary file, or a state whose log entry was never written. Neither does harm, but
states can be large. A file that may be something else is kept: the folder may be an incomplete
copy, or hold other files of its owner.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from onepass.ledger.entries import LearntEntry
from onepass.ledger.expiry import EXPIRING_KEY, FEWEST_KEY
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import LOCK_KEY, LocalStore, Store

GRACE_SECONDS = 24 * 3600.0
"""Age from which leftovers are removed. The lock excludes writers on this machine only; a writer on
another machine, over a shared file system, may still be at work on a younger file."""

LOOKS_KEY = "looks.npz"
"""Name of the file in which runs remember what the files of the lake looked like."""

_STATE = r"(?P<version>\d{8,20})-(?P<attempt>[0-9a-f]{32})\.npz"
_STATE_NAME = re.compile(_STATE)
_RECORDS = ("log", "tags", "evaluations")
"""Folders whose other files are checked by those who read them."""
_UNFINISHED = {
    "": re.compile(r"(?:model\.json|looks\.npz)\.[0-9a-f]{32}\.tmp"),
    "log": re.compile(r"\d{20}\.json\.[0-9a-f]{32}\.tmp"),
    "tags": re.compile(r"\d{20}\.json\.[0-9a-f]{32}\.tmp"),
    "evaluations": re.compile(r"\d{8,20}-[0-9a-f]{32}\.json\.[0-9a-f]{32}\.tmp"),
    "state": re.compile(rf"(?:{_STATE}|expiring\.json|fewest\.json)\.[0-9a-f]{{32}}\.tmp"),
}
"""Names that a store gives to unfinished files, by folder."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that no log entry names or ever will."""

    key: str
    """Key of the file within the model directory."""
    what: str
    """Kind of leftover, for messages."""
    nbytes: int
    """Size of the file."""
    age_seconds: float
    """Time since the file was last written; negative if the clock was set back."""


def leftovers(store: Store, ledger: Ledger) -> list[Leftover]:
    """Return the files of a model directory that killed runs have left, whatever their age.

    They are files with the name of a temporary file, and states of a version whose log entry is of
    another attempt. A state of a version without an entry is no leftover, because a writer may be
    about to create the entry. Object stores are not searched: an unfinished upload has no name
    there, and no lock shows that no writer is at work.
    """
    if not isinstance(store, LocalStore):
        return []
    found = []
    for folder, pattern in _UNFINISHED.items():
        for path, status in _plain_files(store.root / folder):
            if pattern.fullmatch(path.name):
                found.append(_leftover(store, path, status, "unfinished write"))
            elif folder == "state" and _is_orphan(path.name, ledger):
                found.append(_leftover(store, path, status, "state that the log does not name"))
    return found


def strangers(store: Store, ledger: Ledger) -> list[tuple[str, int | None]]:
    """Return the files that neither the log nor `leftovers` accounts for.

    Returns
    -------
    The key of each file, with the version in its name, or None if it has no name of a state.
    """
    if not isinstance(store, LocalStore):
        return []
    named = {e.state.key for e in ledger.entries if isinstance(e, LearntEntry)}
    named |= {
        "model.json",
        LOCK_KEY,
        LOOKS_KEY,
        EXPIRING_KEY,
        FEWEST_KEY,
        *(one.key for one in leftovers(store, ledger)),
    }
    found: list[tuple[str, int | None]] = []
    for folder in _UNFINISHED:
        for path, _ in _plain_files(store.root / folder):
            key = path.relative_to(store.root).as_posix()
            match = _STATE_NAME.fullmatch(path.name) if folder == "state" else None
            if key not in named and folder not in _RECORDS:
                found.append((key, int(match["version"]) if match else None))
    return found


def sweep(store: Store, ledger: Ledger, *, grace_seconds: float = GRACE_SECONDS) -> list[str]:
    """Remove old leftovers and return their keys. The caller must hold the lock."""
    removed = []
    for one in leftovers(store, ledger):
        if one.age_seconds > grace_seconds:
            store.delete(one.key)
            removed.append(one.key)
            logger.info("removed %s, an old %s", one.key, one.what)
    return removed


def _plain_files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [(Path(e.path), e.stat(follow_symlinks=False)) for e in entries]
    return sorted((path, status) for path, status in found if stat.S_ISREG(status.st_mode))


def _is_orphan(name: str, ledger: Ledger) -> bool:
    match = _STATE_NAME.fullmatch(name)
    if match is None or not 1 <= int(match["version"]) <= ledger.version:
        return False
    # The version has an entry, so no other attempt can commit it any more.
    return match["attempt"] != ledger.entries[int(match["version"]) - 1].attempt


def _leftover(store: LocalStore, path: Path, status: os.stat_result, what: str) -> Leftover:
    key = path.relative_to(store.root).as_posix()
    return Leftover(key, what, status.st_size, time.time() - status.st_mtime)
