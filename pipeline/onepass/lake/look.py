"""Look at a file without reading it, to notice later that it has been replaced."""

from __future__ import annotations

import os

from onepass.lake.discover import LakeFile
from onepass.partition import Look

ABSENT = Look()
"""The look of a file that is not there."""


def look_at(file: LakeFile | None) -> Look:
    """Return what a file looks like now, or when its object store listed it.

    Take the look before reading the file. A file that is replaced in between then looks different
    later on, and is read again; the other way round its replacement could go unnoticed.

    Parameters
    ----------
    file
        The file; None if the lake does not have it.
    """
    if file is None:
        return ABSENT
    if file.remote is not None:
        return Look(size=file.remote.size, etag=file.remote.etag)
    try:
        status = os.stat(file.location)
    except OSError:
        return ABSENT
    # A new name or new rights change only the second time: a file of the same size and time that is
    # moved to the place of a bad one, or one that may be read again.
    return Look(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
