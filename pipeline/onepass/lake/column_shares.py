"""Divide the columns of a large row group into shares that are decoded one after another."""

from __future__ import annotations

from dataclasses import dataclass

_BUFFER_BYTES = 64 << 10
"""Bytes of the buffers of an open decoder for each column."""

_UNKNOWN_WIDTH = 64
"""Bytes of a decoded value that the footer does not tell."""


@dataclass(frozen=True, slots=True)
class ColumnSize:
    """Estimated memory of one column of a row group."""

    decoded: int | None
    """Bytes of all decoded values; None if the footer does not tell."""
    pages: int
    """Bytes of the pages that an open decoder holds, both compressed and not."""
    stored: int = 0
    """Bytes in the file."""


@dataclass(frozen=True, slots=True)
class ColumnShare:
    """Columns to decode together."""

    columns: list[str]
    rows: int
    """Rows to decode at a time."""


def column_shares(
    sizes: dict[str, ColumnSize], n_rows: int, slice_rows: int, n_bytes: int
) -> list[ColumnShare]:
    """Divide columns so that decoding each share takes about `n_bytes`, or is a single column.

    Columns of known size are decoded in as many rows as possible, and others in slices.

    Parameters
    ----------
    n_rows
        Rows of the row group.
    slice_rows
        Minimum number of rows to decode at a time.
    """
    shares: list[ColumnShare] = []
    known = {name: size.decoded for name, size in sizes.items() if size.decoded is not None}
    widest = max(known.values(), default=0) / n_rows
    long = min(n_rows, max(slice_rows, int(n_bytes / 2 / max(1.0, widest))))
    for is_known, rows in ((True, long), (False, slice_rows)):
        columns: list[str] = []
        taken = 0.0
        for name, size in sizes.items():
            if (name in known) != is_known:
                continue
            width = known[name] / n_rows if is_known else _UNKNOWN_WIDTH
            needed = _BUFFER_BYTES + size.pages + rows * width
            if columns and taken + needed > n_bytes:
                shares.append(ColumnShare(columns, rows))
                columns, taken = [], 0.0
            columns.append(name)
            taken += needed
        if columns:
            shares.append(ColumnShare(columns, rows))
    return shares
