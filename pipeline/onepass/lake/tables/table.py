"""The interface of a table: its files as of one version, and the commits that led there.

A table (Delta, Iceberg) lists the Parquet files that count, and replaces files by others: when
small files are compacted, and when rows are deleted or updated. Its commits tell which. The
modules of the formats make these values; nothing here knows a format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from onepass.lake.discover import LakeFile


@dataclass(frozen=True, slots=True)
class TableChoice:
    """Which version of a table a run reads, or that it reads the bare files."""

    version: int | None = None
    """Version of a Delta table, or snapshot of an Iceberg table; None for the newest."""
    timestamp: str | None = None
    """Read the newest version that is not younger than this time, ISO 8601; None for the newest."""
    as_files: bool = False
    """Read all Parquet files in the folder, as if there were no table."""


@dataclass(frozen=True, slots=True)
class FileOfTable:
    """One file as a version of the table has it. Two are the same rows if key and deletions agree.

    A file with other deleted rows is another value: a commit removes the one and adds the other.
    """

    key: str
    """Name of the file in the ledger, which is `LakeFile.key`."""
    deleted: str | None = None
    """Identity of the deleted rows, which is `View.deleted.identity`; None if there are none."""
    rows: int | None = None
    """Number of rows in the file, deleted ones included; None if the table does not tell."""

    @property
    def identity(self) -> tuple[str, str | None]:
        """Key and deletions, by which two values name the same rows."""
        return (self.key, self.deleted)


@dataclass(frozen=True, slots=True)
class Commit:
    """One version of a Delta table, or one snapshot of an Iceberg table.

    A commit of the table's metadata alone (a new column, a property) adds and removes no file.
    """

    version: int
    """Version of the table after the commit, as `Table.version` has it."""
    label: str
    """Name in messages: ``version 7``, ``snapshot 5012345678901234567``."""
    operation: str
    """The operation by the table's own word: WRITE, OPTIMIZE, DELETE, append, replace, ..."""
    is_rewrite: bool
    """Whether the rows of the table are the same after the commit, as after a compaction."""
    added: tuple[FileOfTable, ...] = ()
    """Files that count from this commit on."""
    removed: tuple[FileOfTable, ...] = ()
    """Files that no longer count."""


class Table(Protocol):
    """A table, pinned to one version. It reads only metadata, never rows."""

    @property
    def format(self) -> str:
        """Kind of the table: delta or iceberg."""
        ...

    @property
    def id(self) -> str:
        """The table's own id, which another table at the same place does not have."""
        ...

    @property
    def version(self) -> int:
        """Pinned version (Delta), or id of the pinned snapshot (Iceberg)."""
        ...

    @property
    def label(self) -> str:
        """Name of the pinned version in messages, as `Commit.label` has it."""
        ...

    def files(self) -> list[LakeFile]:
        """Return the files that count in the pinned version, sorted by key.

        The key is the file's path as the table has it, decoded, relative to the table if it lies
        below it. The view of the same key and deletions has the same `FileOfTable.identity`.
        """
        ...

    def commits_since(self, version: int | None) -> list[Commit]:
        """Return the commits after a version, up to the pinned one, oldest first.

        Parameters
        ----------
        version
            A version that was pinned before; None for all commits since the table was empty.

        Returns
        -------
        The commits; none if the pinned version is `version` or came before it. If the table was
        rolled back, so that `version` did not lead to the pinned one, the first commit is the
        roll-back to the version that both have in common. It removes and adds the files in
        which they differ.

        Raises
        ------
        HistoryGone
            If the table no longer has all these commits, or never had `version`.
        """
        ...

    def file(self, key: str, deleted: str | None) -> LakeFile | None:
        """Return a file that some version of the table had, to be read with the present columns.

        Parameters
        ----------
        key, deleted
            The file, as `FileOfTable` names it.

        Returns
        -------
        The file with its view; None if it is no longer in the store, or if its deleted rows are
        no longer known.
        """
        ...
