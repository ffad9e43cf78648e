"""A store in a local directory, durable by links and fsync.

A write is complete or absent. It writes a temporary file in the same folder, syncs it, links or
renames it to its name, and syncs the folder. `os.link` is the exclusive step: unlike rename it
fails if the name exists, and unlike ``open(..., "x")`` it never shows a half-written file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from onepass.errors import ForeignModel, JobError, ModelBusy, located
from onepass.ledger.store.plain_files import (
    create_file,
    make_folders,
    not_plain,
    open_plain,
    sync_folder,
)
from onepass.ledger.store.protocol import Content, check_key

LOCK_KEY = "writer.lock"
"""File that a writer locks; it holds the writer's process id."""

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV}
"""Error numbers of `os.link` on file systems that cannot make the link."""


class LocalStore:
    """A `Store` in a local directory.

    Parameters
    ----------
    root
        The directory; the first write creates it.

    Notes
    -----
    The file system must have hard links and honour fsync. Network shares and FUSE mounts often lack
    hard links; a write there raises `JobError`.

    A directory may come from a stranger. So the store follows no symbolic link below the root,
    because it could lead out of the directory, and opens plain files only, because opening a pipe
    could block.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    @property
    def place(self) -> str:
        """The directory, as a text."""
        return str(self.root)

    def exists(self, key: str) -> bool:
        """Return whether there is such a key."""
        return self._path(key).exists()

    def check_folders(self, *names: str) -> None:
        """Refuse a directory in which a folder's name belongs to something else.

        Raises
        ------
        ForeignModel
            If one of the names is a link, a file or a pipe.
        """
        for name in names:
            folder = self.root / name
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise not_plain(folder, "a symbolic link" if folder.is_symlink() else "no folder")

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` unless the key exists; return False if it does."""
        path = self._path(key)
        with self._staged(path, data) as staged:
            try:
                os.link(staged, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno in _NO_HARD_LINKS:
                    raise JobError(
                        f"the file system of {str(self.root)!r} has no hard links, which a model "
                        "directory needs; keep the model on a local disk"
                    ) from None
                raise
        sync_folder(path.parent)
        return True

    def put(self, key: str, data: Content, *, durable: bool = True) -> None:
        """Store `data`, replacing what was there."""
        path = self._path(key)
        with self._staged(path, data, durable=durable) as staged:
            os.replace(staged, path)
        if durable:
            sync_folder(path.parent)

    def get(self, key: str, *, most_bytes: int | None = None) -> bytes:
        """Return the bytes of a key."""
        with open_plain(self._path(key), os.O_RDONLY) as stream:
            size = os.fstat(stream.fileno()).st_size
            if most_bytes is not None and size > most_bytes:
                raise ForeignModel(
                    f"{key} is damaged: expected at most {most_bytes:,} bytes, found {size:,}"
                )
            # The file may grow meanwhile; `most_bytes` holds for the size that was checked.
            return stream.read(size)

    def list(self, prefix: str) -> list[str]:
        """Return the sorted keys directly below a folder."""
        folder = self._path(prefix)
        self.check_folders(prefix)
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(f"{prefix}/{name}" for name in names if not name.endswith(".tmp"))

    def delete(self, key: str) -> None:
        """Remove a key."""
        self._path(key).unlink(missing_ok=True)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the directory against other processes on this machine.

        The lock makes a second writer stop early; `create` is what keeps two writers apart.

        Raises
        ------
        ModelBusy
            If another process holds the lock.
        ForeignModel
            If the lock is a link or not a plain file.
        """
        make_folders(self.root)
        with self._lock(os.O_RDWR | os.O_CREAT) as lock:
            if self._acquire(lock):
                with located(self._path(LOCK_KEY)):
                    lock.seek(0)
                    lock.truncate()
                    lock.write(str(os.getpid()).encode())
                    lock.flush()
            yield

    def _acquire(self, lock: BinaryIO) -> bool:
        """Take the lock; return False if the file system has no locks.

        Without locks, `create` alone decides between two writers.

        Raises
        ------
        ModelBusy
            If another process holds the lock.
        """
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                return False
            lock.seek(0)
            holder = lock.read(20).decode(errors="replace").strip() or "unknown"
            raise ModelBusy(holder, str(self.root)) from None
        return True

    def check_lock(self) -> None:
        """Refuse a directory whose lock `exclusive` would refuse as foreign.

        Raises
        ------
        ForeignModel
            If the lock is a link or not a plain file.
        """
        # A missing lock is sound, and a lock that this user may not read may serve another user.
        with suppress(FileNotFoundError, PermissionError), self._lock(os.O_RDONLY):
            pass

    def _lock(self, flags: int) -> BinaryIO:
        path = self._path(LOCK_KEY)
        lock = open_plain(path, flags)
        # The holder truncates the lock, which through a hard link would destroy another file.
        if os.fstat(lock.fileno()).st_nlink > 1:
            lock.close()
            raise not_plain(path, "a hard link")
        return lock

    def _path(self, key: str) -> Path:
        """Return the path of a key, after checking that no folder above it is a link."""
        check_key(key)
        parts = key.split("/")
        for above in range(1, len(parts)):
            folder = self.root.joinpath(*parts[:above])
            if folder.is_symlink():
                raise not_plain(folder, "a symbolic link")
        return self.root.joinpath(*parts)

    @contextmanager
    def _staged(self, path: Path, data: Content, *, durable: bool = True) -> Iterator[Path]:
        """Write and sync a temporary file beside `path`; remove it at the end of the block."""
        staged = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with located(path), create_file(staged) as stream:
                if callable(data):
                    data(stream)
                else:
                    stream.write(data)
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            yield staged
        finally:
            with suppress(FileNotFoundError):
                staged.unlink()
