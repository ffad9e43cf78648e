"""Open a lake: a table of some format as one version has it, or the Parquet files of a folder.

The folder of a table is recognised, because its bare files are not the rows of the table. Whoever
means the bare files says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from onepass.errors import JobError
from onepass.lake.discover import Lake, LakeFile, discover, discover_or_mark
from onepass.lake.tables.recognise import NAMES, Mark
from onepass.lake.tables.table import Table, TableChoice

_READERS = {"delta": "onepass.lake.tables.delta", "iceberg": "onepass.lake.tables.iceberg"}
"""Modules that read the formats; each has a function `open_table(lake, choice)`. Iceberg needs the
packages of the extra with the name of the format."""


@dataclass(frozen=True, slots=True)
class OpenLake:
    """The files of a lake, and the table that they belong to."""

    files: list[LakeFile]
    """The files, sorted by key; none if the table has no rows."""
    table: Table | None
    """None for a lake of plain files."""


def files_of(lake: Lake, choice: TableChoice | None = None) -> list[LakeFile]:
    """Return the files of a lake, which `list_lake` finds unless they are given."""
    files = [one for one in lake if isinstance(one, LakeFile)]
    return files or list_lake(
        [one for one in lake if isinstance(one, str)] if isinstance(lake, list) else lake, choice
    )


def list_lake(lake: str | list[str], choice: TableChoice | None = None) -> list[LakeFile]:
    """Return the files of a lake, sorted by key; see `open_lake`."""
    return open_lake(lake, choice).files


def open_lake(lake: str | list[str], choice: TableChoice | None = None) -> OpenLake:
    """Find the files of a lake.

    Parameters
    ----------
    lake
        As `onepass.lake.discover.discover` takes it; or a table: its folder, the metadata file of
        an Iceberg table, or ``iceberg://CATALOG/NAMESPACE.TABLE``.
    choice
        Version of the table to read, or whether to read the bare files; the newest by default.

    Raises
    ------
    JobError
        If `discover` raises it, if the table cannot be opened as asked, if the lake is only a part
        of a table or holds tables, or if a version is asked for and the lake is no table.
    EmptyLake, StoreRefused, StoreUnavailable
        If `discover` raises it.
    """
    choice = choice or TableChoice()
    if isinstance(lake, str) and _names_iceberg(lake) and not choice.as_files:
        return _opened("iceberg", lake, choice)
    found = discover(lake) if choice.as_files else discover_or_mark(lake)
    if isinstance(found, Mark):
        return _opened(found.format, str(lake), choice)
    if choice.version is not None or choice.timestamp is not None:
        asked = "--lake-version" if choice.version is not None else "--lake-timestamp"
        raise JobError(f"{asked} asks for a version, but the lake {lake!r} is no table")
    return OpenLake(found, None)


def _names_iceberg(lake: str) -> bool:
    return lake.startswith("iceberg://") or lake.endswith(".metadata.json")


def _opened(kind: str, lake: str, choice: TableChoice) -> OpenLake:
    name = NAMES[kind]
    if kind not in _READERS:
        raise JobError(
            f"the lake {lake!r} is a table in {name} format, which onepass cannot read; read its "
            "bare Parquet files with --as-files if they are all that counts"
        )
    try:
        module = import_module(_READERS[kind])
    except ModuleNotFoundError as error:
        raise JobError(
            f"the lake {lake!r} is a table in {name} format, and {error.name!r} is not installed: "
            f"pip install 'onepass[{kind}]', or read its bare Parquet files with --as-files"
        ) from None
    table: Table = module.open_table(lake, choice)
    return OpenLake(table.files(), table)
