"""Digest a state while it is written, which takes a single pass over its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from onepass.ledger.store import Content


class Digested:
    """Content that records its size and digest while a store writes it.

    Parameters
    ----------
    content
        Bytes, or a function that writes them to a stream. A store may write them several times;
        size and digest are those of the last time.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self._digest = hashlib.sha256()
        self.size = 0
        """Number of bytes written."""

    @property
    def sha256(self) -> str:
        """Digest of the bytes written."""
        return self._digest.hexdigest()

    def write(self, stream: BinaryIO) -> None:
        """Write the content to a stream."""
        self._digest, self.size = hashlib.sha256(), 0
        tee = _Tee(self._take, stream)
        if callable(self._content):
            self._content(tee)  # type: ignore[arg-type]
        else:
            tee.write(self._content)

    def _take(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self.size += len(data)


class _Tee:
    def __init__(self, take: Callable[[bytes | memoryview], None], stream: BinaryIO) -> None:
        self._take, self._stream = take, stream

    def write(self, data: bytes | memoryview) -> int:
        self._take(data)
        return self._stream.write(data)
