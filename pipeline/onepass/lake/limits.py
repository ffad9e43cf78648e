"""Sizes that bound the memory of readers, as one value that is passed down to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """Bounds for reading Parquet files.

    `split_bytes` decides which partitions a lake has. `page_bytes`, `reader_bytes`, `max_cursors`
    and `min_cursor_rows` decide how many cursors read one. So these change the order of rows, and
    with it the model. The other sizes change memory and speed only.
    """

    page_bytes: int = 1 << 20
    """Uncompressed size of most writers' pages; an open decoder holds a page of each column."""
    reader_bytes: int = 32 << 20
    """Memory for the open decoders of one partition."""
    group_reader_bytes: int = 384 << 20
    """Memory for the open decoders of interleaved partitions."""
    remote_bytes: int = 96 << 20
    """Bytes from an object store that all decoders of a process may hold ready together.

    Each request has a high fixed cost, so decoders make few and large ones.
    """
    remote_column_bytes: int = 4 << 20
    """Bytes of a column that one request to an object store reads, where `remote_bytes` allows."""
    split_bytes: int = 512 << 20
    """Uncompressed size at which a file is cut into row-group ranges."""
    max_cursors: int = 16
    """Cursors within one partition, at most."""
    min_cursor_rows: int = 32
    """Rows that a cursor gives to a block, at least; fewer cost more than they mix."""


DEFAULT_LIMITS = ReadLimits()
"""Limits of every run; tests pass others."""
