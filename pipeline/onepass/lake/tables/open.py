"""Open a lake: a table of some format as one version has it, or the Parquet files of a folder."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.lake.discover import LakeFile, discover
from onepass.lake.tables.table import Table, TableChoice


@dataclass(frozen=True, slots=True)
class OpenLake:
    """The files of a lake, and the table that they belong to."""

    files: list[LakeFile]
    """The files, sorted by key; none if the table has no rows."""
    table: Table | None
    """None for a lake of plain files."""


def open_lake(lake: str | list[str], choice: TableChoice | None = None) -> OpenLake:
    """Find the files of a lake."""
    return OpenLake(discover(lake), None)
