"""Keep decoded rows in a temporary file that has no name, and read them back in any order.

The file is read by offset and not mapped: mapped pages count as memory of the process.
"""

from __future__ import annotations

import os
import tempfile
from typing import NamedTuple

import pyarrow as pa

from onepass.errors import JobError
from onepass.text import printable


class Place(NamedTuple):
    """Where a batch lies in the file."""

    offset: int
    n_bytes: int


class TemporaryRows:
    """Batches of rows in a file below the folder for temporary files (`TMPDIR`).

    The operating system frees the file with its descriptor, even if the process is killed. Several
    threads may read, while none writes.

    Raises
    ------
    JobError
        If the folder cannot be written, or is full, here and in `write`.
    """

    def __init__(self) -> None:
        self._end = 0
        try:
            # It stays open as long as this object.
            self._file = tempfile.TemporaryFile(buffering=0, prefix="onepass-")  # noqa: SIM115
        except OSError as error:
            raise _refused(0, error) from None

    def write(self, rows: pa.RecordBatch) -> Place:
        """Append a batch without dictionaries."""
        message = memoryview(rows.serialize())
        place = Place(self._end, message.nbytes)
        written = 0
        try:
            while written < message.nbytes:
                written += os.pwrite(self._file.fileno(), message[written:], self._end + written)
        except OSError as error:
            raise _refused(self._end + written, error) from None
        self._end += written
        return place

    def read(self, place: Place, schema: pa.Schema) -> pa.RecordBatch:
        """Return a batch that has been written."""
        parts: list[bytes] = []
        offset, end = place.offset, place.offset + place.n_bytes
        try:
            while offset < end:
                # A call gives at most 2 GiB.
                found = os.pread(self._file.fileno(), end - offset, offset)
                if not found:
                    raise OSError(f"it has ended at {offset} bytes, before {end}")
                parts.append(found)
                offset += len(found)
        except OSError as error:
            raise JobError(
                f"a temporary file in {_folder()} cannot be read back: {error}\n"
                "Check the disk, or set TMPDIR to a folder on another one."
            ) from None
        message = parts[0] if len(parts) == 1 else b"".join(parts)
        return pa.ipc.read_record_batch(pa.py_buffer(message), schema)

    def close(self) -> None:
        """Free the file."""
        self._file.close()

    def __del__(self) -> None:
        # A file that is left to the interpreter warns that it was not closed.
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()


def _folder() -> str:
    try:
        return printable(tempfile.gettempdir())
    except OSError:
        return "the folder for temporary files"


def _refused(n_bytes: int, error: OSError) -> JobError:
    reason = error.strerror or str(error)
    return JobError(
        "a row group that does not fit into memory is decoded into a temporary file, but "
        f"{_folder()} takes only {n_bytes / 2**20:,.0f} MiB of it: {reason}\n"
        "Set TMPDIR to a folder with more space on a disk, or raise --memory-limit."
    )
