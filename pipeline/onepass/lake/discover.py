"""Find the Parquet files of a lake and the key=value folders that contain them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import TypeAlias
from urllib.parse import unquote

from onepass.cloud.bucket import Bucket, RemoteObject
from onepass.cloud.url import Url, is_url, parse_url
from onepass.errors import EmptyLake, JobError
from onepass.lake.remote import describe
from onepass.lake.tables.recognise import (
    Mark,
    inside,
    mark_above,
    mark_at,
    mark_of_keys,
    mark_of_names,
    table_above,
    within,
)
from onepass.lake.view import View
from onepass.lake.walk import SUFFIXES, fits, is_visible, walk

Lake: TypeAlias = "str | list[str] | list[LakeFile]"
"""A lake as `discover` takes it, or files of one that are listed already."""

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
    """Columns and deleted rows by the table of the file; None for a file of a plain lake."""


def discover(lake: str | list[str]) -> list[LakeFile]:
    """Find all Parquet files of a lake, sorted by key; a table is a folder like any other.

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
    return _sorted(_files(lake, bare=True), lake)


def discover_or_mark(lake: str | list[str]) -> list[LakeFile] | Mark:
    """Find all Parquet files of a lake as `discover` does, unless it is the folder of a table.

    Returns
    -------
    The files, or the mark of the table.

    Raises
    ------
    JobError
        As `discover`; also if the lake is only a part of a table, or holds tables.
    EmptyLake, StoreRefused, StoreUnavailable
        As `discover`.
    """
    if isinstance(lake, str) and not is_url(lake):
        place = lake if not glob.has_magic(lake) or os.path.exists(lake) else _fixed(lake)
        mark = mark_at(lake)
        if mark is not None:
            return mark
        _refuse_parts(lake, [place])
    elif isinstance(lake, list):
        _refuse_parts(lake, [os.path.dirname(path) for path in lake if not is_url(path)])
    found = _files(lake, bare=False)
    return found if isinstance(found, Mark) else _sorted(found, lake)


def _files(lake: str | list[str], *, bare: bool) -> list[LakeFile] | Mark:
    if isinstance(lake, list):
        return [_listed(path) for path in lake]
    if is_url(lake):
        return _remote(lake, bare=bare)
    if os.path.isfile(lake):
        return [_listed(lake, key=os.path.basename(lake))]
    if os.path.isdir(lake):
        return _below(lake, walk(lake, bare=bare))
    if glob.has_magic(lake):
        return _matching(lake, bare=bare)
    raise JobError(f"the lake {lake!r} does not exist; give a directory, glob or Parquet file")


def _sorted(files: list[LakeFile] | Mark, lake: str | list[str]) -> list[LakeFile]:
    assert not isinstance(files, Mark)
    if not files:
        raise EmptyLake(
            f"no Parquet file in {lake!r}: expected names ending in {', '.join(SUFFIXES)} "
            "(names beginning with '.' or '_' are left out)"
        )
    _check_names(files)
    return [file for _, file in sorted({file.key: file for file in files}.items())]


def _refuse_parts(lake: str | list[str], places: Iterable[str]) -> None:
    """Raise JobError if a local folder or file lies in a table."""
    for place in dict.fromkeys(places):
        if (mark := mark_above(os.path.join(place, "x"))) is not None:
            raise inside(mark, lake)


def _fixed(pattern: str) -> str:
    """Return the folder of a local glob that every match lies in."""
    parts = PurePosixPath(pattern).parts
    return os.path.join("", *parts[: next(i for i, p in enumerate(parts) if glob.has_magic(p))])


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


def _below(root: str, paths: Iterable[str]) -> list[LakeFile]:
    """Return the files at paths below a folder; those of one folder share its keys and values."""
    # A worker of a cluster has another working directory.
    here, prefix, keys = os.getcwd(), os.path.join(root, ""), _keys_of(root)
    hive_of: dict[str, tuple[tuple[str, str | None], ...]] = {}
    files = []
    for path in paths:
        # `relpath` takes ten times as long, a second for 100,000 files.
        relative = path[len(prefix) :] if path.startswith(prefix) else os.path.relpath(path, root)
        folder = relative.rpartition("/")[0]
        if folder not in hive_of:
            hive_of[folder] = _hive((*keys, *PurePosixPath(folder).parts))
        files.append(LakeFile(relative, os.path.join(here, path), hive_of[folder]))
    return files


def _remote(lake: str, *, bare: bool) -> list[LakeFile] | Mark:
    """Find files below a prefix or by a pattern; a URL that is no prefix names one object."""
    url = parse_url(lake)
    parts = PurePosixPath(url.path).parts
    n_fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    root = Url(url.scheme, url.bucket, "/".join(parts[:n_fixed]))
    bucket = Bucket(root)
    listed = bucket.list(root.path)
    found = [(one, PurePosixPath(one.key).parts[n_fixed:]) for one in listed]
    if not bare:
        mark = mark_of_keys(names for _, names in found)
        if mark is not None and not mark.root and n_fixed == len(parts):
            return mark
        if mark is not None:
            raise within(mark, lake)
        _refuse_remote_part(bucket, parts[:n_fixed], lake)
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
        if names and fits(names, parts[n_fixed:]) and is_visible(names)
    ]


def _refuse_remote_part(bucket: Bucket, parts: tuple[str, ...], lake: str) -> None:
    """Raise JobError if a prefix lies in a table; a prefix that does not look so costs nothing."""
    above = table_above(parts)
    if above != parts and (mark := mark_of_names(bucket.list_folder("/".join(above)))) is not None:
        raise inside(mark, lake)


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


def _matching(pattern: str, *, bare: bool) -> list[LakeFile]:
    parts = PurePosixPath(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = os.path.join("", *parts[:fixed]) or "."
    if "**" in parts:
        # `glob` follows circular links, and would return many names for the same file.
        found = [path for path in walk(root, bare=bare) if fits(_parts(path, root), parts[fixed:])]
    else:
        matches = glob.iglob(os.path.join(root, *parts[fixed:]))
        found = [name for path in matches for name in _files_at(path, bare=bare)]
    return _below(root, [path for path in found if is_visible(_parts(path, root))])


def _files_at(path: str, *, bare: bool) -> Iterable[str]:
    return walk(path, bare=bare) if os.path.isdir(path) else iter([path])


def _parts(path: str, root: str) -> tuple[str, ...]:
    return PurePosixPath(os.path.relpath(path, root)).parts


def _hive(folders: tuple[str, ...]) -> tuple[tuple[str, str | None], ...]:
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder)
    return tuple(
        (unquote(key), None if value == NULL_KEY else unquote(value)) for key, value in pairs if key
    )
