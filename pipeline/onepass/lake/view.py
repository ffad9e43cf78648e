"""The rows and columns that a table has of one of its Parquet files.

A table (Delta, Iceberg) may call a column otherwise than the file does, and read it as a wider
type. Older files may lack a column, the table's own metadata may hold one value for all rows of a
file, and rows of a file may have been deleted. A file of a plain lake has no view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from onepass.block import IntArray

STORED_NAME = b"onepass.stored"
"""Key in the metadata of a struct's field: its name in the files, if that is not its own."""

FIELD_ID = b"PARQUET:field_id"
"""Key in the metadata of a field: its Parquet field id, as pyarrow writes and reads it."""

NAMES = b"onepass.names"
"""Key in the metadata of a struct's field: JSON of `TableField.names`."""


class DeletedRows(Protocol):
    """Rows of one file that its table has deleted. Instances are pickled to workers."""

    @property
    def identity(self) -> str:
        """Name of this set of rows; another set of the same file has another name."""
        ...

    @property
    def n_rows(self) -> int:
        """Number of deleted rows, known without reading them."""
        ...

    def positions(self) -> IntArray:
        """Read the numbers of the deleted rows within the file, ascending, from 0.

        Raises
        ------
        BadPartition
            If they cannot be read.
        StoreRefused, StoreUnavailable
            If an object store does not give them.
        """
        ...


@dataclass(frozen=True, slots=True)
class TableField:
    """One column of a table."""

    name: str
    """Name in the table, by which a job names it."""
    type: pa.DataType
    """Type in the table; a file may have a narrower one. The fields of a struct are found in the
    file by `STORED_NAME` or `FIELD_ID` in their metadata, else by their names."""
    stored: str | None = None
    """Name in the files; None if the column is found by `id`."""
    id: int | None = None
    """Parquet field id in the files; None if the column is found by `stored`."""
    names: tuple[str, ...] = ()
    """Names in files that have no field ids at all, if the column is found by `id`."""
    default: Any = None
    """Value in files that lack the column; None for null."""


@dataclass(frozen=True, slots=True)
class View:
    """The columns and rows that a table has of one of its files."""

    fields: tuple[TableField, ...]
    """Columns of the table, in its order; the files of a version share one tuple."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """Python values of the columns that are the same in all rows of the file, by the name in the
    table; None for null. They are not read from the file, unless it has the field id of one."""
    deleted: DeletedRows | None = None
    """Rows that the table has deleted."""
