"""Read a Delta table: the files of one version, its columns, and its commits.

The log is read here and not by a library. The libraries list the files, but do not tell where the
deletion vector of a file is, or hold the vectors of all files in memory at once; and they find
credentials by other rules than lakes without a table.

References
----------
Delta transaction log protocol (delta-io/delta, PROTOCOL.md).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from onepass.cloud.bucket import RemoteObject
from onepass.cloud.url import is_url
from onepass.lake.discover import LakeFile
from onepass.lake.remote import describe
from onepass.lake.tables.delta_actions import FileAction, actions, file_action
from onepass.lake.tables.delta_checkpoint import checkpoint_actions
from onepass.lake.tables.delta_history import commits_between
from onepass.lake.tables.delta_listing import listed_objects
from onepass.lake.tables.delta_log import DeltaLog, commit_name, damaged, read_log
from onepass.lake.tables.delta_paths import table_root
from onepass.lake.tables.delta_snapshot import Files, Snapshot, read_snapshot
from onepass.lake.tables.delta_times import version_at
from onepass.lake.tables.table import Commit, TableChoice
from onepass.lake.view import View

FORMAT = "delta"


@dataclass(slots=True)
class DeltaTable:
    """A Delta table, pinned to one version (`onepass.lake.tables.table.Table`)."""

    _log: DeltaLog
    _snapshot: Snapshot
    _known: Files = field(default_factory=dict)
    """Files that any version in the log has, once `file` has asked for one."""
    _views: dict[tuple[str | None, ...], View] = field(default_factory=dict)
    """Views without deleted rows, by the texts of the partition columns."""

    @property
    def format(self) -> str:
        """Kind of the table."""
        return FORMAT

    @property
    def id(self) -> str:
        """The table's own id."""
        return self._snapshot.id

    @property
    def version(self) -> int:
        """Pinned version."""
        return self._snapshot.version

    @property
    def label(self) -> str:
        """Name of the pinned version in messages."""
        return f"version {self.version}"

    def files(self) -> list[LakeFile]:
        """Return the files that count in the pinned version, sorted by key.

        Raises
        ------
        DataError
            If a partition value is not of the column's type.
        StoreRefused, StoreUnavailable
            If an object store does not list them.
        """
        found = self._snapshot.files
        described = listed_objects(
            {one.location: one.size or 0 for one in found if is_url(one.location)}
        )
        return [self._lake_file(one, described.get(one.location)) for one in found]

    def commits_since(self, version: int | None) -> list[Commit]:
        """Return the commits after a version, up to the pinned one, oldest first.

        A commit may add a file again that is there already, for example to add statistics.

        Raises
        ------
        HistoryGone
            If the log no longer has them, or the table never had the version.
        DataError
            If a commit is damaged.
        """
        return commits_between(self._log, version, self.version)

    def file(self, key: str, deleted: str | None) -> LakeFile | None:
        """Return a file that some version of the table had, to be read with the present columns.

        Returns
        -------
        None if the log does not name it, or if it or its deletion vector is no longer there.
        """
        if not self._known:
            self._known = _all_files(self._log)
        found = self._known.get((key, deleted))
        if found is None or not (found.vector is None or found.vector.is_there()):
            return None
        if not is_url(found.location):
            return self._lake_file(found, None) if os.path.isfile(found.location) else None
        try:
            return self._lake_file(found, describe(found.location))
        except FileNotFoundError:
            return None

    def _lake_file(self, one: FileAction, remote: RemoteObject | None) -> LakeFile:
        view = self._view(one)
        if one.vector is not None:
            view = replace(view, deleted=one.vector)
        return LakeFile(one.key, one.location, (), remote, view)

    def _view(self, one: FileAction) -> View:
        """Return the view of a file's rows before deletions, one for all files of a partition."""
        columns, texts = self._snapshot.columns, one.partition or {}
        values = tuple(map(texts.get, columns.partition))
        if values not in self._views:
            try:
                constants = columns.constants(texts)
            except ValueError as error:
                place = self._log.place(commit_name(self.version))
                reason = f"version {self.version} has {error}, of the file {one.key!r}"
                raise damaged(place, reason) from None
            self._views[values] = View(columns.fields, constants)
        return self._views[values]


def open_table(lake: str, choice: TableChoice) -> DeltaTable:
    """Open a Delta table at the version that a run reads.

    Parameters
    ----------
    lake
        Path or URL of the folder that holds `_delta_log`.

    Raises
    ------
    JobError
        If there is no log, or it does not have the version.
    DataError
        If the log is damaged, or the table has a feature that is not known.
    StoreRefused, StoreUnavailable
        If an object store does not give it.
    """
    log = read_log(table_root(lake))
    version = log.newest if choice.version is None else choice.version
    if choice.timestamp is not None:
        version = version_at(log, choice.timestamp)
    return DeltaTable(log, read_snapshot(log, version))


def _all_files(log: DeltaLog) -> Files:
    """Return all files that the log names, by key and deletion vector.

    A removal counts only if the log no longer has the commit that added the file.
    """
    added: Files = {}
    removed: Files = {}
    for version in sorted(log.checkpoints)[:1]:
        found = (one for one in checkpoint_actions(log, version) if one.kind == "add")
        added.update((one.identity, one) for one in (file_action(each, log.root) for each in found))
    for version in sorted(log.commits):
        for action in actions(log, commit_name(version)):
            if action.kind in ("add", "remove"):
                one = file_action(action, log.root)
                (added if action.kind == "add" else removed)[one.identity] = one
    return {**{at: one for at, one in removed.items() if one.partition is not None}, **added}
