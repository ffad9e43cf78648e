"""Present an object of a lake as a file that pyarrow can read.

pyarrow's own file systems cannot read a range under the condition that the object is unchanged, and
they find credentials by other rules. So pyarrow reads through `RemoteFile`, at the cost of one copy
of the bytes read.
"""

from __future__ import annotations

import io

from onepass.cloud.bucket import Bucket, RemoteObject
from onepass.cloud.url import object_url


class RemoteFile(io.RawIOBase):
    """A seekable file over an object; each read is a request.

    Parameters
    ----------
    location
        URL of the object or of anything in its bucket.
    found
        Description of the object. If the object has other content now, reading raises `Replaced`.
    """

    def __init__(self, location: str, found: RemoteObject) -> None:
        self._bucket, self._found, self._at = Bucket(object_url(location)), found, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position without a request, and return it."""
        size = self._found.size
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Return the next `size` bytes, or all that are left.

        Raises
        ------
        Replaced
            If the object has changed.
        FileNotFoundError, StoreRefused, StoreUnavailable
            If `Bucket.get_range` raises it.
        """
        found = self._found
        end = found.size if size < 0 else min(found.size, self._at + size)
        data = self._bucket.get_range(found.key, self._at, end, found.etag)
        self._at = max(self._at, end)
        return data


def describe(location: str) -> RemoteObject:
    """Return the present description of the object at a URL that has been parsed or listed.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    JobError, StoreRefused, StoreUnavailable
        If `Bucket` raises it.
    """
    url = object_url(location)
    return Bucket(url).head(url.path)
