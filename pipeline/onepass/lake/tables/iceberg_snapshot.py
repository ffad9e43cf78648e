"""The files of one snapshot of an Iceberg table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from onepass.lake.tables.iceberg_deletes import Deletes, Targets
from onepass.lake.tables.iceberg_manifests import (
    ADDED,
    REMOVED,
    ContentFile,
    Manifest,
    read_manifest,
    read_manifest_list,
)
from onepass.lake.tables.iceberg_places import Places, Read


class Manifests:
    """The manifests of a table, each read once.

    Parameters
    ----------
    metadata
        Metadata of the table.
    places
        Where its files lie.
    read
        Reads a file of metadata.
    """

    def __init__(self, metadata: TableMetadata, places: Places, read: Read) -> None:
        self._places, self._read = places, read
        self._unpartitioned = {spec.spec_id for spec in metadata.partition_specs if not spec.fields}
        self._live: dict[str, list[ContentFile]] = {}
        self._targets: Targets = {}

    def of(self, snapshot: Snapshot) -> list[Manifest]:
        """Return the manifests of a snapshot.

        Raises
        ------
        DataError
            If their list is missing or damaged.
        """
        return read_manifest_list(snapshot.manifest_list, self._read)

    def files(self, manifests: list[Manifest]) -> list[ContentFile]:
        """Return the files that count by some manifests.

        Raises
        ------
        DataError
            If a manifest is missing or damaged.
        """
        return [one for manifest in manifests for one in self._files_of(manifest)]

    def changes(self, manifest: Manifest) -> Iterator[tuple[int, ContentFile]]:
        """Yield the files that the snapshot of a manifest has added or removed by it."""
        for status, one in read_manifest(manifest, self._read):
            if status in (ADDED, REMOVED):
                yield status, one

    def deletes(self, manifests: list[Manifest]) -> Deletes:
        """Return what the delete manifests among some manifests delete."""
        return self.deletes_by(self.files([one for one in manifests if one.content]))

    def deletes_by(self, files: Iterable[ContentFile]) -> Deletes:
        """Return what some delete files delete."""
        return Deletes(files, self._places, self._unpartitioned, self._targets)

    def _files_of(self, manifest: Manifest) -> list[ContentFile]:
        if manifest.path not in self._live:
            found = read_manifest(manifest, self._read)
            self._live[manifest.path] = [one for status, one in found if status != REMOVED]
        return self._live[manifest.path]
