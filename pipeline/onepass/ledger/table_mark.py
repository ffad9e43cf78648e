"""Up to which version of a table everything is trained, planned or left out.

A table replaces files by others that hold the same rows, so the names of what was trained do not
tell what is new. A plan therefore names the version of the table that it has settled, and the
files that hold rows which are settled under another name.
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


class TableMark(Value):
    """A version of a table that a plan has settled."""

    format: str = Field(max_length=20)
    """Kind of the table: delta or iceberg."""
    id: str = Field(max_length=200)
    """The table's own id."""
    version: int
    """Version of a Delta table, snapshot of an Iceberg table."""
    rewritten: _FileNames = Field(default_factory=list)
    """Files of which all rows are settled by the files that they were written from."""
    left_out: _FileNames = Field(default_factory=list)
    """Files of commits that changed trained rows, which are not trained."""
    replaced: _FileNames = Field(default_factory=list)
    """Files that others had replaced before they were trained. Were they to come back, most of
    their rows would be trained already."""
    waiting: _FileNames = Field(default_factory=list)
    """Files that are not planned yet, because they are held out; oldest first."""
    past: _FileNames = Field(default_factory=list)
    """Those of them that the table no longer has, because it has merged them with settled ones."""

    def is_same_table(self, format: str, id: str) -> bool:
        """Return whether a table is the one of the mark."""
        return (self.format, self.id) == (format, id)

    @model_serializer(mode="wrap")
    def _without_empty_lists(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        return {name: value for name, value in fields.items() if value != []}
