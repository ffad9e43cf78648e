"""What a partition is and how it is recognised: footers, fingerprints, row-group ranges."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer_checks import Contradiction, contradictions, look_through
from onepass.lake.remote import RemoteFile, Replaced, look
from onepass.partition import Fingerprint, Partition

SPLIT_BYTES = 512 << 20
"""A file is cut into row-group ranges of about this many uncompressed bytes."""

_MOST_FOOTER_BYTES = 256 << 20
"""A longer footer is none: a sparse file can claim gigabytes and take nothing on its disk."""

_TAIL_BYTES = 64 << 10
_MAGIC = b"PAR1"

_MOST_SEEN = 100_000
_seen: dict[tuple[int, str], list[Contradiction]] = {}
"""What was found in footers that this process has looked through, by size of the file and digest:
each is read several times."""


@dataclass(frozen=True, slots=True)
class Footer:
    """The parsed end of a Parquet file."""

    fingerprint: Fingerprint
    metadata: pq.FileMetaData
    schema: pa.Schema
    """Arrow schema of the columns in the file (without key=value folders)."""
    contradictions: list[Contradiction]
    """What the footer claims of columns that cannot be."""

    def row_group_rows(self) -> list[int]:
        """Rows of each row group."""
        return [self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups)]


def read_footer(file: LakeFile) -> Footer:
    """Read and parse the footer of one file.

    Raises
    ------
    BadPartition
        If the file is missing, unreadable, truncated or not Parquet.
    """
    try:
        footer, size, etag = _read_end(file)
        digest = hashlib.sha256(footer).hexdigest()
        # A reader over the footer alone parses it: one read, and no second look at the file.
        metadata = pq.read_metadata(pa.BufferReader(footer))
        schema = metadata.schema.to_arrow_schema()
        found = _seen.get((size, digest))
        if found is None:
            look_through(metadata, size)
            # Names are decoded when they are asked for.
            schema.names  # noqa: B018
            found = contradictions(metadata, size)
    except BadPartition:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError) as error:
        raise BadPartition(f"cannot read the Parquet footer: {error}", path=file.key) from None
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    if sum(rows) != metadata.num_rows or min(rows, default=0) < 0:
        raise BadPartition(
            f"the footer claims {metadata.num_rows} rows, but row groups of {_brief(rows)}",
            path=file.key,
        )
    if len(_seen) >= _MOST_SEEN:
        _seen.clear()
    _seen[size, digest] = found
    fingerprint = Fingerprint(
        size=size,
        footer_sha256=digest,
        rows=metadata.num_rows,
        row_groups=metadata.num_row_groups,
        etag=etag,
    )
    return Footer(fingerprint, metadata, schema, found)


def is_unchanged(file: LakeFile, fingerprint: Fingerprint) -> bool:
    """Whether a file ends as it did when the fingerprint was taken, without parsing it.

    A tenth of what `read_footer` takes. False also for a file that is missing or unreadable, of
    which `read_footer` tells more.
    """
    try:
        footer, size, etag = _read_end(file)
    except (OSError, pa.ArrowException, BadPartition):
        return False
    found = (size, hashlib.sha256(footer).hexdigest(), etag)
    return found == (fingerprint.size, fingerprint.footer_sha256, fingerprint.etag)


def _read_end(file: LakeFile) -> tuple[bytes, int, str | None]:
    """The footer as it is now, with the size and etag of its file."""
    if file.looked is None:
        return _read_local_end(file)
    looked = file.looked
    while True:
        try:
            remote = RemoteFile(file.location, looked.size, looked.etag)
            footer = _footer_bytes(partial(_read_at, remote), looked.size, file.key)
            return footer, looked.size, looked.etag
        except Replaced:
            now = look(file.location)
            if now == looked:
                raise
            looked = now


def _read_local_end(file: LakeFile) -> tuple[bytes, int, None]:
    # A pipe would keep whoever opens it waiting. A Python file takes three times as long, and a run
    # over many small files looks at each four times.
    descriptor = os.open(file.location, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadPartition("expected a file, found a pipe or a device", path=file.key)
        read_at = partial(os.pread, descriptor)
        return _footer_bytes(read_at, status.st_size, file.key), status.st_size, None
    finally:
        os.close(descriptor)


def _read_at(file: RemoteFile, length: int, offset: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _brief(rows: list[int]) -> str:
    return ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")


def _footer_bytes(read_at: Callable[[int, int], bytes], size: int, key: str) -> bytes:
    if size < 12:
        raise BadPartition(f"expected a Parquet file, found {size} bytes", path=key)
    known = min(size, _TAIL_BYTES)
    tail = read_at(known, size - known)
    if tail[-4:] != _MAGIC:
        raise BadPartition(
            f"expected a Parquet file ending in {_MAGIC!r}, found {tail[-4:]!r} "
            "(truncated, encrypted or not Parquet)",
            path=key,
        )
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if length > size - 4:
        raise BadPartition(
            f"the footer claims {length - 8} bytes, but the file has {size}", path=key
        )
    if length > _MOST_FOOTER_BYTES:
        raise BadPartition(
            f"expected a footer of at most {_MOST_FOOTER_BYTES:,} bytes, found one of "
            f"{length - 8:,}",
            path=key,
        )
    return tail[-length:] if length <= len(tail) else read_at(length, size - length)


def partitions(
    file: LakeFile, footer: Footer, split_bytes: int = SPLIT_BYTES
) -> Iterator[Partition]:
    """Cut a file into partitions, by its footer alone and hence always the same way.

    A file without rows has no partition.
    """
    metadata = footer.metadata
    first, rows, nbytes = 0, 0, 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        rows += group.num_rows
        nbytes += group.total_byte_size
        last = index == metadata.num_row_groups - 1
        if (nbytes >= split_bytes or last) and rows:
            yield Partition(
                path=file.key,
                first_row_group=first,
                end_row_group=index + 1,
                rows=rows,
                fingerprint=footer.fingerprint,
            )
            first, rows, nbytes = index + 1, 0, 0
