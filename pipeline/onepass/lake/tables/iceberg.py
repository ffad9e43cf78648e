"""Iceberg tables: the files of one snapshot, and the commits that led there.

pyiceberg finds and decodes the metadata. Its scans hold whole files in memory, so data files and
delete files are read by onepass.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pyiceberg.schema import Schema

from onepass.cloud.bucket import Bucket, RemoteObject
from onepass.cloud.url import is_url, object_url
from onepass.errors import DataError, JobError
from onepass.lake.discover import LakeFile
from onepass.lake.remote import describe
from onepass.lake.tables.iceberg_deletes import Deletes
from onepass.lake.tables.iceberg_history import NO_SNAPSHOT, History, label
from onepass.lake.tables.iceberg_manifests import ContentFile
from onepass.lake.tables.iceberg_places import exists
from onepass.lake.tables.iceberg_snapshot import Manifests
from onepass.lake.tables.iceberg_source import Source, find_table
from onepass.lake.tables.iceberg_types import identity_constants, table_fields
from onepass.lake.tables.table import Commit, TableChoice
from onepass.lake.view import View

_FEW_OBJECTS = 32
"""Objects up to this number are described one by one; more of them by listing their folder."""


def open_table(lake: str, choice: TableChoice) -> IcebergTable:
    """Open a table and pin one snapshot.

    Parameters
    ----------
    lake
        As `find_table` takes it.
    choice
        Snapshot or time; the newest snapshot by default.

    Raises
    ------
    JobError
        If the table cannot be found, or has no such snapshot.
    DataError
        If its metadata is damaged.
    StoreRefused, StoreUnavailable
        If an object store does not give the metadata.
    """
    source = find_table(lake)
    metadata = source.metadata
    current = metadata.current_snapshot_id
    newest = NO_SNAPSHOT if current is None else current
    if choice.version is None and choice.timestamp is None:
        return IcebergTable(source, newest, metadata.schema())
    asked = choice.version if choice.version is not None else _at_time(source, choice.timestamp)
    if asked == newest:
        return IcebergTable(source, newest, metadata.schema())
    found = metadata.snapshot_by_id(asked)
    if found is None:
        raise JobError(
            f"--lake-version {asked}: {source.name!r} does not have this snapshot, or no longer; "
            f"its newest is {label(newest)}"
        )
    # The columns of that time, as other readers of Iceberg have it.
    schema = metadata.schema() if found.schema_id is None else _schema(source, found.schema_id)
    return IcebergTable(source, asked, schema)


class IcebergTable:
    """A table at one snapshot. It is an `onepass.lake.tables.table.Table`.

    Parameters
    ----------
    source
        The table as it was found.
    version
        Id of the pinned snapshot; `NO_SNAPSHOT` for a table without one.
    schema
        Columns by which its files are read.
    """

    format = "iceberg"

    def __init__(self, source: Source, version: int, schema: Schema) -> None:
        self.version = version
        self._metadata, self._places, self._schema = source.metadata, source.places, schema
        self._specs = source.metadata.specs()
        self._manifests = Manifests(source.metadata, source.places, source.read)
        self._history = History(source.metadata, self._manifests, source.places)
        try:
            mapping = source.metadata.name_mapping()
        except ValueError:
            raise DataError(
                f"the property schema.name-mapping.default of {source.name!r} is damaged"
            ) from None
        self._fields = table_fields(schema, mapping)
        self._views: dict[tuple[int, tuple[Any, ...]], View] = {}
        self._former: dict[str, ContentFile] | None = None

    @property
    def id(self) -> str:
        """The table's own id, a UUID."""
        return str(self._metadata.table_uuid)

    @property
    def label(self) -> str:
        """Name of the pinned snapshot in messages."""
        return label(self.version)

    def files(self) -> list[LakeFile]:
        """Return the files that count in the pinned snapshot, sorted by key.

        Raises
        ------
        DataError
            If a manifest is missing or damaged, if a file is not Parquet, or if rows are deleted
            in a way that onepass cannot apply.
        """
        snapshot = self._metadata.snapshot_by_id(self.version)
        if snapshot is None:
            return []
        manifests = self._manifests.of(snapshot)
        found = self._manifests.files([one for one in manifests if not one.content])
        deletes = self._manifests.deletes(manifests)
        named = [self._places.of(one.path) for one in found]
        objects = _described([location for _, location in named])
        files = {
            key: self._file(one, key, location, deletes, objects)
            for one, (key, location) in zip(found, named, strict=True)
        }
        if len(files) != len(found):
            raise DataError(
                f"{self.label} of the table lists {len(found) - len(files)} files more than once"
            )
        return [file for _, file in sorted(files.items())]

    def commits_since(self, version: int | None) -> list[Commit]:
        """Return the commits after a snapshot up to the pinned one, oldest first.

        Raises
        ------
        HistoryGone
            If the table no longer has all of them.
        DataError
            If a manifest is missing or damaged.
        """
        since = NO_SNAPSHOT if version is None else version
        return self._history.commits(since, self.version)

    def file(self, key: str, deleted: str | None) -> LakeFile | None:
        """Return a file that some snapshot had, to be read with the present columns."""
        if self._former is None:
            self._former = self._ever()
        found = self._former.get(key)
        location = "" if found is None else self._places.location(found.path)
        if found is None or not exists(location):
            return None
        none = self._manifests.deletes([])
        deletes = none if deleted is None else self._deletes_with(found, deleted)
        return None if deletes is None else self._file(found, key, location, deletes, {})

    def _ever(self) -> dict[str, ContentFile]:
        """Return the files of all snapshots whose manifests are still there, by key."""
        found: dict[str, ContentFile] = {}
        for snapshot in self._metadata.snapshots:
            try:
                manifests = [one for one in self._manifests.of(snapshot) if not one.content]
                files = self._manifests.files(manifests)
            except DataError:
                continue
            found |= {self._places.key(one.path): one for one in files}
        return found

    def _deletes_with(self, file: ContentFile, deleted: str) -> Deletes | None:
        """Return the delete files of a snapshot in which a file had these deleted rows."""
        for snapshot in reversed(self._metadata.snapshots):
            try:
                deletes = self._manifests.deletes(self._manifests.of(snapshot))
                if deletes.identity(file) == deleted and not deletes.has_equality:
                    return deletes
            except DataError:
                continue
        return None

    def _file(
        self,
        found: ContentFile,
        key: str,
        location: str,
        deletes: Deletes,
        objects: dict[str, RemoteObject],
    ) -> LakeFile:
        if found.format != "PARQUET":
            raise DataError(
                f"the table's file {key!r} is in {found.format}; onepass reads Parquet only"
            )
        remote = None
        if is_url(location):
            # Without an etag the file is still the same: a table never replaces one.
            unlisted = RemoteObject(object_url(location).path, found.size, None)
            remote = objects.get(location, unlisted)
        deleted, view = deletes.of(found), self._view_of(found)
        view = view if deleted is None else replace(view, deleted=deleted)
        return LakeFile(key, location, (), remote, view)

    def _view_of(self, found: ContentFile) -> View:
        """Return the view of the files of one partition, which they share."""
        place = (found.spec_id, found.partition)
        if place not in self._views:
            spec = self._specs.get(found.spec_id)
            if spec is None:
                raise DataError(
                    f"the table has no partition spec {found.spec_id}, which {found.path!r} has"
                )
            try:
                constants = identity_constants(spec, self._schema, found.partition)
            except (ValueError, OverflowError, TypeError):
                raise DataError(
                    f"the partition values of {found.path!r} are damaged: {found.partition}"
                ) from None
            self._views[place] = View(self._fields, constants)
        return self._views[place]


def _schema(source: Source, schema_id: int) -> Schema:
    found = source.metadata.schema_by_id(schema_id)
    if found is None:
        raise DataError(f"{source.name!r} has no schema {schema_id}, which its snapshot names")
    return found


def _at_time(source: Source, text: str | None) -> int:
    """Return the snapshot that was the table's at a time."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        raise JobError(
            f"--lake-timestamp expects a time such as 2026-01-31T12:00:00Z, found {text!r}"
        ) from None
    milliseconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000
    log = sorted(source.metadata.snapshot_log, key=lambda one: one.timestamp_ms)
    known = [one.snapshot_id for one in log if one.timestamp_ms <= milliseconds]
    if not known:
        raise JobError(
            f"--lake-timestamp {text}: {source.name!r} had no snapshot at that time, or has it no "
            "longer"
        )
    return known[-1]


def _described(locations: list[str]) -> dict[str, RemoteObject]:
    """Return what an object store tells of files, by URL; nothing of local or missing ones."""
    remote = [one for one in locations if is_url(one)]
    found: dict[str, RemoteObject] = {}
    if len(remote) <= _FEW_OBJECTS:
        for one in remote:
            try:
                found[one] = describe(one)
            except FileNotFoundError:
                continue
        return found
    for root in {object_url(one).root for one in remote}:
        url = object_url(root + "/")
        keys = [object_url(one).path for one in remote if one.startswith(f"{root}/")]
        folder = os.path.commonpath([posixpath.dirname(key) for key in keys])
        found |= {f"{root}/{one.key}": one for one in Bucket(url).list(folder)}
    return found
