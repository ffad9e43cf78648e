"""The store that a ledger needs: durable bytes by key.

`Store.create` succeeds for one caller only, which is all that keeps two writers apart.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol, TypeAlias

Content: TypeAlias = "bytes | Callable[[BinaryIO], None]"
"""Bytes, or a function that writes them to a stream; it must write the same bytes on every call."""


class Store(Protocol):
    """Bytes by key; keys are relative paths with forward slashes."""

    @property
    def place(self) -> str:
        """Directory or URL that opens the store again."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists; return False if it does. Durable on return.

        `data` must differ from every other writer's, for example by a random id: when the answer to
        a request is lost, a remote store reads the key back and compares the bytes.
        """
        ...

    def put(self, key: str, data: Content, *, durable: bool = True) -> None:
        """Store `data`, replacing what was there as a whole. Durable on return.

        Parameters
        ----------
        durable
            False for what only other processes need, so that a crash of the machine may lose it.
        """
        ...

    def get(self, key: str, *, most_bytes: int | None = None) -> bytes:
        """Return the bytes of a key.

        Raises
        ------
        FileNotFoundError
            If there is no such key.
        ForeignModel
            If there are more than `most_bytes`, or the key is not a plain file of this store.
        """
        ...

    def check_folders(self, *names: str) -> None:
        """Refuse a store in which a folder's name belongs to something else.

        Raises
        ------
        ForeignModel
            If one of the names is a link, a file or a pipe.
        """
        ...

    def exists(self, key: str) -> bool:
        """Return whether there is such a key."""
        ...

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys directly below a folder, each once, without unfinished writes."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key; do nothing if there is none."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold a lock, if the store has one, so that a second writer stops before it does any work.

        The lock is no guarantee: `create` is what keeps two writers apart.

        Raises
        ------
        ModelConflict
            If another process holds the lock.
        ForeignModel
            If the lock's name belongs to something that is not a plain file.
        """
        ...

    def check_lock(self) -> None:
        """Refuse a store whose lock `exclusive` would refuse as foreign.

        Raises
        ------
        ForeignModel
            If the lock's name belongs to something that is not a plain file.
        """
        ...


def check_key(key: str) -> None:
    """Refuse a key that could lead out of the store.

    Raises
    ------
    ValueError
        If the key is empty or absolute, or has an empty part, ``.``, ``..`` or a backslash.
    """
    if not all(part not in {"", ".", ".."} and "\\" not in part for part in key.split("/")):
        raise ValueError(f"not a key of this store: {key!r}")
