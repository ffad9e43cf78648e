"""Find the Parquet files of a lake and the key=value folders that contain them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import PurePosixPath
from typing import TypeAlias
from urllib.parse import unquote

from onepass.cloud.bucket import Bucket, RemoteObject
from onepass.cloud.url import Url, is_url, parse_url
from onepass.errors import EmptyLake, JobError
from onepass.lake.remote import describe
from onepass.lake.view import View

Lake: TypeAlias = "str | list[str] | list[LakeFile]"
"""A lake as `discover` takes it, or files of one that are listed already."""

SUFFIXES = (".parquet", ".parq", ".pq")
"""Endings of the names of Parquet files."""

NULL_KEY = "__HIVE_DEFAULT_PARTITION__"
"""Folder value by which Hive and Spark mark a null key."""


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One Parquet file of a lake."""

    key: str
    """Name of the file in the ledger: its path in the lake, or its absolute path in a list."""
    location: str
    """Absolute path or URL to open."""
    hive: tuple[tuple[str, str | None], ...]
    """Keys and values of the key=value folders, percent-decoded; None is the null partition."""
    remote: RemoteObject | None = None
    """Description of the object when the lake was listed; None on a local disk."""
    view: View | None = None
    """What the table of the file makes of it; None for a file of a plain lake."""


def files_of(lake: Lake) -> list[LakeFile]:
    """Return the files of a lake, which `discover` finds unless they are given."""
    files = [one for one in lake if isinstance(one, LakeFile)]
    return files or discover(
        [one for one in lake if isinstance(one, str)] if isinstance(lake, list) else lake
    )


def discover(lake: str | list[str]) -> list[LakeFile]:
    """Find all Parquet files of a lake, sorted by key.

    Parameters
    ----------
    lake
        A directory (searched recursively), a glob, one file, or a list of files; each may be in an
        object store. Names that begin with ``.`` or ``_`` are hidden, except folders of the form
        ``key=value``.

    Raises
    ------
    JobError
        If the lake, or a file of a list, does not exist, cannot be listed, or has a name that is
        not UTF-8.
    EmptyLake
        If it exists but holds no Parquet file.
    StoreRefused, StoreUnavailable
        If an object store denies access or does not answer.
    """
    if isinstance(lake, list):
        files = [_listed(path) for path in lake]
    elif is_url(lake):
        files = _remote(lake)
    elif os.path.isfile(lake):
        files = [_listed(lake, key=os.path.basename(lake))]
    elif os.path.isdir(lake):
        files = [_below(lake, path) for path in _walk(lake)]
    elif glob.has_magic(lake):
        files = _matching(lake)
    else:
        raise JobError(f"the lake {lake!r} does not exist; give a directory, glob or Parquet file")
    if not files:
        raise EmptyLake(
            f"no Parquet file in {lake!r}: expected names ending in {', '.join(SUFFIXES)} "
            "(names beginning with '.' or '_' are left out)"
        )
    _check_names(files)
    return [file for _, file in sorted({file.key: file for file in files}.items())]


def _check_names(files: list[LakeFile]) -> None:
    for file in files:
        # Python represents bytes that are not UTF-8 by surrogates, which a ledger cannot store.
        if any("\ud800" <= letter <= "\udfff" for letter in file.key):
            raise JobError(f"the file name {file.key!r} is not UTF-8; rename the file")


def _listed(path: str, key: str | None = None) -> LakeFile:
    if is_url(path):
        return _remote_listed(path)
    whole = os.path.abspath(path)
    if not os.path.isfile(whole):
        raise JobError(f"the lake names {path!r}, which is not a file")
    return LakeFile(key or whole, whole, _hive(PurePosixPath(whole).parts[:-1]))


def _below(root: str, path: str) -> LakeFile:
    relative = PurePosixPath(os.path.relpath(path, root))
    # A worker of a cluster has another working directory.
    whole = os.path.join(os.getcwd(), path)
    return LakeFile(relative.as_posix(), whole, _hive((*_keys_of(root), *relative.parts[:-1])))


def _remote(lake: str) -> list[LakeFile]:
    """Find files below a prefix or by a pattern; a URL that is no prefix names one object."""
    url = parse_url(lake)
    parts = PurePosixPath(url.path).parts
    n_fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    root = Url(url.scheme, url.bucket, "/".join(parts[:n_fixed]))
    listed = Bucket(root).list(root.path)
    found = [(one, PurePosixPath(one.key).parts[n_fixed:]) for one in listed]
    if not found and n_fixed == len(parts) and parts:
        return [_remote_listed(lake, key=parts[-1])]
    return [
        LakeFile(
            "/".join(names),
            f"{url.root}/{one.key}",
            _hive((*_ending_keys(parts[:n_fixed]), *names[:-1])),
            one,
        )
        for one, names in found
        if names and _fits(names, parts[n_fixed:]) and _is_visible(names)
    ]


def _remote_listed(path: str, key: str | None = None) -> LakeFile:
    url = parse_url(path)
    try:
        found = describe(str(url))
    except FileNotFoundError:
        raise JobError(
            f"the lake {str(url)!r} does not exist; give a prefix or an object"
        ) from None
    return LakeFile(key or str(url), str(url), _hive(tuple(url.path.split("/")[:-1])), found)


def _keys_of(root: str) -> tuple[str, ...]:
    return _ending_keys(PurePosixPath(os.path.abspath(root)).parts)


def _ending_keys(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return the key=value folders at the end of a lake's path.

    A lake may be one partition of a larger lake, and its files have the same keys either way.
    """
    upwards = reversed(folders)
    return tuple(takewhile(lambda folder: "=" in folder, upwards))[::-1]


def _matching(pattern: str) -> list[LakeFile]:
    parts = PurePosixPath(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = os.path.join("", *parts[:fixed]) or "."
    if "**" in parts:
        # `glob` follows circular links, and would return many names for the same file.
        found = [path for path in _walk(root) if _fits(_parts(path, root), parts[fixed:])]
    else:
        matches = glob.iglob(os.path.join(root, *parts[fixed:]))
        found = [name for path in matches for name in _files_at(path)]
    return [_below(root, path) for path in found if _is_visible_file(path, root)]


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Return whether a path fits a pattern, or lies below a folder that does."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return _fits(parts, pattern[1:]) or (bool(parts) and _fits(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _files_at(path: str) -> Iterator[str]:
    return _walk(path) if os.path.isdir(path) else iter([path])


def _is_visible_file(path: str, root: str) -> bool:
    return _is_visible(_parts(path, root))


def _is_visible(parts: tuple[str, ...]) -> bool:
    return _is_parquet(parts[-1]) and not any(_hidden(folder) for folder in parts[:-1])


def _parts(path: str, root: str) -> tuple[str, ...]:
    return PurePosixPath(os.path.relpath(path, root)).parts


def _walk(root: str) -> Iterator[str]:
    """Yield the visible Parquet files below a folder, through links, each folder once."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        # Visit each folder once: a link to a folder above it would make an endless walk.
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(names):
            if _is_parquet(name):
                yield os.path.join(folder, name)


def _unreadable(error: OSError) -> None:
    raise JobError(f"cannot look into the lake's folder {error.filename!r}: {error.strerror}")


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith((".", "_"))


def _hidden(folder: str) -> bool:
    return folder.startswith(".") or (folder.startswith("_") and "=" not in folder)


def _hive(folders: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder)
    return tuple(
        (unquote(key), None if value == NULL_KEY else unquote(value)) for key, value in pairs if key
    )
