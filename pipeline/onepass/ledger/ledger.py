"""The ledger of one model: versions in a chain, and what they say has been trained.

A version exists when its log entry does. The entry names the digest of its parent, and is created
only if its number is free: of two writers one wins, and the other stops (`ModelConflict`), because
stochastic updates do not commute and cannot be put on top of another's.

A rewind takes nothing out of the log. It is an entry that says which version counts again; the
versions that count, oldest first, are the *line*, and whatever has been trained is read off it.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from onepass.errors import ForeignModel, ModelConflict
from onepass.ledger.digested import Digested
from onepass.ledger.entries import (
    MAX_ENTRY_BYTES,
    AnyEntry,
    LearntEntry,
    PlanEntry,
    PlannedGroup,
    RefineEntry,
    RewindEntry,
    SkipEntry,
    StateRef,
    TrainEntry,
    digest,
    dump_entry,
    is_sealed,
    load_entry,
    make_entry,
    state_key,
)
from onepass.ledger.store import Content, Store

KEEP_NEWEST = 3
KEEP_EVERY = 100
"""States kept: the newest few, and every so many for audits; and the last before each rewind."""

MOST_BYTES = 1 << 40
"""Size of a state that is read where nothing else bounds it."""

NO_ENTRY = "is no entry of a log: move it out of the model directory"

_LOG_KEY = re.compile(r"log/[0-9]{20}\.json")
_STATE_KEY = re.compile(r"state/([0-9]{8,20})-[0-9a-f]{32}\.npz")

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
    check
        Raises `ForeignModel` at what only the reader of the log can tell to be wrong in an entry.
    strict
        Whether a fault in the log is raised; otherwise the versions before it are all there are,
        and `fault` and `strays` tell of it. Such a ledger is to be looked at, not to be written.

    Raises
    ------
    ForeignModel
        If the chain is broken, an entry is damaged, or states are left of versions whose entries
        are gone.
    """

    def __init__(
        self,
        store: Store,
        root_sha256: str,
        *,
        most_bytes: int = MOST_BYTES,
        check: Callable[[AnyEntry], None] = lambda entry: None,
        strict: bool = True,
    ) -> None:
        self._store, self._most_bytes, self._check = store, most_bytes, check
        self._strict = strict
        self._attempt = uuid.uuid4().hex
        self.head_sha256 = root_sha256
        """Digest of the newest entry, which seals all before it."""
        self.entries: list[AnyEntry] = []
        """Every version, oldest first, those that have been rewound as well."""
        self.sealed = True
        """Whether the newest entry has a seal."""
        self.fault: ForeignModel | None = None
        """What is wrong with the log; None if nothing is."""
        self.strays: list[str] = []
        """Files beside the log's entries that cannot be any."""
        self._line: list[AnyEntry] = []
        self._learnt: list[LearntEntry] = []
        self._is_folded = True
        """Whether the line and the learnt versions are those of the newest version."""
        self._newest_learnt = [0]
        """By version from 0 on, the newest that counted then and has a state; 0 for none."""
        self._pinned: set[int] = set()
        self._there: dict[str, LearntEntry] | None = None
        """States of this log by key, as far as they are there; None before they are listed."""
        # Listed before the log, which may grow meanwhile.
        states = store.list("state")
        self.catch_up()
        self._check_end(states)

    @property
    def version(self) -> int:
        """Number of the newest version; 0 before the first."""
        return len(self.entries)

    def catch_up(self) -> bool:
        """Read what has been committed since the last look; whether anything has.

        Raises
        ------
        ForeignModel
            If the chain is broken or an entry is damaged, and the ledger is strict.
        """
        known = self.version
        try:
            self._read()
        except ForeignModel as error:
            self._found(error)
        return self.version > known

    def line(self, version: int | None = None) -> list[AnyEntry]:
        """Versions that count as of one (the newest by default), oldest first.

        They are the versions before it, but for those that a rewind had undone by then, and for
        rewinds themselves.
        """
        if version is None:
            return list(self._line)
        found: list[AnyEntry] = []
        while version:
            entry = self.entries[version - 1]
            if isinstance(entry, RewindEntry):
                version = entry.to
            else:
                found.append(entry)
                version -= 1
        return found[::-1]

    def trained(self) -> list[TrainEntry]:
        """Versions that count and learnt a partition, oldest first."""
        return [entry for entry in self._learnt if isinstance(entry, TrainEntry)]

    def learnt(self) -> list[LearntEntry]:
        """Versions that count and have a state, oldest first."""
        return list(self._learnt)

    def decided(self) -> list[TrainEntry | SkipEntry]:
        """Versions that count and trained or skipped a partition, oldest first."""
        return [entry for entry in self._line if isinstance(entry, TrainEntry | SkipEntry)]

    def pending(self) -> list[PlannedGroup]:
        """What of the newest plan is neither trained nor skipped, in its order."""
        return pending_of(self._line)

    def n_left_out(self) -> int:
        """Number of partitions that have been skipped, and not been trained since."""
        is_out: dict[tuple[str, int], bool] = {}
        for entry in self.decided():
            for found in entry.all_partitions():
                place = str(found["path"]), int(found.get("first_row_group", 0))
                is_out[place] = isinstance(entry, SkipEntry)
        return sum(is_out.values())

    def unwritten_skips(self) -> list[tuple[RewindEntry, dict[str, Any]]]:
        """Partitions that the newest rewind has excluded, but whose skip entries are not written.

        A run that was killed between them has left it to the next one.
        """
        rewound = [entry for entry in self.entries if isinstance(entry, RewindEntry)][-1:]
        if not rewound or not rewound[0].excluded:
            return []
        after = self.entries[rewound[0].version :]
        done = {identity(e.partition) for e in after if isinstance(e, SkipEntry)}
        return [(rewound[0], p) for p in rewound[0].excluded if identity(p) not in done]

    def commit_plan(self, groups: list[PlannedGroup]) -> None:
        """Freeze the order of the next partitions."""
        self._append(PlanEntry, {"groups": groups})

    def commit_skip(self, partition: Mapping[str, Any], reason: str) -> None:
        """Leave a partition out for good."""
        self._append(SkipEntry, {"partition": partition, "reason": reason})

    def commit_rewind(
        self, to: int, exclude: Sequence[str] = (), excluded: Sequence[Mapping[str, Any]] = ()
    ) -> RewindEntry:
        """Let an earlier version count again.

        Its state must be there: what training goes on from is not to be found missing later.

        Raises
        ------
        ModelConflict
            If another writer has committed this version.
        """
        fields = {"to": to, "exclude": list(exclude), "excluded": list(excluded)}
        entry = self._append(RewindEntry, fields)
        assert isinstance(entry, RewindEntry)
        self._let_go()
        return entry

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
        key = state_key(self.version + 1, self._attempt)
        digested = Digested(state)
        self._store.put(key, digested.write)
        reference = StateRef(key=key, size=digested.size, sha256=digested.sha256)
        try:
            entry = self._append(action, {**fields, "state": reference})
        except ModelConflict:
            self._store.delete(key)
            raise
        assert isinstance(entry, LearntEntry)
        if self._there is not None:
            self._there[key] = entry
        self._let_go()
        return entry

    def read_state(self, entry: LearntEntry) -> bytes:
        """The state of a version.

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
            # A bad sector harms this state alone; other failures may pass, or harm all.
            if error.errno != errno.EIO:
                raise
            raise ForeignModel(f"{key} cannot be read: {error.strerror}") from None
        if digest(data) != entry.state.sha256:
            raise ForeignModel(f"{entry.state.key} is damaged: its sha256 is not the log's")
        return data

    def has_state(self, entry: LearntEntry) -> bool:
        """Whether there is a file for the state of a version, sound or not."""
        return self._store.exists(entry.state.key)

    def stored(self) -> list[LearntEntry]:
        """Versions for whose states there is a file, sound or not, whether they count or not."""
        there = set(self._store.list("state"))
        learnt = (entry for entry in self.entries if isinstance(entry, LearntEntry))
        return [entry for entry in learnt if entry.state.key in there]

    def sound_states(
        self, entries: Sequence[LearntEntry] | None = None
    ) -> Iterator[tuple[LearntEntry, bytes]]:
        """Versions whose states are the bytes that were committed, newest first; others are told.

        Parameters
        ----------
        entries
            Versions to choose from, oldest first; those that count by default.
        """
        for entry in reversed(self._learnt if entries is None else entries):
            try:
                state = self.read_state(entry)
            except ForeignModel as error:
                # Those that retention does not keep are missing in any case.
                if self.keeps_state(entry):
                    logger.warning("version %d cannot be used: %s", entry.version, error)
            else:
                yield entry, state

    def keeps_state(self, entry: LearntEntry) -> bool:
        """Whether retention keeps the state of a version."""
        newest = [kept.version for kept in self._learnt[-KEEP_NEWEST:]]
        return (
            entry.version in newest
            or entry.version in self._pinned
            or entry.version % KEEP_EVERY == 0
        )

    def is_pinned(self, entry: LearntEntry) -> bool:
        """Whether the state of a version is kept because it was the last before a rewind."""
        return entry.version in self._pinned

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
                f"{entry.state.sha256[:12]}, found {digest(state)[:12]}\n"
                f"Put {entry.state.key} back from a copy, or go back to a version before: "
                f"onepass rewind {self._store.place} --to {entry.version - 1}"
            )
        self._store.put(entry.state.key, state)

    def _read(self) -> None:
        known = self.version
        # A listing may repeat a key; if it lags and hides the newest, the fence tells.
        listed = sorted(set(self._store.list("log")))
        keys = [key for key in listed if _LOG_KEY.fullmatch(key)]
        self.strays = [key for key in listed if not _LOG_KEY.fullmatch(key)]
        if self.strays and self._strict:
            raise ForeignModel(f"{self.strays[0][:200]!r} {NO_ENTRY}")
        try:
            for number, key in enumerate(keys[known:], start=known + 1):
                if key != _log_key(number):
                    raise ForeignModel(
                        f"expected {_log_key(number)} in the log, found {key}: a version is missing"
                    )
                data = self._store.get(key, most_bytes=MAX_ENTRY_BYTES)
                entry = load_entry(data, key)
                self._check(entry)
                self._accept(entry, data, key)
        finally:
            self._fold()

    def _found(self, fault: ForeignModel) -> None:
        if self._strict:
            raise fault
        self.fault = fault

    def _check_end(self, states: Sequence[str]) -> None:
        """Find out whether states are left of versions that the log must have had.

        A writer puts the state of a version before its entry, and after the entry before that: a
        kill leaves a state of the version after the newest, and never of a later one.
        """
        found = {int(match[1]): key for key in states if (match := _STATE_KEY.fullmatch(key))}
        newest, following = max(found, default=0), self.version + 1
        # Where there is an entry, the log has been listed too early, by a store that lags.
        if self.fault or newest <= following or self._store.exists(_log_key(following)):
            return
        self._found(
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
        self.entries.append(entry)
        self.head_sha256, self.sealed = digest(data), is_sealed(data)
        newest = self._newest_learnt[-1]
        if isinstance(entry, RewindEntry):
            # The last state before a rewind is kept, so that the rewind can be rewound at once.
            self._pinned |= {newest} if newest else set()
            self._newest_learnt.append(self._newest_learnt[entry.to])
            self._is_folded = False
            return
        self._newest_learnt.append(entry.version if isinstance(entry, LearntEntry) else newest)
        if self._is_folded:
            self._line.append(entry)
            if isinstance(entry, LearntEntry):
                self._learnt.append(entry)

    def _fold(self) -> None:
        """Find what counts after rewinds, once for all of them: it takes as long as the log is."""
        if not self._is_folded:
            self._line = self.line(self.version)
            self._learnt = [left for left in self._line if isinstance(left, LearntEntry)]
            self._is_folded = True

    def _append(self, action: Callable[..., AnyEntry], fields: Mapping[str, Any]) -> AnyEntry:
        header = {
            "version": self.version + 1,
            "parent_sha256": self.head_sha256,
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
        self._fold()
        return entry

    def _let_go(self) -> None:
        """Remove the states of this log that retention does not keep; only after a commit."""
        if self._store.exists(_log_key(self.version + 1)):
            # Somebody has gone on, perhaps back to one of them. The next run clears away.
            return
        if self._there is None:
            # A run that was killed, or has been overtaken, has left its own to this one.
            self._there = {entry.state.key: entry for entry in self.stored()}
        for key, entry in list(self._there.items()):
            if not self.keeps_state(entry):
                self._store.delete(key)
                del self._there[key]


def pending_of(line: Sequence[AnyEntry]) -> list[PlannedGroup]:
    """What of the newest plan of a line is neither trained nor skipped, in its order."""
    place = next((i for i in reversed(range(len(line))) if line[i].action == "plan"), None)
    if place is None:
        return []
    plan = line[place]
    assert isinstance(plan, PlanEntry)
    # A plan is worked off in order, but compared as a set lest its order be trusted blindly.
    trained: set[tuple[int, str]] = set()
    skipped: set[str] = set()
    for entry in line[place + 1 :]:
        if isinstance(entry, TrainEntry):
            trained |= {(entry.epoch, identity(p)) for p in entry.partitions}
        elif isinstance(entry, SkipEntry):
            skipped.add(identity(entry.partition))
    left = []
    for group in plan.groups:
        names = {identity(p): p for p in group.partitions}
        waiting = [
            p
            for name, p in names.items()
            if name not in skipped and (group.epoch, name) not in trained
        ]
        if waiting:
            left.append(PlannedGroup(epoch=group.epoch, partitions=waiting))
    return left


def identity(partition: Mapping[str, Any]) -> str:
    """What tells partitions of the log apart: all that it says of them."""
    return json.dumps(partition, sort_keys=True)


def _log_key(version: int) -> str:
    return f"log/{version:020d}.json"
