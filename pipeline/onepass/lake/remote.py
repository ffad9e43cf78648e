"""Objects of a lake in an object store: list them, look at one, read ranges of it.

Every range is asked for under the condition that the object still has the etag it was looked at
with, so a file that is replaced while it is read gives an error, never rows of both contents.
Ranges are read by obstore rather than pyarrow's own file systems, which know no such condition and
look for credentials by other rules; the cost is a copy of the bytes read.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from onepass.cloud.connect import connect
from onepass.cloud.faults import persevere
from onepass.cloud.url import Url, object_url

PIECE_BYTES = 8 << 20
"""Largest single request, so that a time-out per request suits reads of every size."""


class Replaced(OSError):
    """Raised when an object is another one than was looked at."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a store says of an object."""

    path: str
    """Key in its bucket."""
    size: int
    """In bytes."""
    etag: str | None


def objects(url: Url) -> list[Looked]:
    """All objects below a prefix, however deep.

    Raises
    ------
    JobError
        If the store cannot be used, or denies it.
    StoreUnavailable
        If it does not answer by the deadline.
    """
    bucket = connect(url)
    found = persevere(lambda: bucket.list(url.path or None).collect(), str(url))
    # A page that was asked for twice may come twice.
    return list({meta["path"]: _looked(meta) for meta in found}.values())


def look(location: str) -> Looked:
    """One object as it is now, by a URL that has been parsed or listed.

    Raises
    ------
    FileNotFoundError
        If there is none.
    JobError, StoreUnavailable
        As `objects`.
    """
    url = object_url(location)
    bucket = connect(url)
    return _looked(persevere(lambda: bucket.head(url.path), location))


def _looked(meta: dict[str, Any]) -> Looked:
    return Looked(meta["path"], meta["size"], meta["e_tag"])


class RemoteFile(io.RawIOBase):
    """An object as a file to read and seek in; each read is a request.

    Parameters
    ----------
    location
        URL that has been parsed or listed.
    size, etag
        What it was looked at with; another content is refused with `Replaced`.
    """

    def __init__(self, location: str, size: int, etag: str | None) -> None:
        self.size, self._etag = size, etag
        self._location, self._at = location, 0
        url = object_url(location)
        self._bucket: Any = connect(url)
        self._path = url.path

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position; no request is made."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes.

        Raises
        ------
        Replaced
            If the object has changed.
        FileNotFoundError, JobError, StoreUnavailable
            As `look`.
        """
        end = self.size if size < 0 else min(self.size, self._at + size)
        starts = range(self._at, end, PIECE_BYTES)
        found = [self._range(start, min(start + PIECE_BYTES, end)) for start in starts]
        self._at = max(self._at, end)
        return found[0] if len(found) == 1 else b"".join(found)

    def _range(self, start: int, end: int) -> bytes:
        from obstore.exceptions import PreconditionError

        options = {"range": (start, end), "if_match": self._etag}

        def get() -> bytes:
            try:
                data: bytes = self._bucket.get(self._path, options=options).bytes().to_bytes()
            except PreconditionError:
                raise Replaced("the object has changed since it was looked at") from None
            return data

        data = persevere(get, self._location)
        if len(data) != end - start:
            raise Replaced(f"expected {end - start} bytes at {start}, found {len(data)}")
        return data
