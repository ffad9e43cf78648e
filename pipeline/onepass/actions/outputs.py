"""Where predictions go: files that appear when they are complete, on disk or in an object store."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.cloud.connect import connect
from onepass.cloud.faults import persevere
from onepass.cloud.url import is_url, object_url, parse_url
from onepass.errors import located
from onepass.lake.remote import RemoteFile, look


class Output(Protocol):
    """A directory or prefix to write Parquet files in."""

    @property
    def place(self) -> str:
        """Directory or URL."""
        ...

    def location(self, name: str) -> str:
        """Path or URL of a file, such that no two spellings of it differ."""
        ...

    def schema(self, name: str) -> pa.Schema | None:
        """Schema of a file, with its metadata; None if it is not there or not Parquet."""
        ...

    def replaced(self, name: str) -> AbstractContextManager[Path]:
        """A path to write a file at, which takes its place when the block has ended well."""
        ...


def open_output(place: str | Path) -> Output:
    """The output at a directory or URL.

    Raises
    ------
    JobError
        If a URL cannot be used.
    """
    return _Remote(place) if is_url(place) else _Local(Path(place))


def resolved(location: str) -> str:
    """Path or URL of a place, such that no two spellings of it differ."""
    return str(parse_url(location)) if is_url(location) else str(Path(location).resolve())


class _Local:
    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def place(self) -> str:
        return str(self._root)

    def location(self, name: str) -> str:
        return resolved(str(self._root / name))

    def schema(self, name: str) -> pa.Schema | None:
        try:
            return pq.read_schema(self._root / name)
        except (OSError, pa.ArrowException):
            return None

    @contextmanager
    def replaced(self, name: str) -> Iterator[Path]:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # A leading dot hides the unfinished file from whoever reads the directory as a lake.
        staged = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            with located(target):
                yield staged
            os.replace(staged, target)
        finally:
            with suppress(FileNotFoundError):
                staged.unlink()


class _Remote:
    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._bucket = connect(self._url)

    @property
    def place(self) -> str:
        return str(self._url)

    def location(self, name: str) -> str:
        return f"{self._url}/{name}"

    def schema(self, name: str) -> pa.Schema | None:
        try:
            found = look(self.location(name))
            return pq.read_schema(RemoteFile(self.location(name), found.size, found.etag))
        except (OSError, pa.ArrowException):
            return None

    @contextmanager
    def replaced(self, name: str) -> Iterator[Path]:
        # An object is there as a whole or not at all, so it is written to disk and then uploaded.
        with tempfile.TemporaryDirectory(prefix="onepass-") as folder:
            staged = Path(folder) / "predictions"
            with located(staged):
                yield staged
            path = object_url(self.location(name)).path
            persevere(lambda: self._bucket.put(path, staged), self.location(name))
