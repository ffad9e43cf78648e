"""Up to which version of a table everything is trained, planned or left out.

A table replaces files by others that hold the same rows, so the names of what was trained do not
tell what is new. A plan therefore names the version of the table that it has settled, and which
files the table has written from which. It does not conclude from that which rows are settled: a
RESTORE or a rewind may undo the conclusion.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import FailFast, Field, SerializerFunctionWrapHandler, model_serializer

from onepass.ledger.trained import Value
from onepass.partition import Partition

FileName: TypeAlias = tuple[str, str | None]
"""Key of a file, and the identity of its deleted rows; None if the table has deleted none."""


def file_of(partition: Partition) -> FileName:
    """Return the name of the file of a partition."""
    return (partition.path, partition.fingerprint.deleted)


def version_label(format: str, version: int) -> str:
    """Return the name of a version of a table in messages."""
    return f"snapshot {version}" if format == "iceberg" else f"version {version}"


_FileNames: TypeAlias = Annotated[list[FileName], FailFast()]


class _Brief(Value):
    """A value that is written without its empty fields."""

    @model_serializer(mode="wrap")
    def _without_empty_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        return {name: value for name, value in fields.items() if value != [] and value is not False}


class Exchange(_Brief):
    """Files that a commit of a table has removed, and those that it has written from them."""

    removed: _FileNames = Field(default_factory=list)
    added: _FileNames = Field(default_factory=list)
    """Files that were in no version that the model has seen; of a return, all that it brought."""
    same_rows: bool = False
    """Whether these have the rows of the removed ones, all together, as after a compaction."""
    returned: bool = False
    """Whether they are of an older version that came back. They may have rows of any file that
    this or an earlier commit has removed, unless it came back with them."""


class TableMark(_Brief):
    """A version of a table that a plan has settled."""

    format: str = Field(max_length=20)
    """Kind of the table: delta or iceberg."""
    id: str = Field(max_length=200)
    """The table's own id."""
    version: int
    """Version of a Delta table, snapshot of an Iceberg table."""
    exchanges: list[Exchange] = Field(default_factory=list)
    """Files that each commit since the mark before has removed and written, oldest first. A plan
    finds by them whether rows are settled, whichever version comes back."""
    rewritten: _FileNames = Field(default_factory=list)
    """Files of which all rows are in the files that they were written from, settled or planned."""
    left_out: _FileNames = Field(default_factory=list)
    """Files of commits that changed trained rows, which are not trained."""
    no_longer_left_out: _FileNames = Field(default_factory=list)
    """Files that earlier plans left out, and that do not count as left out any more: they are to be
    trained, the table has removed their rows, or another file that is left out has these."""
    empty: _FileNames = Field(default_factory=list)
    """Files without a row to learn: none that the job selects, or the file is gone."""
    replaced: _FileNames = Field(default_factory=list)
    """In marks without exchanges: files that others had replaced before they were trained."""
    waiting: _FileNames = Field(default_factory=list)
    """Files that are not planned yet, because they are held out; oldest first."""
    past: _FileNames = Field(default_factory=list)
    """Those of them that the table no longer has, because it has merged them with settled ones."""

    def is_same_table(self, format: str, id: str) -> bool:
        """Return whether a table is the one of the mark."""
        return (self.format, self.id) == (format, id)
