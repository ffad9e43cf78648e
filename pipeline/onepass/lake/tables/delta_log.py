"""List and read the log of a Delta table: its commits and its checkpoints.

The folder is listed, and ``_last_checkpoint`` is not read: it is only a hint, and may be wrong.
Compacted commits (``x.y.compacted.json``) are left out. They hold nothing that the plain commits do
not, and no longer tell which commit did what.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from onepass.cloud.bucket import Bucket
from onepass.cloud.url import parse_url
from onepass.errors import DataError, JobError
from onepass.lake.discover import LakeFile
from onepass.lake.remote import describe
from onepass.lake.tables.delta_paths import TableRoot

LOG = "_delta_log"
"""Folder of the log."""

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(
    r"(\d{20})\.checkpoint(?:\.(?P<part>\d{10})\.(?P<parts>\d{10})|\.[0-9A-Za-z-]+)?\.(?:parquet|json)"
)


@dataclass(frozen=True, slots=True)
class DeltaLog:
    """Names in the log of a table, as listed once."""

    root: TableRoot
    """Folder of the table."""
    commits: frozenset[int]
    """Versions whose commit is still there."""
    checkpoints: dict[int, list[str]] = field(default_factory=dict)
    """Names of the files of one whole checkpoint, by version."""

    @property
    def newest(self) -> int:
        """Newest version."""
        return max([*self.commits, *self.checkpoints])

    def base(self, version: int) -> int | None:
        """Return the version of the newest checkpoint that is not newer; None if there is none."""
        return max((one for one in self.checkpoints if one <= version), default=None)

    def first_of_commits(self, version: int) -> int:
        """Return the first of the commits that lead to a version without a gap."""
        first = version + 1
        while first - 1 in self.commits:
            first -= 1
        return first

    def oldest(self) -> int | None:
        """Return the oldest version that can be read; None if there is none."""
        return 0 if 0 in self.commits else min(self.checkpoints, default=None)

    def place(self, name: str) -> str:
        """Return the path or URL of a file of the log."""
        return self.root.below(LOG, name)

    def lines(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Yield the lines of a file of the log that are not blank, with their numbers from 1.

        Raises
        ------
        DataError
            If it is missing or cannot be read.
        StoreRefused, StoreUnavailable
            If an object store does not give it.
        """
        try:
            with self._opened(name) as file:
                for number, line in enumerate(file, 1):
                    if not line.isspace():
                        yield number, line
        except OSError as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise damaged(self.place(name), f"the file {reason}") from None

    def _opened(self, name: str) -> BinaryIO:
        if not self.root.is_remote:
            return open(self.place(name), "rb")
        url = parse_url(self.root.location)
        return io.BytesIO(Bucket(url).get(_key(url.path, f"{LOG}/{name}")))

    def as_file(self, name: str) -> LakeFile:
        """Return a Parquet file of the log as a reader of the lake takes it.

        Raises
        ------
        DataError
            If it is missing.
        """
        place = self.place(name)
        try:
            remote = describe(place) if self.root.is_remote else None
        except FileNotFoundError:
            raise damaged(place, "the file is missing") from None
        return LakeFile(place, place, (), remote)

    def changed_ms(self, version: int) -> int | None:
        """Return when the file of a commit was written, in ms since 1970; None in a bucket."""
        if self.root.is_remote:
            return None
        return os.stat(self.place(commit_name(version))).st_mtime_ns // 1_000_000


def read_log(root: TableRoot) -> DeltaLog:
    """List the log of a table.

    Raises
    ------
    JobError
        If the log is not there, or cannot be listed.
    DataError
        If it holds neither a commit nor a checkpoint.
    StoreRefused, StoreUnavailable
        If an object store does not list it.
    """
    commits: set[int] = set()
    found: dict[int, list[re.Match[str]]] = {}
    for name in _names(root):
        if one := _COMMIT.fullmatch(name):
            commits.add(int(one[1]))
        elif one := _CHECKPOINT.fullmatch(name):
            found.setdefault(int(one[1]), []).append(one)
    whole = {version: _whole(names) for version, names in found.items()}
    checkpoints = {version: names for version, names in whole.items() if names}
    log = DeltaLog(root, frozenset(commits), checkpoints)
    if not log.commits and not log.checkpoints:
        raise damaged(root.below(LOG), "the log of the table holds no commit and no checkpoint")
    return log


def commit_name(version: int) -> str:
    """Return the name of the commit that makes a version."""
    return f"{version:020}.json"


def damaged(place: str, reason: str) -> DataError:
    """Return the error for a log that is not as the protocol has it."""
    return DataError(
        f"{place}: {reason}\nRepair the Delta table, or read a version before the fault: "
        "--lake-version."
    )


def _whole(names: list[re.Match[str]]) -> list[str]:
    """Return the files of one checkpoint: one file, or all parts; no file if parts are missing."""
    single = sorted(one.string for one in names if one["part"] is None)
    if single:
        return single[:1]
    for n_parts in sorted({int(one["parts"]) for one in names}):
        parts = {int(one["part"]): one.string for one in names if int(one["parts"]) == n_parts}
        # The name may claim any number of parts.
        if len(parts) == n_parts and set(parts) == set(range(1, n_parts + 1)):
            return [parts[at] for at in sorted(parts)]
    return []


def _names(root: TableRoot) -> list[str]:
    if root.is_remote:
        url = parse_url(root.location)
        keys = Bucket(url).list_folder(_key(url.path, LOG))
        return [key.rpartition("/")[2] for key in keys]
    try:
        return os.listdir(root.below(LOG))
    except OSError as error:
        raise JobError(
            f"cannot list the log of the Delta table in {root.below(LOG)!r}: {error.strerror}"
        ) from None


def _key(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name
