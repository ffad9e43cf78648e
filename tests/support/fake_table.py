"""A table in memory whose rows have ids, with the operations of Delta and Iceberg."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onepass.errors import HistoryGone
from onepass.lake.discover import LakeFile
from onepass.lake.tables.table import Commit, FileOfTable
from onepass.lake.view import TableField, View

FIELDS = (TableField("x", pa.float64(), "x"), TableField("y", pa.float64(), "y"))

Name = tuple[str, str | None]
Rows = dict[int, int]
"""Value of each row by its id; None stands for a row that is no longer there."""


@dataclass(frozen=True)
class Deleted:
    """Deleted rows of a file, by their places."""

    identity: str
    places: tuple[int, ...]

    @property
    def n_rows(self) -> int:
        return len(self.places)

    def positions(self) -> np.ndarray:
        return np.array(self.places, dtype=np.int64)


@dataclass
class FakeTable:
    """A table that grows by commits; `pinned` gives what onepass sees of it.

    Parameters
    ----------
    folder
        Place of the Parquet files.
    is_real
        Whether to write each file's own rows: its ids as x, its values as y. Otherwise all files of
        the same number of rows share one Parquet file.
    """

    folder: Path
    is_real: bool = False
    id: str = "table-1"
    commits: list[Commit] = field(default_factory=list)
    contents: dict[Name, Rows] = field(default_factory=dict)
    """Rows of every file that there ever was."""
    written: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Ids in each Parquet file, deleted ones included, in their order."""
    versions: list[list[Name]] = field(default_factory=list)
    """Files of each version."""
    stored: set[str] = field(default_factory=set)
    """Files that are not vacuumed."""
    oldest: int = 0
    """First version whose commit the log still has."""
    constants: dict[str, dict[str, object]] = field(default_factory=dict)
    _n_files: int = 0

    @property
    def active(self) -> list[Name]:
        return self.versions[-1] if self.versions else []

    def rows(self, version: int | None = None) -> Rows:
        """All rows of a version."""
        found: Rows = {}
        for name in self.versions[-1 if version is None else version] if self.versions else []:
            found |= self.contents[name]
        return found

    # -- operations ------------------------------------------------------------------------------

    def append(self, *files: Rows) -> None:
        self._commit("WRITE", [self._write(rows) for rows in files], [])

    def optimize(self, names: Iterable[Name], n_files: int = 1) -> None:
        """Write the rows of files into others, at most `n_files`, which have rows of any."""
        names = list(names)
        rows: Rows = {}
        for name in names:
            rows |= self.contents[name]
        parts = [dict(list(rows.items())[first::n_files]) for first in range(n_files)]
        added = [self._write(part) for part in parts if part]
        self._commit("OPTIMIZE", added, names, is_rewrite=True)

    def delete(self, ids: Iterable[int], *, vectors: bool = False) -> None:
        """Delete rows: files are written anew, or get a set of deleted rows."""
        self._exchange("DELETE", dict.fromkeys(ids), {}, vectors=vectors)

    def update(self, values: Rows, *, vectors: bool = False) -> None:
        self._exchange("UPDATE", dict.fromkeys(values), values, vectors=vectors)

    def merge(self, values: Rows, *, vectors: bool = False) -> None:
        """Update the rows that are there, and insert the others."""
        self._exchange("MERGE", dict.fromkeys(values), values, vectors=vectors)

    def overwrite(self, names: Iterable[Name], rows: Rows) -> None:
        self._commit("WRITE", [self._write(rows)] if rows else [], list(names))

    def restore(self, version: int) -> None:
        wanted = self.versions[version]
        added = [one for one in wanted if one not in self.active and one[0] in self.stored]
        removed = [one for one in self.active if one not in wanted]
        self._commit("RESTORE", added, removed)

    def vacuum(self) -> None:
        self.stored = {key for key, _ in self.active}

    def alter(self) -> None:
        """Commit metadata alone."""
        self._commit("ADD COLUMN", [], [])

    def forget(self, version: int) -> None:
        """Remove the commits before a version from the log."""
        self.oldest = version

    def pinned(self, version: int | None = None) -> Pinned:
        return Pinned(self, len(self.versions) - 1 if version is None else version)

    # -- files -----------------------------------------------------------------------------------

    def file(self, name: Name) -> LakeFile:
        key, identity = name
        ids = self.written[key]
        places = tuple(i for i, one in enumerate(ids) if one not in self.contents[name])
        deleted = None if identity is None else Deleted(identity, places)
        view = View(FIELDS, self.constants.get(key, {}), deleted)
        return LakeFile(key, str(self._place(key)), (), view=view)

    def _exchange(
        self, operation: str, changed: Iterable[int], values: Rows, *, vectors: bool
    ) -> None:
        ids = set(changed)
        touched = [name for name in self.active if ids & self.contents[name].keys()]
        left, added = dict(values), []
        for name in touched:
            rows = self.contents[name]
            kept = {i: value for i, value in rows.items() if i not in ids}
            if vectors:
                key = name[0]
                if kept:
                    fresh = (key, f"dv{len(self.versions)}")
                    self.contents[fresh] = kept
                    added.append(fresh)
                continue
            again = kept | {i: left.pop(i) for i in rows if i in left}
            if again:
                added.append(self._write(again))
        if left:
            added.append(self._write(left))
        self._commit(operation, added, touched)

    def _write(self, rows: Rows) -> Name:
        self._n_files += 1
        key = f"part-{self._n_files * 7919 % 10007:05d}.parquet"
        name = (key, None)
        self.contents[name], self.written[key] = dict(rows), tuple(rows)
        place = self._place(key)
        if not place.exists():
            table = {
                "x": pa.array(list(rows) if self.is_real else range(len(rows)), pa.float64()),
                "y": pa.array([float(value) for value in rows.values()], pa.float64()),
            }
            pq.write_table(pa.table(table), place)
        self.stored.add(key)
        return name

    def _place(self, key: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / (key if self.is_real else f"{len(self.written[key])}.parquet")

    def _commit(
        self,
        operation: str,
        added: list[Name],
        removed: list[Name],
        *,
        is_rewrite: bool = False,
    ) -> None:
        version = len(self.versions)
        self.commits.append(
            Commit(
                version,
                f"version {version}",
                operation,
                is_rewrite,
                tuple(map(self._named, added)),
                tuple(map(self._named, removed)),
            )
        )
        self.versions.append([*(one for one in self.active if one not in removed), *added])

    def _named(self, name: Name) -> FileOfTable:
        return FileOfTable(*name, rows=len(self.written[name[0]]))


@dataclass(frozen=True)
class Pinned:
    """One version of a fake table, as `onepass.lake.tables.table.Table` describes it."""

    of: FakeTable
    version: int

    @property
    def format(self) -> str:
        return "delta"

    @property
    def id(self) -> str:
        return self.of.id

    @property
    def label(self) -> str:
        return f"version {self.version}"

    def files(self) -> list[LakeFile]:
        return [self.of.file(name) for name in sorted(self.of.versions[self.version])]

    def commits_since(self, version: int | None) -> list[Commit]:
        first = 0 if version is None else version + 1
        if first < self.of.oldest:
            raise HistoryGone(f"the log of the table begins with version {self.of.oldest}")
        return self.of.commits[first : self.version + 1]

    def file(self, key: str, deleted: str | None) -> LakeFile | None:
        name = (key, deleted)
        if key not in self.of.stored or name not in self.of.contents:
            return None
        return self.of.file(name)


def opens(table: Callable[[], FakeTable]) -> Callable[..., object]:
    """A stand-in for `onepass.lake.tables.open.open_lake`."""
    from onepass.lake.tables.open import OpenLake

    def open_lake(lake: object, choice: object = None) -> OpenLake:
        pinned = table().pinned(getattr(choice, "version", None))
        return OpenLake(pinned.files(), pinned)

    return open_lake
