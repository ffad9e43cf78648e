"""The ledger of one model: versions in a chain, and what they say has been trained.

A version exists when its log entry does. The entry names the digest of its parent, and is created
only if its number is free: of two writers one wins, and the other stops (`ModelConflict`), because
stochastic updates do not commute and cannot be put on top of another's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

from pipeline.errors import ForeignModel, ModelConflict
from pipeline.ledger.entries import (
    AnyEntry,
    LearntEntry,
    PlanEntry,
    PlannedGroup,
    RefineEntry,
    SkipEntry,
    StateRef,
    TrainEntry,
    digest,
    dump_entry,
    load_entry,
    make_entry,
)
from pipeline.ledger.store import Content, Store

KEEP_NEWEST = 3
KEEP_EVERY = 100
"""States kept: the newest few, and every so many for audits."""

logger = logging.getLogger(__name__)


class Ledger:
    """All versions of one model, read once and appended to.

    Parameters
    ----------
    store
        Where the model lives.
    root_sha256
        Digest of `model.json`, which the first entry names as its parent.

    Raises
    ------
    ForeignModel
        If the chain is broken or an entry is damaged.
    """

    def __init__(self, store: Store, root_sha256: str) -> None:
        self._store = store
        self._attempt = uuid.uuid4().hex
        self._head_sha256 = root_sha256
        self.entries: list[AnyEntry] = []
        """Every version, oldest first."""
        self._learnt: list[LearntEntry] = []
        self._read()

    @property
    def version(self) -> int:
        """Number of the newest version; 0 before the first."""
        return len(self.entries)

    def trained(self) -> list[TrainEntry]:
        """Versions that learnt a partition, oldest first."""
        return [entry for entry in self._learnt if isinstance(entry, TrainEntry)]

    def learnt(self) -> list[LearntEntry]:
        """Versions with a state, oldest first."""
        return list(self._learnt)

    def decided(self) -> list[TrainEntry | SkipEntry]:
        """Versions that trained or skipped a partition, oldest first."""
        return [entry for entry in self.entries if isinstance(entry, TrainEntry | SkipEntry)]

    def newest_plan(self) -> PlanEntry | None:
        """The newest plan; None before the first."""
        plans = [entry for entry in self.entries if isinstance(entry, PlanEntry)]
        return plans[-1] if plans else None

    def pending(self) -> list[PlannedGroup]:
        """What of the newest plan is neither trained nor skipped, in its order."""
        plan = self.newest_plan()
        if plan is None:
            return []
        # A plan is worked off in order, but compared as a set lest its order be trusted blindly.
        trained: set[tuple[int, str]] = set()
        skipped: set[str] = set()
        for entry in self.entries[plan.version :]:
            if isinstance(entry, TrainEntry):
                trained |= {(entry.epoch, _identity(p)) for p in entry.partitions}
            elif isinstance(entry, SkipEntry):
                skipped.add(_identity(entry.partition))
        left = []
        for group in plan.groups:
            names = {_identity(p): p for p in group.partitions}
            waiting = [
                p
                for name, p in names.items()
                if name not in skipped and (group.epoch, name) not in trained
            ]
            if waiting:
                left.append(PlannedGroup(epoch=group.epoch, partitions=waiting))
        return left

    def commit_plan(self, groups: list[PlannedGroup]) -> None:
        """Freeze the order of the next partitions."""
        self._append(PlanEntry, {"groups": groups})

    def commit_skip(self, partition: Mapping[str, Any], reason: str) -> None:
        """Leave a partition out for good."""
        self._append(SkipEntry, {"partition": partition, "reason": reason})

    def commit_train(self, state: Content, fields: Mapping[str, Any]) -> TrainEntry:
        """Record a learnt group: first its state, then the entry that makes it count.

        Raises
        ------
        ModelConflict
            If another writer has committed this version.
        """
        entry = self._commit_state(TrainEntry, state, fields)
        assert isinstance(entry, TrainEntry)
        return entry

    def commit_refine(self, state: Content, fields: Mapping[str, Any]) -> RefineEntry:
        """Record refined weights; as `commit_train`."""
        entry = self._commit_state(RefineEntry, state, fields)
        assert isinstance(entry, RefineEntry)
        return entry

    def _commit_state(
        self, action: Callable[..., AnyEntry], state: Content, fields: Mapping[str, Any]
    ) -> AnyEntry:
        # An id for each attempt: after one of unknown outcome, the next must not touch a state that
        # an entry may name.
        self._attempt = uuid.uuid4().hex
        key = f"state/{self.version + 1:08d}-{self._attempt}.npz"
        digested = _Digested(state)
        self._store.put(key, digested.write)
        reference = StateRef(key=key, size=digested.size, sha256=digested.sha256)
        try:
            entry = self._append(action, {**fields, "state": reference})
        except ModelConflict:
            self._store.delete(key)
            raise
        self._forget_old_states()
        return entry

    def read_state(self, entry: LearntEntry) -> bytes:
        """The state of a version.

        Raises
        ------
        ForeignModel
            If it is missing or not the bytes that were committed.
        """
        try:
            data = self._store.get(entry.state.key)
        except FileNotFoundError:
            raise ForeignModel(f"{entry.state.key} is missing") from None
        if digest(data) != entry.state.sha256:
            raise ForeignModel(f"{entry.state.key} is damaged: its sha256 is not the log's")
        return data

    def newest_sound(self) -> tuple[LearntEntry | None, bytes | None]:
        """The newest version whose state can be read, with its state; (None, None) if none is."""
        for entry in reversed(self._learnt):
            try:
                return entry, self.read_state(entry)
            except ForeignModel as error:
                logger.warning("version %d cannot be used: %s", entry.version, error)
        return None, None

    def newest_during_training(self) -> tuple[LearntEntry | None, bytes | None]:
        """As `newest_sound`, for a reader while another process trains.

        The writer removes the states of versions that it has left behind; where one is gone, the
        reader catches up with the log and takes the newest again.
        """
        while self._learnt:
            entry, version = self._learnt[-1], self.version
            try:
                return entry, self.read_state(entry)
            except ForeignModel:
                self._read()
                if self.version == version:
                    break
        return self.newest_sound()

    def keeps_state(self, entry: LearntEntry) -> bool:
        """Whether retention keeps the state of a version."""
        newest = [kept.version for kept in self._learnt[-KEEP_NEWEST:]]
        return entry.version in newest or entry.version % KEEP_EVERY == 0

    def heal(self, entry: LearntEntry, state: bytes) -> None:
        """Put back a damaged state, retrained to the very bytes that were committed.

        Raises
        ------
        ForeignModel
            If the bytes are not those that were committed.
        """
        if digest(state) != entry.state.sha256:
            raise ForeignModel(
                f"retraining version {entry.version} did not reproduce its state: expected sha256 "
                f"{entry.state.sha256[:12]}, found {digest(state)[:12]}"
            )
        self._store.put(entry.state.key, state)

    def _read(self) -> None:
        known = self.version
        # A listing may repeat a key; if it lags and hides the newest, the fence tells.
        keys = sorted(set(self._store.list("log")))
        for number, key in enumerate(keys[known:], start=known + 1):
            if key != _log_key(number):
                raise ForeignModel(f"expected {_log_key(number)} in the log, found {key}")
            data = self._store.get(key)
            self._accept(load_entry(data, key), data, key)

    def _accept(self, entry: AnyEntry, data: bytes, key: str) -> None:
        if entry.version != self.version + 1 or entry.parent_sha256 != self._head_sha256:
            raise ForeignModel(
                f"{key} does not follow the entry before it: the log has been altered, "
                "or belongs to another model"
            )
        self.entries.append(entry)
        if isinstance(entry, LearntEntry):
            self._learnt.append(entry)
        self._head_sha256 = digest(data)

    def _append(self, action: Callable[..., AnyEntry], fields: Mapping[str, Any]) -> AnyEntry:
        header = {
            "version": self.version + 1,
            "parent_sha256": self._head_sha256,
            "attempt": self._attempt,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        entry: AnyEntry = make_entry(action, header | dict(fields))  # type: ignore[arg-type]
        data, key = dump_entry(entry), _log_key(entry.version)
        if not self._store.create(key, data) and self._store.get(key) != data:
            raise ModelConflict(
                f"another writer has committed version {entry.version} of this model meanwhile; "
                "nothing of this run's last partition was kept, run again to go on from theirs"
            )
        self._accept(entry, data, key)
        return entry

    def _forget_old_states(self) -> None:
        # One more falls out of the newest few at each commit; older ones went at earlier commits.
        for entry in self._learnt[-KEEP_NEWEST - 2 :]:
            if not self.keeps_state(entry):
                self._store.delete(entry.state.key)


class _Digested:
    """Content that takes its own size and digest while it is written."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of what has been written."""
        return self._digest.hexdigest()

    def write(self, stream: BinaryIO) -> None:
        """Write the content to a file."""
        self._digest, self.size = hashlib.sha256(), 0
        tee = _Tee(self._take, stream)
        if callable(self._content):
            self._content(tee)  # type: ignore[arg-type]
        else:
            tee.write(self._content)

    def _take(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self.size += len(data)


class _Tee:
    def __init__(self, take: Callable[[bytes | memoryview], None], stream: BinaryIO) -> None:
        self._take, self._stream = take, stream

    def write(self, data: bytes | memoryview) -> int:
        self._take(data)
        return self._stream.write(data)


def _identity(partition: Mapping[str, Any]) -> str:
    return json.dumps(partition, sort_keys=True)


def _log_key(version: int) -> str:
    return f"log/{version:020d}.json"
