"""Write prediction files, each of which appears only when it is complete."""

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

from onepass.cloud.bucket import Bucket
from onepass.cloud.url import is_url, object_url, parse_url
from onepass.errors import located
from onepass.lake.remote import RemoteFile


class Output(Protocol):
    """A directory or prefix that receives Parquet files."""

    @property
    def place(self) -> str:
        """Directory or URL."""
        ...

    def location(self, name: str) -> str:
        """Return the path or URL of a file in normal form, for comparisons."""
        ...

    def schema(self, name: str) -> pa.Schema | None:
        """Return the schema of a file with its metadata; None if it is absent or not Parquet."""
        ...

    def replaced(self, name: str) -> AbstractContextManager[Path]:
        """Yield a local path to write to; when the block succeeds, that file replaces `name`."""
        ...


def open_output(place: str | Path) -> Output:
    """Open the output at a directory or URL.

    Raises
    ------
    JobError
        If a URL cannot be used.
    """
    return _Remote(place) if is_url(place) else _Local(Path(place))


def resolved(location: str) -> str:
    """Return a path or URL in normal form, so that equal places compare equal."""
    return str(parse_url(location)) if is_url(location) else str(Path(location).resolve())


class _Local:
    def __init__(self, root: Path) -> None:
        self._root = root

    def __reduce__(self) -> tuple[object, ...]:
        # A worker has another working directory.
        return (_Local, (self._root.absolute(),))

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
        # A leading dot hides the unfinished file from readers of the directory as a lake.
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
        self._bucket = Bucket(self._url)

    def __reduce__(self) -> tuple[object, ...]:
        # A worker connects by itself, with the credentials of its own environment.
        return (_Remote, (str(self._url),))

    @property
    def place(self) -> str:
        return str(self._url)

    def location(self, name: str) -> str:
        return f"{self._url}/{name}"

    def schema(self, name: str) -> pa.Schema | None:
        location = self.location(name)
        try:
            found = self._bucket.head(object_url(location).path)
            return pq.read_schema(RemoteFile(location, found))
        except (OSError, pa.ArrowException):
            return None

    @contextmanager
    def replaced(self, name: str) -> Iterator[Path]:
        # The upload starts once the file on disk is complete; the object then appears at once.
        with tempfile.TemporaryDirectory(prefix="onepass-") as folder:
            staged = Path(folder) / "predictions"
            with located(staged):
                yield staged
            self._bucket.put(object_url(self.location(name)).path, staged)
