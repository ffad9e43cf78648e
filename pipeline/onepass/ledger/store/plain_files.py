"""Open and create plain files and folders in a directory that may come from a stranger.

Opening follows no symbolic link, and refuses pipes and devices. New folders are synced.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from onepass.errors import ForeignModel, located


def create_file(path: Path) -> BinaryIO:
    """Create a file for writing, and the folders above it if there are none."""
    try:
        return open(path, "xb")
    except FileNotFoundError:
        make_folders(path.parent)
        return open(path, "xb")


def open_plain(path: Path, flags: int) -> BinaryIO:
    """Open a plain file without following a link.

    Raises
    ------
    ForeignModel
        If the path is anything but a plain file.
    """
    try:
        # Without O_NONBLOCK, opening a pipe or a device could block.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK} and path.is_symlink():
            raise not_plain(path, "a symbolic link") from None
        if error.errno in {errno.EISDIR, errno.ENXIO}:
            raise not_plain(path, "no file") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise not_plain(path, "no file")
    return open(descriptor, "r+b" if flags & os.O_RDWR else "rb")


def not_plain(path: Path, found: str) -> ForeignModel:
    """Return the error for a path that is `found` instead of a plain file or folder."""
    return ForeignModel(
        f"{str(path)!r} is {found}: a model directory holds plain files and folders only"
    )


def make_folders(folder: Path) -> None:
    """Create a folder and the folders above it, each synced into its parent."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with located(folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
