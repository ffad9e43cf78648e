"""The chain of a log: read and verify its entries in order, and append the next one.

A version exists when its log entry does. The entry names the digest of its parent, and is created
only if its number is free: of two writers one wins, and the other stops (`ModelConflict`), because
stochastic updates do not commute, so neither can be replayed on top of the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from onepass.errors import ForeignModel, ModelConflict
from onepass.ledger.entries import (
    MAX_ENTRY_BYTES,
    AnyEntry,
    digest,
    dump_entry,
    is_sealed,
    load_entry,
)
from onepass.ledger.history import History
from onepass.ledger.store import Store

NO_ENTRY = "is no entry of a log: move it out of the model directory"

_LOG_KEY = re.compile(r"log/[0-9]{20}\.json")
_STATE_KEY = re.compile(r"state/([0-9]{8,20})-[0-9a-f]{32}\.npz")

_Entry = TypeVar("_Entry", bound=AnyEntry)


class Chain:
    """The log of one model, read once and appended to.

    Parameters
    ----------
    store
        Where the model lives.
    root_sha256
        Digest of `model.json`, which the first entry names as its parent.
    strict
        Whether a fault in the log is raised. Otherwise the chain ends before the fault, and
        `fault` and `strays` describe it; such a chain is for inspection, not for appending.

    Raises
    ------
    ForeignModel
        If the chain is broken, an entry is damaged, or states are left of versions whose entries
        are gone.
    """

    def __init__(self, store: Store, root_sha256: str, *, strict: bool = True) -> None:
        self._store, self._strict = store, strict
        self.history = History()
        """The versions that the entries describe."""
        self.head_sha256 = root_sha256
        """Digest of the newest entry, which seals all entries before it."""
        self.sealed = True
        """Whether the newest entry has a seal."""
        self.fault: ForeignModel | None = None
        """First fault of the log; None if it has none."""
        self.strays: list[str] = []
        """Keys in the folder of the log that are not keys of entries."""
        # List states before reading the log. Otherwise a writer that commits in between would add
        # states that seem to have no entries.
        states = store.list("state")
        self.catch_up()
        self._check_end(states)

    @property
    def entries(self) -> list[AnyEntry]:
        """Entries of all versions, oldest first, including versions that a rewind has undone."""
        return self.history.entries

    @property
    def version(self) -> int:
        """Number of the newest version; 0 before the first."""
        return self.history.version

    def catch_up(self) -> bool:
        """Read the entries committed since the last read, and return whether there are any.

        Raises
        ------
        ForeignModel
            If the chain is broken or an entry is damaged, and the chain is strict.
        """
        known = self.version
        try:
            self._read()
        except ForeignModel as error:
            self._report(error)
        return self.version > known

    def append(self, entry: _Entry) -> _Entry:
        """Create the entry of the next version.

        Raises
        ------
        ModelConflict
            If another writer has created an entry of this version.
        """
        data, key = dump_entry(entry), log_key(entry.version)
        # If the answer to an earlier request was lost, the key holds this writer's own entry.
        if not self._store.create(key, data) and self._store.get(key) != data:
            raise ModelConflict(
                f"another writer has committed version {entry.version} of this model meanwhile; "
                "nothing of this run's last partition was kept, run again to go on from theirs"
            )
        self._accept(entry, data, key)
        return entry

    def sha256_of(self, version: int) -> str:
        """Return the digest of the entry of a version, from 1 to `version`."""
        following = self.entries[version : version + 1]
        return following[0].parent_sha256 if following else self.head_sha256

    def is_newest(self) -> bool:
        """Return whether no writer has created the entry of the next version yet."""
        return not self._store.exists(log_key(self.version + 1))

    def _read(self) -> None:
        known = self.version
        # Listings may repeat keys or lag; the next conditional create catches a hidden newest
        # entry.
        listed = sorted(set(self._store.list("log")))
        keys = [key for key in listed if _LOG_KEY.fullmatch(key)]
        self.strays = [key for key in listed if not _LOG_KEY.fullmatch(key)]
        if self.strays and self._strict:
            raise ForeignModel(f"{self.strays[0][:200]!r} {NO_ENTRY}")
        for number, key in enumerate(keys[known:], start=known + 1):
            if key != log_key(number):
                raise ForeignModel(
                    f"expected {log_key(number)} in the log, found {key}: a version is missing"
                )
            data = self._store.get(key, most_bytes=MAX_ENTRY_BYTES)
            self._accept(load_entry(data, key), data, key)

    def _report(self, fault: ForeignModel) -> None:
        if self._strict:
            raise fault
        self.fault = fault

    def _check_end(self, states: Sequence[str]) -> None:
        """Report a log whose end has been cut off, if states of later versions are left.

        A writer stores the state of a version after the entry of the version before. A kill thus
        leaves a state of the version after the newest entry at most.
        """
        found = {int(match[1]): key for key in states if (match := _STATE_KEY.fullmatch(key))}
        newest, following = max(found, default=0), self.version + 1
        # If the next entry exists after all, the listing of the log lagged.
        if self.fault or newest <= following or self._store.exists(log_key(following)):
            return
        self._report(
            ForeignModel(
                f"{log_key(following)} is missing, though {found[newest]} is there: the end of "
                "the log has been cut off\nPut the entries back from a copy; to "
                + (f"go on from version {self.version}" if self.version else "start anew")
                + " without them, move the states of later versions out of the model directory."
            )
        )

    def _accept(self, entry: AnyEntry, data: bytes, key: str) -> None:
        if entry.version != self.version + 1 or entry.parent_sha256 != self.head_sha256:
            raise ForeignModel(
                f"{key} does not follow the entry before it: the log has been altered, "
                "or belongs to another model"
            )
        self.history.append(entry)
        self.head_sha256, self.sealed = digest(data), is_sealed(data)


def log_key(version: int) -> str:
    """Return the name of the log entry of a version."""
    return f"log/{version:020d}.json"
