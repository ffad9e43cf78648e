"""Tags: names for versions, such as ``production``, that can be moved and keep their history.

Tags are a chain beside the log. Each move of a tag is an entry of its own, created only if its
number is free, so of two that move a tag at once one wins. Moving a tag needs no lock and works
while a run trains. An entry names the digest of the log entry of its version, so a tag cannot
change to another version unseen.

The tag ``current`` names the version that predictions use. Where it has never been set, the newest
version that counts is meant.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from onepass.errors import ForeignModel, JobError, ModelConflict
from onepass.ledger.chain import Chain
from onepass.ledger.entries import LearntEntry, digest, sealed
from onepass.ledger.expiry import is_being_deleted
from onepass.ledger.store import Store
from onepass.ledger.tag_entry import (
    MAX_REASON,
    MAX_TAG_BYTES,
    By,
    TagEntry,
    check_tag_name,
    load_tag,
    tag_key,
)

Expected: TypeAlias = "TagEntry | Literal['any'] | None"
"""The entry that a tag must still have to be moved; None: it must not exist."""

_KEY = re.compile(r"tags/[0-9]{20}\.json")


class Tags:
    """The tags of one model, read at first use.

    Parameters
    ----------
    store
        Where the model lives.
    chain
        Its log, to which the tags point.
    """

    def __init__(self, store: Store, chain: Chain, root_sha256: str) -> None:
        self._store, self._chain, self._head_sha256 = store, chain, root_sha256
        self.entries: list[TagEntry] = []
        """Every move of every tag as of the last read, oldest first."""
        self._newest: dict[str, TagEntry] = {}
        self._unchecked: list[TagEntry] = []
        self._is_read = False

    def catch_up(self) -> None:
        """Read the entries that were created since the last read.

        Raises
        ------
        ForeignModel
            If the chain is broken, an entry is damaged, or a tag names a log entry of other
            content.
        """
        listed = [] if self._is_read else self._listed()
        self._is_read = True
        # A listing may lag. Asking for the next number does not, so a run that is about to delete a
        # state finds the newest tag.
        while (data := self._next()) is not None:
            key = tag_key(len(self.entries) + 1)
            self._accept(load_tag(data, key), data, key)
        if len(listed) > len(self.entries):
            raise ForeignModel(
                f"{tag_key(len(self.entries) + 1)} is missing, though {listed[-1]} is there"
            )
        self._check_targets()

    def _listed(self) -> list[str]:
        listed = self._store.list("tags")
        for key in listed:
            if not _KEY.fullmatch(key):
                raise ForeignModel(f"{key[:200]!r} is no tag: move it out of the model directory")
        return listed

    def _next(self) -> bytes | None:
        try:
            return self._store.get(tag_key(len(self.entries) + 1), most_bytes=MAX_TAG_BYTES)
        except FileNotFoundError:
            return None

    def get(self, name: str) -> TagEntry | None:
        """Return the newest entry of a tag; None if the tag does not exist."""
        self._ensure_read()
        found = self._newest.get(name)
        return None if found is None or found.version is None else found

    def named(self) -> dict[str, TagEntry]:
        """Return the tags that exist, each with its newest entry, sorted by name."""
        self._ensure_read()
        return {name: e for name, e in sorted(self._newest.items()) if e.version is not None}

    def versions(self) -> set[int]:
        """Return the versions that tags name."""
        return {entry.version for entry in self.named().values() if entry.version is not None}

    def target(self, name: str) -> LearntEntry | None:
        """Return the log entry of the version that a tag names; None if there is no such tag.

        Raises
        ------
        ForeignModel
            If the log has no such version, or it has another content.
        """
        tag = self.get(name)
        if tag is None or tag.version is None:
            return None
        if tag.version > self._chain.version:
            # The version may have been committed after this reader has read the log.
            self._chain.catch_up()
        if tag.version > self._chain.version:
            raise ForeignModel(
                f"the tag {name!r} names version {tag.version}, and the log ends at version "
                f"{self._chain.version}: its end has been cut off\nPut the entries back from a "
                "copy."
            )
        self._check_targets()
        entry = self._chain.entries[tag.version - 1]
        assert isinstance(entry, LearntEntry)
        return entry

    def move(
        self,
        name: str,
        version: int | None,
        *,
        by: By,
        reason: str = "",
        expect: Expected = "any",
        max_loss_increase: float | None = None,
    ) -> TagEntry:
        """Let a tag name a version, or delete it.

        Parameters
        ----------
        name
            The tag.
        version
            A version with a state; None deletes the tag.
        expect
            Entry that `get` has returned; if the tag has been moved since, nothing is changed.

        Raises
        ------
        ModelConflict
            If the tag has been moved meanwhile, or is not as expected.
        JobError
            If the name is no name of a tag, or the state of the version is no longer kept.
        """
        check_tag_name(name)
        self.catch_up()
        before = self.get(name)
        if expect != "any" and before != expect:
            raise _moved(name, before)
        while True:
            entry = self._entry(name, version, by, reason, max_loss_increase)
            if self._create(entry):
                return entry
            # Another writer has taken the number, perhaps for another tag.
            self.catch_up()
            if self.get(name) != before:
                raise _moved(name, self.get(name))

    def move_kept(
        self, name: str, version: int, *, by: By, reason: str = "", expect: Expected = "any"
    ) -> TagEntry:
        """Let a tag name a version whose state a run may be about to delete; see `move`.

        A run announces the states that it deletes before it reads the tags. So if the state of the
        version is not announced after the tag has been created, the run finds the tag and keeps the
        state.
        """
        self._check_state(version)
        before = self.get(name)
        moved = self.move(name, version, by=by, reason=reason, expect=expect)
        if not is_being_deleted(self._store, version) and self._has_state(version):
            return moved
        if self.get(name) == moved:
            back = None if before is None else before.version
            why = f"taken back: the state of version {version} was being deleted"
            self.move(name, back, by=by, reason=why, expect=moved)
        raise JobError(
            f"a run has deleted the state of version {version} meanwhile, so {name!r} cannot name "
            f"it\nGo back to the version for good (onepass rewind {self._store.place} --to "
            f"{version} learns it again), or tag a newer one."
        )

    def _check_state(self, version: int) -> None:
        if not self._has_state(version):
            raise JobError(
                f"the state of version {version} is no longer kept, so no tag can name it\nTag a "
                "version before newer ones replace it, keep more with --keep-states, or go back to "
                f"it for good: onepass rewind {self._store.place} --to {version}"
            )

    def _has_state(self, version: int) -> bool:
        entry = self._chain.entries[version - 1]
        return isinstance(entry, LearntEntry) and self._store.exists(entry.state.key)

    def _entry(
        self, name: str, version: int | None, by: By, reason: str, margin: float | None
    ) -> TagEntry:
        return TagEntry(
            number=len(self.entries) + 1,
            parent_sha256=self._head_sha256,
            attempt=uuid.uuid4().hex,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            name=name,
            version=version,
            entry_sha256=None if version is None else self._chain.sha256_of(version),
            head=self._chain.version,
            by=by,
            reason=reason[:MAX_REASON],
            max_loss_increase=margin,
        )

    def _create(self, entry: TagEntry) -> bool:
        data, key = sealed(entry.model_dump_json().encode()), tag_key(entry.number)
        # If the answer to an earlier request was lost, the key holds this writer's own entry.
        if not self._store.create(key, data) and self._store.get(key) != data:
            return False
        self._accept(entry, data, key)
        return True

    def _ensure_read(self) -> None:
        if not self._is_read:
            self.catch_up()

    def _accept(self, entry: TagEntry, data: bytes, key: str) -> None:
        follows = entry.parent_sha256 == self._head_sha256
        if entry.number != len(self.entries) + 1 or not follows:
            raise ForeignModel(
                f"{key} does not follow the tag before it: the tags have been altered, or belong "
                "to another model"
            )
        self.entries.append(entry)
        self._newest[entry.name] = entry
        self._unchecked.append(entry)
        self._head_sha256 = digest(data)

    def _check_targets(self) -> None:
        """Compare the digests in tags with the log, as far as it has been read."""
        left = []
        for tag in self._unchecked:
            if tag.version is None:
                continue
            if tag.version > self._chain.version:
                left.append(tag)
                continue
            is_learnt = isinstance(self._chain.entries[tag.version - 1], LearntEntry)
            if not is_learnt or self._chain.sha256_of(tag.version) != tag.entry_sha256:
                raise ForeignModel(
                    f"{tag_key(tag.number)}: the tag {tag.name!r} names version {tag.version}, "
                    "whose log entry is another one now: the log or the tag has been altered"
                )
        self._unchecked = left


def _moved(name: str, now: TagEntry | None) -> ModelConflict:
    where = "it does not exist" if now is None else f"it names version {now.version}"
    return ModelConflict(
        f"the tag {name!r} is not where it was expected: {where}; nothing was changed"
    )
