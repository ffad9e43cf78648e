"""Read deletion vectors: the rows of a Parquet file that a Delta table has deleted.

References
----------
Delta transaction log protocol, "Deletion Vectors" and "Deletion Vector Format" (delta-io/delta).
ZeroMQ RFC 32, "Z85".
"""

from __future__ import annotations

import hashlib
import os
import zlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from onepass.block import IntArray
from onepass.cloud.bucket import Bucket, Replaced
from onepass.cloud.url import is_url, object_url
from onepass.errors import BadPartition
from onepass.lake.tables.delta_paths import TableRoot
from onepass.lake.tables.roaring import decoded_64, decoded_native

_LETTERS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_UUID_LETTERS = 20
"""Length of a UUID in Z85."""

_PORTABLE, _NATIVE = 1681511377, 1681511376
"""Magic numbers of the two formats of bitmaps."""

_MOST = 1 << 31
"""Sizes and offsets are 32-bit numbers with a sign."""


@dataclass(frozen=True, slots=True)
class DeletionVector:
    """Rows of one data file that are deleted, as the log describes them."""

    identity: str
    """Name of the vector: of its file and its place therein, or a digest of its content."""
    n_rows: int
    """Number of deleted rows."""
    key: str
    """Key of the data file, for messages."""
    location: str | None
    """Absolute path or URL of the file that holds the vector; None if the log holds it."""
    offset: int
    """Place of the vector in that file, in bytes."""
    size: int
    """Size of the vector in bytes, without its length and its checksum."""
    inline: bytes = b""
    """The vector, if the log holds it."""

    def positions(self) -> IntArray:
        """Read the numbers of the deleted rows within the file, ascending, from 0.

        Raises
        ------
        BadPartition
            If the vector is missing or damaged, or holds another number of rows.
        StoreRefused, StoreUnavailable
            If an object store does not give it.
        """
        try:
            data = self.inline if self.location is None else self._stored(self.location)
            return _decoded(data, self.n_rows)
        except (OSError, ValueError) as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else f"is damaged: {error}"
            raise BadPartition(
                f"the deletion vector {self.identity} of the file {what}",
                path=self.key,
                advice="Restore it from a copy of the table, or go on without the file: "
                "--on-bad skip.",
            ) from None

    def _stored(self, location: str) -> bytes:
        framed = _read(location, self.offset, self.size + 8)
        length, checksum = framed[:4], framed[-4:]
        if int.from_bytes(length, "big") != self.size:
            raise ValueError(f"expected {self.size:,} bytes, as the log says")
        if zlib.crc32(framed[4:-4]) != int.from_bytes(checksum, "big"):
            raise ValueError("its checksum is wrong")
        return framed[4:-4]

    def is_there(self) -> bool:
        """Return whether the file that holds the vector still exists."""
        if self.location is None:
            return True
        if not is_url(self.location):
            return os.path.isfile(self.location)
        url = object_url(self.location)
        try:
            Bucket(url).head(url.path)
        except FileNotFoundError:
            return False
        return True


def deletion_vector(descriptor: dict[str, Any], root: TableRoot, key: str) -> DeletionVector:
    """Return the deletion vector that an action of the log describes.

    Parameters
    ----------
    descriptor
        The field `deletionVector` of the action.
    root
        Folder of the table.
    key
        Key of the data file.

    Raises
    ------
    ValueError
        If the descriptor is not one of the protocol.
    """
    kind, text = descriptor.get("storageType"), descriptor.get("pathOrInlineDv")
    if not isinstance(text, str) or not text.isascii():
        raise ValueError("a deletion vector without pathOrInlineDv")
    size = _size(descriptor, "sizeInBytes", _MOST)
    n_rows = _size(descriptor, "cardinality", 1 << 40)
    # The first vector of a file stands behind the byte with the version of the format.
    offset = 1 if descriptor.get("offset") is None else _size(descriptor, "offset", _MOST)
    if kind == "i":
        data = unpacked(text)[:size]
        if len(data) != size:
            raise ValueError(f"a deletion vector of {size} bytes, but only {len(data)} are there")
        return DeletionVector(_digest(text), n_rows, key, None, 0, size, data)
    if kind == "u":
        prefix, name = text[:-_UUID_LETTERS], str(UUID(bytes=unpacked(text[-_UUID_LETTERS:])))
        if "/" in prefix or "\\" in prefix or prefix in {".", ".."}:
            raise ValueError("a deletion vector outside of the table")
        file = f"deletion_vector_{name}.bin"
        location = root.below(prefix, file) if prefix else root.below(file)
        return DeletionVector(f"{name}@{offset}", n_rows, key, location, offset, size)
    if kind == "p":
        _, location = root.find(text)
        identity = f"{_digest(text)}@{offset}"
        return DeletionVector(identity, n_rows, key, location, offset, size)
    raise ValueError("a deletion vector that is stored in an unknown way")


def unpacked(text: str) -> bytes:
    """Return the bytes that a text in Z85 stands for.

    Raises
    ------
    ValueError
        If it is not Z85.
    """
    letters = np.frombuffer(text.encode(), np.uint8)
    places = np.full(256, -1, np.int64)
    places[np.frombuffer(_LETTERS, np.uint8)] = np.arange(85)
    digits = places[letters]
    if len(digits) % 5 or (digits < 0).any():
        raise ValueError("a text that is not Z85")
    numbers = digits.reshape(-1, 5) @ (85 ** np.arange(4, -1, -1))
    if (numbers >= 1 << 32).any():
        raise ValueError("a text that is not Z85")
    return numbers.astype(">u4").tobytes()


def _size(descriptor: dict[str, Any], name: str, most: int) -> int:
    value = descriptor.get(name)
    if type(value) is not int or not 0 <= value < most:
        raise ValueError(f"a deletion vector whose {name} is no size")
    return value


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _decoded(data: bytes, n_rows: int) -> IntArray:
    magic = int.from_bytes(data[:4], "little")
    if magic == _PORTABLE:
        return decoded_64(data[4:], n_rows)
    if magic == _NATIVE:
        return decoded_native(data[4:], n_rows)
    if int.from_bytes(data[:4], "big") == _NATIVE:
        # The example of the protocol has this order.
        return decoded_native(data[4:], n_rows, ">")
    raise ValueError(f"expected a bitmap of Delta, found the magic number {magic}")


def _read(location: str, offset: int, size: int) -> bytes:
    if is_url(location):
        url = object_url(location)
        bucket = Bucket(url)
        if offset + size > bucket.head(url.path).size:
            raise ValueError(f"its file ends before byte {offset + size:,}")
        try:
            return bucket.get_range(url.path, offset, offset + size, None)
        except Replaced:
            raise ValueError("its file has been replaced") from None
    with open(location, "rb") as file:
        if os.fstat(file.fileno()).st_size < offset + size:
            raise ValueError(f"its file ends before byte {offset + size:,}")
        file.seek(offset)
        return file.read(size)
