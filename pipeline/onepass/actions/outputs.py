"""Write files to an output directory or prefix, each of which appears only when it is complete."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.actions.output_lock import locked
from onepass.cloud.bucket import Bucket, Replaced
from onepass.cloud.url import canonical, is_url, object_url, parse_url
from onepass.errors import OutputTaken, located
from onepass.lake.remote import RemoteFile

_STAGED = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
"""Names of unfinished files. The leading dot hides them from readers of the directory as a lake."""


class Stamp(NamedTuple):
    """Identity of a file's content, as a listing tells it without reading the file."""

    size: int
    """Length in bytes."""
    changed: str
    """Time of the last change in nanoseconds on a disk, the etag in an object store."""


@dataclass(slots=True)
class Staged:
    """A file that is being written."""

    path: Path
    """Local path to write to."""
    stamp: Stamp | None = None
    """Identity of the finished file, once it has its name."""


class Output(Protocol):
    """A directory or prefix that receives files."""

    @property
    def place(self) -> str:
        """Directory or URL."""
        ...

    def location(self, name: str) -> str:
        """Return the path of a file, or its URL in normal form."""
        ...

    def exclusive(self, noted: Callable[[str], None]) -> AbstractContextManager[bool]:
        """Wait for the lock of the output, if it has one; yield whether another run held it.

        Parameters
        ----------
        noted
            Receives a message for the user before a wait.
        """
        ...

    def listed(self) -> dict[str, Stamp]:
        """Return all finished files at any depth, by name."""
        ...

    def stamp(self, name: str) -> Stamp | None:
        """Return the identity of a file as it is now; None if it is absent."""
        ...

    def footer(self, name: str) -> pq.FileMetaData | None:
        """Return the footer of a file; None if it is absent or not Parquet."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a small file; None if it is absent."""
        ...

    def swap(self, name: str, data: bytes, expected: Stamp | None) -> Stamp:
        """Replace a small file if it is as expected (None: absent); return its new identity.

        Raises
        ------
        OutputTaken
            If another run has changed the file.
        """
        ...

    def replaced(self, name: str) -> AbstractContextManager[Staged]:
        """Yield a file to write to; when the block succeeds, it replaces `name`."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file; do nothing if it is absent."""
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
    return canonical(location) if is_url(location) else str(Path(location).resolve())


def taken(place: str) -> OutputTaken:
    """Return the error of a run that finds another run at work on its output."""
    return OutputTaken(
        f"another run has begun to score to {place!r} and goes on there\n"
        "Finished files are kept. On a local disk runs wait for each other; let runs that score to "
        "an object store follow each other."
    )


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
        return os.path.join(self._root, name)

    @contextmanager
    def exclusive(self, noted: Callable[[str], None]) -> Iterator[bool]:
        with locked(self._root, noted) as waited:
            self._remove_unfinished()
            yield waited

    def _remove_unfinished(self) -> None:
        """Remove what killed runs have left."""
        for folder, _, names in os.walk(self._root):
            for name in filter(_STAGED.fullmatch, names):
                Path(folder, name).unlink(missing_ok=True)

    def listed(self) -> dict[str, Stamp]:
        found = {}
        for folder, _, names in os.walk(self._root, followlinks=True):
            for name in names:
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    found[path.relative_to(self._root).as_posix()] = _local_stamp(path)
        return found

    def stamp(self, name: str) -> Stamp | None:
        with suppress(FileNotFoundError, NotADirectoryError):
            return _local_stamp(self._root / name)
        return None

    def footer(self, name: str) -> pq.FileMetaData | None:
        try:
            return pq.read_metadata(self._root / name)
        except (OSError, pa.ArrowException):
            return None

    def read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError, NotADirectoryError):
            return (self._root / name).read_bytes()
        return None

    def swap(self, name: str, data: bytes, expected: Stamp | None) -> Stamp:
        with self.replaced(name) as staged:
            staged.path.write_bytes(data)
            # The lock keeps other runs out, except on file systems that have no locks.
            if self.stamp(name) != expected:
                raise taken(self.place)
        assert staged.stamp is not None
        return staged.stamp

    @contextmanager
    def replaced(self, name: str) -> Iterator[Staged]:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = Staged(target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp"))
        try:
            with located(target):
                yield staged
            # After the replacement it could be the identity of another run's file.
            staged.stamp = _local_stamp(staged.path)
            os.replace(staged.path, target)
        finally:
            with suppress(FileNotFoundError):
                staged.path.unlink()

    def delete(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)


def _local_stamp(path: Path) -> Stamp:
    found = path.stat()
    return Stamp(found.st_size, str(found.st_mtime_ns))


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

    def _key(self, name: str) -> str:
        return object_url(self.location(name)).path

    def exclusive(self, noted: Callable[[str], None]) -> AbstractContextManager[bool]:
        return nullcontext(False)

    def listed(self) -> dict[str, Stamp]:
        prefix = f"{self._url.path}/" if self._url.path else ""
        found = self._bucket.list(self._url.path)
        return {
            one.key.removeprefix(prefix): Stamp(one.size, one.etag or "")
            for one in found
            if one.key.startswith(prefix)
        }

    def stamp(self, name: str) -> Stamp | None:
        with suppress(FileNotFoundError):
            found = self._bucket.head(self._key(name))
            return Stamp(found.size, found.etag or "")
        return None

    def footer(self, name: str) -> pq.FileMetaData | None:
        location = self.location(name)
        try:
            found = self._bucket.head(object_url(location).path)
            return pq.read_metadata(RemoteFile(location, found))
        except (OSError, pa.ArrowException):
            return None

    def read(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return self._bucket.get(self._key(name))
        return None

    def swap(self, name: str, data: bytes, expected: Stamp | None) -> Stamp:
        try:
            etag = self._bucket.swap(self._key(name), data, expected and expected.changed)
        except Replaced:
            raise taken(self.place) from None
        return Stamp(len(data), etag or "")

    @contextmanager
    def replaced(self, name: str) -> Iterator[Staged]:
        # The upload starts once the file on disk is complete; the object then appears at once.
        with tempfile.TemporaryDirectory(prefix="onepass-") as folder:
            staged = Staged(Path(folder) / "predictions")
            with located(staged.path):
                yield staged
            etag = self._bucket.put(self._key(name), staged.path)
            staged.stamp = Stamp(staged.path.stat().st_size, etag or "")

    def delete(self, name: str) -> None:
        self._bucket.delete(self._key(name))
