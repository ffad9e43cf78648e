"""Which rows of each data file the delete files of an Iceberg snapshot delete.

A delete file applies to data files that are not younger. A deletion vector, or a position delete
file whose rows all name one data file, applies to that one. Other position delete files apply to
data files of their partition that they name. Where a data file has a vector, it replaces all
position delete files: https://iceberg.apache.org/spec/#scan-planning
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from onepass.errors import DataError
from onepass.lake.tables.iceberg_deleted_rows import (
    DeletedByPosition,
    DeletedByVector,
    DeleteFile,
    count_targets,
)
from onepass.lake.tables.iceberg_manifests import EQUALITY_DELETES, ContentFile
from onepass.lake.tables.iceberg_places import Places
from onepass.lake.view import DeletedRows

_COMPACT = (
    "Compact the table (in Spark: CALL system.rewrite_data_files with delete-file-threshold 1), "
    "then run again."
)

Partition = tuple[int, tuple[Any, ...]]
"""Partition spec, and the values of its fields."""

Targets = dict[str, dict[str, int]]
"""Number of rows that a delete file names, by its URI and the URI of the data file."""


class Deletes:
    """The delete files of one snapshot.

    Parameters
    ----------
    files
        Delete files that count in the snapshot.
    places
        Where the files lie.
    unpartitioned
        Partition specs without fields. Their equality deletes apply to all data files.
    targets
        What delete files name, as far as it has been read; it is added to.
    """

    def __init__(
        self,
        files: Iterable[ContentFile],
        places: Places,
        unpartitioned: set[int],
        targets: Targets,
    ) -> None:
        self._places, self._targets = places, targets
        self._vectors: dict[str, ContentFile] = {}
        self._of_file: dict[str, list[ContentFile]] = {}
        self._of_partition: dict[Partition, list[ContentFile]] = {}
        self._equality: dict[Partition | None, ContentFile] = {}
        self._is_empty = True
        for one in files:
            self._is_empty = False
            self._add(one, unpartitioned)

    def of(self, data: ContentFile) -> DeletedRows | None:
        """Return the rows that are deleted from a data file; None if there are none.

        Raises
        ------
        DataError
            If an equality delete file applies to the data file, or if a delete file cannot be read.
        """
        if self._is_empty:
            return None
        equality = self._equality_of(data)
        if equality is not None:
            raise DataError(
                f"the table deletes rows of {self._places.key(data.path)!r} by their values, in "
                f"the equality delete file {equality.path!r}, which onepass cannot apply\n"
                f"{_COMPACT}"
            )
        found = self._applying(data)
        if not found:
            return None
        identity, key = _identity(found), self._places.key(data.path)
        files = tuple(self._delete_file(one) for one in found)
        if files[0].offset is not None:
            return DeletedByVector(identity, key, files[0], data.rows)
        known = self._count(found[0], data) if len(found) == 1 else None
        return DeletedByPosition(identity, key, data.path, data.rows, files, known)

    def identity(self, data: ContentFile) -> str | None:
        """Return the identity of the deleted rows of a data file, equality deletes included."""
        if self._is_empty:
            return None
        found, equality = self._applying(data), self._equality_of(data)
        found += [] if equality is None else [equality]
        return _identity(found) if found else None

    @property
    def has_equality(self) -> bool:
        """Whether there are equality delete files."""
        return bool(self._equality)

    def targets(self) -> set[str]:
        """Return the URIs of the data files that the delete files name."""
        found = {*self._vectors, *self._of_file}
        for files in self._of_partition.values():
            for one in files:
                found |= self._named_by(one).keys()
        return found

    def _add(self, one: ContentFile, unpartitioned: set[int]) -> None:
        partition = (one.spec_id, one.partition)
        if one.content == EQUALITY_DELETES:
            place = None if one.spec_id in unpartitioned else partition
            known = self._equality.get(place)
            if known is None or known.sequence < one.sequence:
                self._equality[place] = one
        elif one.format == "PUFFIN":
            if one.target is None or one.offset is None or one.length is None:
                raise DataError(f"the manifest of the deletion vector {one.path!r} is damaged")
            self._vectors[one.target] = one
        elif one.format != "PARQUET":
            raise DataError(
                f"the table has the delete file {one.path!r} in {one.format}, which onepass cannot "
                "read; compact the table"
            )
        elif one.target is not None:
            self._of_file.setdefault(one.target, []).append(one)
        else:
            self._of_partition.setdefault(partition, []).append(one)

    def _equality_of(self, data: ContentFile) -> ContentFile | None:
        """Return the newest equality delete file that applies to a data file."""
        places = (None, (data.spec_id, data.partition))
        found = [self._equality[place] for place in places if place in self._equality]
        newest = max(found, key=lambda one: one.sequence, default=None)
        return newest if newest is not None and newest.sequence > data.sequence else None

    def _applying(self, data: ContentFile) -> list[ContentFile]:
        """Return the delete files with rows of a data file, sorted by name."""
        vector = self._vectors.get(data.path)
        if vector is not None and vector.sequence >= data.sequence:
            return [vector]
        found = [one for one in self._of_file.get(data.path, ()) if one.sequence >= data.sequence]
        for one in self._of_partition.get((data.spec_id, data.partition), ()):
            if one.sequence >= data.sequence and data.path in self._named_by(one):
                found.append(one)
        return sorted(found, key=lambda one: one.path)

    def _count(self, one: ContentFile, data: ContentFile) -> int:
        return self._named_by(one)[data.path] if one.target is None else one.rows

    def _named_by(self, one: ContentFile) -> dict[str, int]:
        if one.path not in self._targets:
            self._targets[one.path] = count_targets(self._delete_file(one))
        return self._targets[one.path]

    def _delete_file(self, one: ContentFile) -> DeleteFile:
        place = self._places.location(one.path)
        return DeleteFile(one.path, place, one.size, one.rows, one.offset, one.length)


def _identity(found: list[ContentFile]) -> str:
    """Name a set of delete files, which are never written anew under the same name."""
    names = [(one.path, one.offset) for one in found]
    return hashlib.sha256(repr(names).encode()).hexdigest()[:16]
