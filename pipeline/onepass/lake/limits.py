"""Sizes that bound the memory of readers, as one value that is passed down to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """Bounds for reading Parquet files.

    `split_bytes` decides which partitions a lake has. `page_bytes`, `reader_bytes`, `max_cursors`
    and `min_cursor_rows` decide how many cursors read a partition. So these five change the order
    of rows, and with it the model. The other sizes change only memory and speed.
    """

    page_bytes: int = 1 << 20
    """Uncompressed size of most writers' pages; an open decoder holds a page of each column."""
    reader_bytes: int = 32 << 20
    """Memory for the open decoders of one partition."""
    group_reader_bytes: int = 384 << 20
    """Memory for the open decoders of interleaved partitions."""
    remote_bytes: int = 96 << 20
    """Maximum bytes from an object store that all decoders of a process buffer together.

    Each request has a high fixed cost, so decoders make few and large ones.
    """
    remote_column_bytes: int = 4 << 20
    """Maximum bytes of a column that one request to an object store reads."""
    split_bytes: int = 512 << 20
    """Uncompressed size at which a file is cut into row-group ranges."""
    max_cursors: int = 16
    """Maximum number of cursors in one partition."""
    min_cursor_rows: int = 32
    """Minimum rows that a cursor gives to a block; with fewer, mixing costs more than it gains."""


DEFAULT_LIMITS = ReadLimits()
"""Limits of every run; tests pass others."""
