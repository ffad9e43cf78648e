"""Let one process at a time write to an output directory; the others wait for their turn."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from onepass.errors import located

LOCK = ".onepass_score.lock"
"""Name of the lock; the leading dot hides it from readers of the directory."""

_PAUSE_SECONDS = 0.25


@contextmanager
def locked(folder: Path, noted: Callable[[str], None]) -> Iterator[bool]:
    """Hold the lock of a directory, which is created; yield whether another process held it.

    The system releases the lock of a process that dies. A file system without locks lets all
    processes in; the manifest then tells which of them goes on.

    Parameters
    ----------
    noted
        Receives a message for the user before a wait.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, waited = folder / LOCK, False
    while True:
        lock = _open(path)
        if not _acquire(lock):
            lock.close()
            if not waited:
                noted(f"another run scores to {str(folder)!r}; waiting until it has finished")
            waited = True
            time.sleep(_PAUSE_SECONDS)
        # The holder before has removed the file; a third process may have locked a new one.
        elif _is_at(lock, path):
            break
        else:
            lock.close()
    with lock:
        try:
            yield waited
        finally:
            with suppress(OSError):
                path.unlink()


def _open(path: Path) -> BinaryIO:
    with located(path):
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")


def _acquire(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in {errno.EWOULDBLOCK, errno.EACCES}
    return True


def _is_at(lock: BinaryIO, path: Path) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(lock.fileno()), there)
