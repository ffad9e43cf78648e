"""Recognise the folder of a table by what its format keeps beside the Parquet files.

Parquet files below such a folder are not the rows of the table: some have been replaced or belong
to failed writes, some rows are deleted, and some files are lists of deleted rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from onepass.errors import JobError

NAMES = {"delta": "Delta", "iceberg": "Iceberg", "hudi": "Hudi"}
"""Formats of tables, with the names in messages."""

_FOLDERS = {"_delta_log": "delta", ".hoodie": "hudi"}
"""Folders that only the root of a table has."""

_METADATA = ".metadata.json"


@dataclass(frozen=True, slots=True)
class Mark:
    """The folder of a table."""

    format: str
    """Key of `NAMES`."""
    root: str
    """Path or URL of the folder, or its place below the folder that was searched."""


def mark_of_folder(path: str, folders: Iterable[str]) -> Mark | None:
    """Return the mark of a local folder; None if it is not the root of a table.

    Parameters
    ----------
    folders
        Names of the folders in it.
    """
    names = set(folders)
    for folder, kind in _FOLDERS.items():
        if folder in names:
            return Mark(kind, path)
    if "metadata" in names and _has_metadata(os.path.join(path, "metadata")):
        return Mark("iceberg", path)
    return None


def mark_of_keys(keys: Iterable[tuple[str, ...]]) -> Mark | None:
    """Return the mark of the outermost table among the keys of a bucket, if there is one.

    Parameters
    ----------
    keys
        Parts of each key, below the prefix that was listed.
    """
    return min(_marks(keys), key=lambda one: one.root.count("/") + bool(one.root), default=None)


def _marks(keys: Iterable[tuple[str, ...]]) -> Iterator[Mark]:
    for parts in keys:
        for at, part in enumerate(parts[:-1]):
            if part in _FOLDERS:
                yield Mark(_FOLDERS[part], "/".join(parts[:at]))
            elif part == "metadata" and parts[-1].endswith(_METADATA) and at == len(parts) - 2:
                yield Mark("iceberg", "/".join(parts[:at]))


def mark_above(path: str) -> Mark | None:
    """Return the mark of the nearest folder above a local path that is a table."""
    for parent in PurePosixPath(os.path.abspath(path)).parents:
        found = mark_at(str(parent))
        if found is not None:
            return found
    return None


def mark_at(path: str) -> Mark | None:
    """Return the mark of a local folder; None if it is not the root of a table, or not there."""
    present = [name for name in (*_FOLDERS, "metadata") if os.path.isdir(os.path.join(path, name))]
    return mark_of_folder(path, present)


def mark_of_names(keys: Iterable[str]) -> Mark | None:
    """Return the mark of a prefix of a bucket, by the keys and folders directly below it."""
    names = {key.rsplit("/", 1)[-1]: key for key in keys}
    for name, kind in _FOLDERS.items():
        if name in names:
            return Mark(kind, names[name].rpartition("/")[0])
    return None


def inside(mark: Mark, lake: str | list[str]) -> JobError:
    """Return the error for a lake that is only a part of a table."""
    return JobError(
        f"{_shown(lake)} is a part of the {NAMES[mark.format]} table in {mark.root!r}, which may "
        "have replaced these files or deleted rows of them; give the table, and choose its rows "
        "with --where, or read the bare Parquet files with --as-files"
    )


def within(mark: Mark, lake: str | list[str]) -> JobError:
    """Return the error for a lake that holds a table and more than that."""
    return JobError(
        f"{_shown(lake)} holds the {NAMES[mark.format]} table {mark.root!r}; give one table, or "
        "read the bare Parquet files with --as-files"
    )


def _shown(lake: str | list[str]) -> str:
    return f"the lake {lake!r}" if isinstance(lake, str) else f"a list of {len(lake)} files"


def _has_metadata(folder: str) -> bool:
    try:
        with os.scandir(folder) as found:
            return any(one.name.endswith(_METADATA) for one in found)
    except OSError:
        return False


def table_above(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the folders of a key or pattern above which a table would have its root.

    Inside a table are its key=value folders, and the folder `data` of Iceberg.
    """
    kept = list(parts)
    while kept and "=" in kept[-1]:
        kept.pop()
    if kept and kept[-1] == "data":
        kept.pop()
    return tuple(kept)
