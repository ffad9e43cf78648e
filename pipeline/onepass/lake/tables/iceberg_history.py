"""Compare the snapshots of an Iceberg table: which files each one adds and removes.

The files of a snapshot are compared with those of its parent. The operation that a snapshot names
is not enough: pyiceberg's overwrite is a delete and an append, and its append scan leaves out both
deletes and overwrites.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from onepass.errors import HistoryGone
from onepass.lake.tables.iceberg_deletes import Deletes
from onepass.lake.tables.iceberg_manifests import ADDED, ContentFile, Manifest
from onepass.lake.tables.iceberg_places import Places
from onepass.lake.tables.iceberg_snapshot import Manifests
from onepass.lake.tables.table import Commit, FileOfTable

NO_SNAPSHOT = -1
"""Version of a table that has no snapshot yet."""

Changes = tuple[tuple[FileOfTable, ...], tuple[FileOfTable, ...]]
"""Files that were added, and that were removed."""


def label(snapshot_id: int) -> str:
    """Return the name of a snapshot in messages."""
    return "no snapshot" if snapshot_id == NO_SNAPSHOT else f"snapshot {snapshot_id}"


class History:
    """The snapshots of a table, and the changes between them."""

    def __init__(self, metadata: TableMetadata, manifests: Manifests, places: Places) -> None:
        self._snapshots = {one.snapshot_id: one for one in metadata.snapshots}
        self._manifests, self._places = manifests, places

    def lineage(self, snapshot_id: int) -> list[Snapshot]:
        """Return a snapshot and its ancestors, newest first, as far as the table has them."""
        found: dict[int, Snapshot] = {}
        at: int | None = snapshot_id
        while at in self._snapshots and at not in found:
            found[at] = self._snapshots[at]
            at = found[at].parent_snapshot_id
        return list(found.values())

    def commits(self, since: int, pinned: int) -> list[Commit]:
        """Return the commits after `since` up to `pinned`, oldest first, as `Table` has it.

        Raises
        ------
        HistoryGone
            If the table no longer has all of them.
        DataError
            If a manifest is missing or damaged.
        """
        if since == pinned:
            return []
        chain = self.lineage(pinned)
        past = self.lineage(since)
        if pinned == NO_SNAPSHOT or any(one.snapshot_id == pinned for one in past):
            return []
        ids = [one.snapshot_id for one in chain]
        root = _parent(chain[-1]) if chain else None
        if since in (*ids, root):
            return self._along(chain[: [*ids, root].index(since)])
        if not past:
            raise _gone(since)
        return self._rolled_back(past, chain, since)

    def _rolled_back(self, past: list[Snapshot], chain: list[Snapshot], since: int) -> list[Commit]:
        ids = [one.snapshot_id for one in chain]
        common = next((one for one in past if one.snapshot_id in ids), None)
        if common is None and (past[-1].parent_snapshot_id or chain[-1].parent_snapshot_id):
            raise _gone(since)
        added, removed = self._difference(past[0], common)
        version = NO_SNAPSHOT if common is None else common.snapshot_id
        name = f"roll-back from {label(since)} to {label(version)}"
        first = Commit(version, name, "rollback", False, added, removed)
        return [first, *self._along(chain[: ids.index(version)] if common else chain)]

    def _along(self, chain: list[Snapshot]) -> list[Commit]:
        return [self._commit(one) for one in reversed(chain)]

    def _commit(self, snapshot: Snapshot) -> Commit:
        parent = _parent(snapshot)
        if parent == NO_SNAPSHOT or parent in self._snapshots:
            added, removed = self._difference(self._snapshots.get(parent), snapshot)
        else:
            added, removed = self._by_status(snapshot)
        operation = "unknown" if snapshot.summary is None else snapshot.summary.operation.value
        is_rewrite = operation == "replace" and _may_be_same_rows(added, removed)
        name = label(snapshot.snapshot_id)
        return Commit(snapshot.snapshot_id, name, operation, is_rewrite, added, removed)

    def _difference(self, before: Snapshot | None, after: Snapshot | None) -> Changes:
        """Compare the files of two snapshots; manifests that both have are not read."""
        old = [] if before is None else self._manifests.of(before)
        new = [] if after is None else self._manifests.of(after)
        shared = {one.path for one in old} & {one.path for one in new}
        gone, come = self._data_files(old, shared), self._data_files(new, shared)
        was, now = self._manifests.deletes(old), self._manifests.deletes(new)
        removed = {one for path, one in gone.items() if path not in come}
        added = {one for path, one in come.items() if path not in gone}
        touched = self._touched(old, new)
        if touched:
            kept = self._data_files(new, set())
            for path in touched & kept.keys() - {one.path for one in added}:
                if was.identity(kept[path]) != now.identity(kept[path]):
                    removed.add(kept[path])
                    added.add(kept[path])
        return self._listed(added, now), self._listed(removed, was)

    def _data_files(self, manifests: list[Manifest], shared: set[str]) -> dict[str, ContentFile]:
        own = [one for one in manifests if not one.content and one.path not in shared]
        return {one.path: one for one in self._manifests.files(own)}

    def _touched(self, old: list[Manifest], new: list[Manifest]) -> set[str]:
        """Return the data files that delete files name which only one of two snapshots has."""
        was = {one for one in self._manifests.files([one for one in old if one.content])}
        now = {one for one in self._manifests.files([one for one in new if one.content])}
        changed = self._manifests.deletes_by(was ^ now)
        touched = changed.targets()
        if changed.has_equality:
            # They name no file, so each one may be touched.
            touched |= self._data_files(new, set()).keys()
        return touched

    def _by_status(self, snapshot: Snapshot) -> Changes:
        """Return the changes that a snapshot itself tells of, because its parent has expired."""
        manifests = self._manifests.of(snapshot)
        own = [one for one in manifests if one.snapshot == snapshot.snapshot_id]
        data = [one for one in own if not one.content]
        found = [change for one in data for change in self._manifests.changes(one)]
        added = [one for status, one in found if status == ADDED]
        removed = [one for status, one in found if status != ADDED]
        has_deletes = any(one.content for one in manifests)
        if has_deletes and (removed or len(own) > len(data)):
            # Which rows the parent had deleted is not known.
            raise _gone(_parent(snapshot))
        deletes = self._manifests.deletes(manifests)
        return self._listed(added, deletes), self._listed(removed, deletes)

    def _listed(self, files: Iterable[ContentFile], deletes: Deletes) -> tuple[FileOfTable, ...]:
        found = [
            FileOfTable(self._places.key(one.path), deletes.identity(one), one.rows)
            for one in files
        ]
        return tuple(sorted(found, key=lambda one: one.key))


def _parent(snapshot: Snapshot) -> int:
    parent = snapshot.parent_snapshot_id
    return NO_SNAPSHOT if parent is None else parent


def _may_be_same_rows(added: tuple[FileOfTable, ...], removed: tuple[FileOfTable, ...]) -> bool:
    """Return whether numbers of rows do not contradict a snapshot that says it changes no row."""
    if any(one.deleted for one in (*added, *removed)):
        return True
    return sum(one.rows or 0 for one in added) == sum(one.rows or 0 for one in removed)


def _gone(snapshot_id: int) -> HistoryGone:
    return HistoryGone(
        f"the table no longer has {label(snapshot_id)}, up to which the model was trained, so "
        "that what has changed since is not known: its snapshots have expired\n"
        "Train a new model, and keep snapshots for longer than it takes until the next run."
    )
