"""The ledger of one model: a chain of versions that is read, verified and committed to.

A version exists when its log entry does. The entry names the digest of its parent, and is created
only if its number is free: of two writers one wins, and the other stops (`ModelConflict`), because
stochastic updates do not commute, so neither can be replayed on top of the other.
"""

from __future__ import annotations

import errno
import logging
import re
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from onepass.errors import ForeignModel, ModelConflict
from onepass.ledger.digested import Digested
from onepass.ledger.entries import (
    MAX_ENTRY_BYTES,
    AnyEntry,
    Header,
    LearntEntry,
    PlanEntry,
    Refined,
    RefineEntry,
    RewindEntry,
    SkipEntry,
    StateRef,
    Trained,
    TrainEntry,
    digest,
    dump_entry,
    is_sealed,
    load_entry,
    state_key,
)
from onepass.ledger.history import History
from onepass.ledger.retention import Retention
from onepass.ledger.store import Content, Store
from onepass.partition import Group, Partition, UnreadFile

MOST_BYTES = 1 << 40
"""Size of the largest state that is read where the caller gives no bound."""

NO_ENTRY = "is no entry of a log: move it out of the model directory"

_LOG_KEY = re.compile(r"log/[0-9]{20}\.json")
_STATE_KEY = re.compile(r"state/([0-9]{8,20})-[0-9a-f]{32}\.npz")

_Entry = TypeVar("_Entry", bound=AnyEntry)
_Learnt = TypeVar("_Learnt", bound=LearntEntry)

logger = logging.getLogger(__name__)


class Ledger:
    """All versions of one model, read once and appended to.

    Parameters
    ----------
    store
        Where the model lives.
    root_sha256
        Digest of `model.json`, which the first entry names as its parent.
    most_bytes
        Size of the largest state that the model can have; a larger one is not read.
    strict
        Whether a fault in the log is raised. Otherwise the ledger ends before the fault, and
        `fault` and `strays` describe it; such a ledger is for inspection, not for commits.

    Raises
    ------
    ForeignModel
        If the chain is broken, an entry is damaged, or states are left of versions whose entries
        are gone.
    """

    def __init__(
        self, store: Store, root_sha256: str, *, most_bytes: int = MOST_BYTES, strict: bool = True
    ) -> None:
        self._store, self._most_bytes, self._strict = store, most_bytes, strict
        self._attempt = uuid.uuid4().hex
        self.history = History()
        """What the entries say."""
        self.retention = Retention(store, self.history)
        """Which states are kept."""
        self.head_sha256 = root_sha256
        """Digest of the newest entry, which seals all entries before it."""
        self.sealed = True
        """Whether the newest entry has a seal."""
        self.fault: ForeignModel | None = None
        """First fault of the log; None if it has none."""
        self.strays: list[str] = []
        """Keys in the folder of the log that are not keys of entries."""
        # Listed before the log: a writer may add both meanwhile, a state always before its entry.
        states = store.list("state")
        self.catch_up()
        self._check_end(states)

    @property
    def entries(self) -> list[AnyEntry]:
        """Every version, oldest first, including those that a rewind has undone."""
        return self.history.entries

    @property
    def version(self) -> int:
        """Number of the newest version; 0 before the first."""
        return self.history.version

    def catch_up(self) -> bool:
        """Read what has been committed since the last look, and return whether anything has.

        Raises
        ------
        ForeignModel
            If the chain is broken or an entry is damaged, and the ledger is strict.
        """
        known = self.version
        try:
            self._read()
        except ForeignModel as error:
            self._report(error)
        return self.version > known

    def commit_plan(self, groups: list[Group]) -> PlanEntry:
        """Freeze the order of the next groups.

        Raises
        ------
        ModelConflict
            If another writer has committed this version.
        """
        return self._append(PlanEntry(**dict(self._header()), groups=groups))

    def commit_skip(self, partition: Partition | UnreadFile, reason: str) -> SkipEntry:
        """Leave a partition out for good; raises as `commit_plan`."""
        return self._append(SkipEntry(**dict(self._header()), partition=partition, reason=reason))

    def commit_rewind(
        self, to: int, exclude: Sequence[str] = (), excluded: Sequence[Partition] = ()
    ) -> RewindEntry:
        """Make an earlier version count again; raises as `commit_plan`.

        The caller has made sure that the state of that version is there, because training goes on
        from it.
        """
        header = dict(self._header())
        entry = RewindEntry(**header, to=to, exclude=list(exclude), excluded=list(excluded))
        self._append(entry)
        self._delete_expired()
        return entry

    def commit_train(self, state: Content, trained: Trained) -> TrainEntry:
        """Record a learnt group: first its state, then the entry that makes it count.

        Raises as `commit_plan`.
        """
        reference = self._put_state(state)
        entry = TrainEntry(**dict(self._header()), **dict(trained), state=reference)
        return self._append_learnt(entry)

    def commit_refine(self, state: Content, refined: Refined) -> RefineEntry:
        """Record refined weights, as `commit_train` records a learnt group."""
        reference = self._put_state(state)
        entry = RefineEntry(**dict(self._header()), **dict(refined), state=reference)
        return self._append_learnt(entry)

    def read_state(self, entry: LearntEntry) -> bytes:
        """Return the state of a version.

        Raises
        ------
        ForeignModel
            If it is missing, on a bad sector, or not the bytes that were committed.
        """
        key, size = entry.state.key, entry.state.size
        if size > self._most_bytes:
            raise ForeignModel(
                f"{key} is no state of this model: expected at most {self._most_bytes:,} bytes, "
                f"found {size:,}"
            )
        try:
            data = self._store.get(key, most_bytes=size)
        except FileNotFoundError:
            raise ForeignModel(f"{key} is missing") from None
        except OSError as error:
            # A bad sector harms this state alone; other failures may pass, or harm all states.
            if error.errno != errno.EIO:
                raise
            raise ForeignModel(f"{key} cannot be read: {error.strerror}") from None
        if digest(data) != entry.state.sha256:
            raise ForeignModel(f"{entry.state.key} is damaged: its sha256 is not the log's")
        return data

    def has_state(self, entry: LearntEntry) -> bool:
        """Whether the state of a version has a file, sound or not."""
        return self._store.exists(entry.state.key)

    def sound_states(
        self, entries: Sequence[LearntEntry] | None = None
    ) -> Iterator[tuple[LearntEntry, bytes]]:
        """Iterate over versions with sound states, newest first; log a warning for the others.

        Parameters
        ----------
        entries
            Versions to choose from, oldest first; those that count by default.
        """
        for entry in reversed(self.history.learnt() if entries is None else entries):
            try:
                state = self.read_state(entry)
            except ForeignModel as error:
                # States that retention does not keep are missing in any case.
                if self.retention.keeps(entry):
                    logger.warning("version %d cannot be used: %s", entry.version, error)
            else:
                yield entry, state

    def heal(self, entry: LearntEntry, state: bytes) -> None:
        """Store a lost state again, after retraining has reproduced the bytes that were committed.

        Raises
        ------
        ForeignModel
            If the bytes are not those that were committed.
        """
        if digest(state) != entry.state.sha256:
            raise ForeignModel(
                f"retraining version {entry.version} did not reproduce its state: expected sha256 "
                f"{entry.state.sha256[:12]}, found {digest(state)[:12]}\n"
                f"Put {entry.state.key} back from a copy, or go back to a version before: "
                f"onepass rewind {self._store.place} --to {entry.version - 1}"
            )
        self._store.put(entry.state.key, state)

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
            if key != _log_key(number):
                raise ForeignModel(
                    f"expected {_log_key(number)} in the log, found {key}: a version is missing"
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
        if self.fault or newest <= following or self._store.exists(_log_key(following)):
            return
        self._report(
            ForeignModel(
                f"{_log_key(following)} is missing, though {found[newest]} is there: the end of "
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

    def _header(self) -> Header:
        return Header(
            version=self.version + 1,
            parent_sha256=self.head_sha256,
            attempt=self._attempt,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )

    def _append(self, entry: _Entry) -> _Entry:
        data, key = dump_entry(entry), _log_key(entry.version)
        # After a lost answer the writer's own entry is there already.
        if not self._store.create(key, data) and self._store.get(key) != data:
            raise ModelConflict(
                f"another writer has committed version {entry.version} of this model meanwhile; "
                "nothing of this run's last partition was kept, run again to go on from theirs"
            )
        self._accept(entry, data, key)
        return entry

    def _put_state(self, state: Content) -> StateRef:
        # Each attempt has its own id: after one of unknown outcome, the next must not overwrite a
        # state that an entry may name.
        self._attempt = uuid.uuid4().hex
        key, digested = state_key(self.version + 1, self._attempt), Digested(state)
        self._store.put(key, digested.write)
        return StateRef(key=key, size=digested.size, sha256=digested.sha256)

    def _append_learnt(self, entry: _Learnt) -> _Learnt:
        try:
            self._append(entry)
        except ModelConflict:
            self._store.delete(entry.state.key)
            raise
        self.retention.committed(entry)
        self._delete_expired()
        return entry

    def _delete_expired(self) -> None:
        # If another writer has gone on, it may have gone back to one of the states: the next run
        # deletes them.
        if not self._store.exists(_log_key(self.version + 1)):
            self.retention.delete_expired()


def _log_key(version: int) -> str:
    return f"log/{version:020d}.json"
