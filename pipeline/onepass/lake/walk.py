"""Walk a local folder for the visible Parquet files below it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

from onepass.errors import JobError
from onepass.lake.tables.recognise import mark_of_folder, within

SUFFIXES = (".parquet", ".parq", ".pq")
"""Endings of the names of Parquet files."""


def walk(root: str, *, bare: bool) -> Iterator[str]:
    """Yield the visible Parquet files below a folder, through links, each folder once.

    Parameters
    ----------
    bare
        Whether to enter the folders of tables.

    Raises
    ------
    JobError
        If a folder cannot be read, or is a table, unless `bare`.
    """
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        # Visit each folder once: a link to a folder above it would make an endless walk.
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if not bare and (mark := mark_of_folder(folder, folders)) is not None:
            raise within(mark, root)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(names):
            if is_parquet(name):
                yield os.path.join(folder, name)


def fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Return whether a path fits a pattern, or lies below a folder that does."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return fits(parts, pattern[1:]) or (bool(parts) and fits(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and fits(parts[1:], pattern[1:])


def is_visible(parts: tuple[str, ...]) -> bool:
    """Return whether neither a file nor a folder above it is hidden, and the file is Parquet."""
    return is_parquet(parts[-1]) and not any(_hidden(folder) for folder in parts[:-1])


def is_parquet(name: str) -> bool:
    """Return whether a file has the name of a visible Parquet file."""
    return name.lower().endswith(SUFFIXES) and not name.startswith((".", "_"))


def _hidden(folder: str) -> bool:
    return folder.startswith(".") or (folder.startswith("_") and "=" not in folder)


def _unreadable(error: OSError) -> None:
    raise JobError(f"cannot look into the lake's folder {error.filename!r}: {error.strerror}")
