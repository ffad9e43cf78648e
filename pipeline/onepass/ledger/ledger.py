"""The ledger of one model: commit plans, skips, rewinds, and states with their entries.

A state is stored before the entry that names it, so the log never names a state that is missing
because a commit was interrupted.
"""

from __future__ import annotations

import errno
import logging
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from onepass.errors import ForeignModel, ModelConflict
from onepass.ledger.chain import Chain
from onepass.ledger.digested import Digested
from onepass.ledger.entries import (
    Header,
    LearntEntry,
    PlanEntry,
    Refined,
    RefineEntry,
    RewindEntry,
    SkipEntry,
    StateRef,
    TrainEntry,
    digest,
    state_key,
)
from onepass.ledger.retention import Retention
from onepass.ledger.store import Content, Store
from onepass.ledger.table_mark import TableMark
from onepass.ledger.tags import Tags
from onepass.ledger.trained import Trained
from onepass.partition import Group, Look, Partition, UnreadFile

MOST_BYTES = 1 << 40
"""Size in bytes of the largest state that is read unless the caller gives another bound."""

_Learnt = TypeVar("_Learnt", bound=LearntEntry)

logger = logging.getLogger(__name__)


class Ledger(Chain):
    """The chain of one model with its states, for the one writer and for readers.

    Parameters
    ----------
    store, root_sha256, strict
        As for `Chain`.
    most_bytes
        Size in bytes of the largest state that the model can have; a larger one is not read.

    Raises
    ------
    ForeignModel
        If `Chain` raises it.
    """

    def __init__(
        self, store: Store, root_sha256: str, *, most_bytes: int = MOST_BYTES, strict: bool = True
    ) -> None:
        super().__init__(store, root_sha256, strict=strict)
        self._most_bytes = most_bytes
        self._attempt = uuid.uuid4().hex
        self.tags = Tags(store, self, root_sha256)
        """Names of versions."""
        self.retention = Retention(store, self.history, self.tags)
        """Decides which states are kept, and deletes the others."""

    def commit_plan(self, groups: list[Group], table: TableMark | None = None) -> PlanEntry:
        """Freeze the order of the next groups.

        Parameters
        ----------
        table
            Version of the table that is settled by this plan, if the lake is a table.

        Raises
        ------
        ModelConflict
            If another writer has committed this version.
        """
        return self.append(PlanEntry(**dict(self._header()), groups=groups, table=table))

    def commit_skip(
        self, partition: Partition | UnreadFile, reason: str, quarantine: Look | None = None
    ) -> SkipEntry:
        """Leave a partition out; raises as `commit_plan`.

        Parameters
        ----------
        quarantine
            What the file looked like, if it is left out until it is replaced, and not for good.
        """
        header = dict(self._header())
        return self.append(
            SkipEntry(**header, partition=partition, reason=reason, quarantine=quarantine)
        )

    def commit_rewind(
        self, to: int, exclude: Sequence[str] = (), excluded: Sequence[Partition] = ()
    ) -> RewindEntry:
        """Make an earlier version count again; raises as `commit_plan`.

        The caller must ensure that the state of that version exists, because training continues
        from it.

        Parameters
        ----------
        to
            The version to rewind to; 0 is the model as it was created.
        exclude
            Names and patterns that the user gave, for the record.
        excluded
            Partitions that they match; the caller commits a skip for each.
        """
        header = dict(self._header())
        entry = RewindEntry(**header, to=to, exclude=list(exclude), excluded=list(excluded))
        self.append(entry)
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
            If the state is missing, unreadable (EIO), or other than the bytes that were committed.
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
            # A bad sector damages this state alone. Other errors may pass, or concern all states.
            if error.errno != errno.EIO:
                raise
            raise ForeignModel(f"{key} cannot be read: {error.strerror}") from None
        if digest(data) != entry.state.sha256:
            raise ForeignModel(f"{entry.state.key} is damaged: its sha256 is not the log's")
        return data

    def has_state(self, entry: LearntEntry) -> bool:
        """Return whether the state of a version has a file, sound or not."""
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
                # It is no fault that a state is missing which retention does not keep.
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

    def _header(self) -> Header:
        return Header(
            version=self.version + 1,
            parent_sha256=self.head_sha256,
            attempt=self._attempt,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )

    def _put_state(self, state: Content) -> StateRef:
        # Each attempt has its own id. If the outcome of an attempt is unknown, an entry may name
        # its state, which the next attempt must not overwrite.
        self._attempt = uuid.uuid4().hex
        key, digested = state_key(self.version + 1, self._attempt), Digested(state)
        self._store.put(key, digested.write)
        return StateRef(key=key, size=digested.size, sha256=digested.sha256)

    def _append_learnt(self, entry: _Learnt) -> _Learnt:
        try:
            self.append(entry)
        except ModelConflict:
            self._store.delete(entry.state.key)
            raise
        self.retention.committed(entry)
        self._delete_expired()
        return entry

    def _delete_expired(self) -> None:
        # If another writer has committed, it may have rewound to one of these states. So delete
        # none of them; the next run does.
        if self.is_newest():
            self.retention.delete_expired()
