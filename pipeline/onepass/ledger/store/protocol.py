"""What a ledger asks of the place where a model lives: bytes under names, durably.

One of these names is given away only once, which is all that keeps two writers apart.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol, TypeAlias

Content: TypeAlias = "bytes | Callable[[BinaryIO], None]"
"""Bytes, or what writes them; the same each time it is called."""


class Store(Protocol):
    """Bytes by key; keys are relative paths with forward slashes."""

    @property
    def place(self) -> str:
        """Directory or URL, as a job names it."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists; False if it does. Durable on return.

        `data` must be the writer's own, by a random id in it: where an answer is lost, a remote
        store tells by reading whose bytes are there.
        """
        ...

    def put(self, key: str, data: Content) -> None:
        """Store `data`, replacing what was there as a whole. Durable on return."""
        ...

    def get(self, key: str, *, most_bytes: int | None = None) -> bytes:
        """The bytes of a key.

        Raises
        ------
        FileNotFoundError
            If there is no such key.
        ForeignModel
            If there are more than `most_bytes`, or they are no plain file of this store.
        """
        ...

    def check_folders(self, *names: str) -> None:
        """Refuse a place in which something else stands where folders should be.

        Raises
        ------
        ForeignModel
            If there is a link, a file or a pipe by one of the names.
        """
        ...

    def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Sorted keys directly below a folder, each once, unfinished writes left out."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key; nothing happens if it does not exist."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other writers from starting work in vain, where the store can; no fence.

        Raises
        ------
        ModelConflict
            If another process is known to be at it.
        ForeignModel
            If something else stands where the lock should be.
        """
        ...

    def check_lock(self) -> None:
        """Refuse a place in which something else stands where the lock should be.

        Raises
        ------
        ForeignModel
            If it does.
        """
        ...


def check_key(key: str) -> None:
    """Refuse a key that could lead out of the store.

    Raises
    ------
    ValueError
        If it is empty, absolute, or has a part such as ``..``.
    """
    if not all(part not in {"", ".", ".."} and "\\" not in part for part in key.split("/")):
        raise ValueError(f"not a key of this store: {key!r}")
