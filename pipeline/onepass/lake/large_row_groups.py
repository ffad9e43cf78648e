"""Large row groups of one partition: keep each one open until all its parts have been read.

Parquet pages cannot be entered in the middle, so the tasks that read parts of one row group share
its decoders. Columns whose decoded size is known are decoded as a whole where memory allows, and
all others slice by slice (`onepass.lake.rowgroups`). Where memory does not even allow a page of
each column, the row group is decoded into a temporary file (`onepass.lake.spilled_row_groups`).
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

import pyarrow as pa

from onepass.lake.column_chunks import decoded_bytes
from onepass.lake.column_shares import ColumnSize, column_shares
from onepass.lake.decoders import Decoders
from onepass.lake.rowgroups import Mixed, RowGroup, Sliced, Whole
from onepass.lake.spilled_row_groups import Spilled
from onepass.lake.spread import Spread
from onepass.lake.spread_row_groups import SpreadWhole
from onepass.lake.units import Unit

_SHARES = 4
"""Maximum number of decoders of one large row group, each of which reads some columns."""

_COPIES = 3
"""Shares of a row group that are in memory at once, beside the row group."""

_LEAST_BYTES = 8 << 20
"""Minimum memory for decoding a share of the columns."""


class LargeRowGroups:
    """The open large row groups of one partition; several threads may call it.

    Parameters
    ----------
    decoders
        Decoders of the file.
    batch_rows
        Rows of a slice.
    whole_bytes
        Memory for all large row groups that are decoded as a whole.
    spills
        See `onepass.lake.read.PartitionReader`.
    """

    def __init__(
        self, decoders: Decoders, batch_rows: int, whole_bytes: int, spills: bool = False
    ) -> None:
        self._decoders, self._batch_rows, self._whole_bytes = decoders, batch_rows, whole_bytes
        self._spills = spills
        self._open: dict[int, RowGroup] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def take(self, unit: Unit) -> pa.RecordBatch:
        """Return the rows of a slice or share; each can be taken once."""
        group, share = unit.row_groups[0], unit.share
        with self._lock:
            if group not in self._open:
                opened = self._opened(group) if share is None else self._spread(group, share.spread)
                self._open[group] = opened
            large = self._open[group]
        rows = large.take(unit.offset if share is None else share.number, unit.rows)
        if large.is_used_up:
            with self._lock:
                self._open.pop(group, None)
        return rows

    def columns_at_once(self, group: int) -> list[str]:
        """Return the columns of a row group to decode as a whole.

        These are all columns whose decoded size the footer tells, if together they fit; otherwise
        none.
        """
        decoders = self._decoders
        # Arrow decodes in threads, which would wait for the GIL to read from an object store.
        if decoders.file.remote is not None:
            return []
        sizes = self._sizes(group)
        fitting = {name: size.decoded for name, size in sizes.items() if size.decoded is not None}
        if sum(fitting.values()) > self._whole_share(sizes):
            return []
        return [name for name in decoders.columns if name in fitting]

    def spread_bytes(self, group: int, n_shares: int) -> int | None:
        """Return the memory for decoding a row group as a whole and reading it in shares.

        The result is None if the footer does not tell. It decides the order of rows, so it follows
        from the footer alone.
        """
        sizes = self._sizes(group).values()
        known = [size.decoded for size in sizes if size.decoded is not None]
        # Shares are copies, of which the tasks that run ahead hold a few.
        return sum(known) * (n_shares + _COPIES) // n_shares if len(known) == len(sizes) else None

    def _open_bytes(self) -> int:
        """Return the memory for the pages that one large row group holds open."""
        most = max(self._whole_bytes, self._decoders.limits.reader_bytes)
        return most // self._decoders.n_open

    def _whole_share(self, sizes: dict[str, ColumnSize]) -> int:
        """Return the memory for decoding one large row group as a whole."""
        # Slicing would hold pages of its columns, so decoding them may take that memory instead.
        pages = sum(size.pages for size in sizes.values() if size.decoded is not None)
        if self._spills:
            pages = min(pages, self._open_bytes())
        return max(self._whole_bytes // self._decoders.n_open, pages)

    def _spread(self, group: int, spread: Spread) -> RowGroup:
        decoders = self._decoders
        free = self._whole_share(self._sizes(group))
        needed = self.spread_bytes(group, spread.n_shares)
        if needed is not None and needed <= free and decoders.file.remote is None:
            decode = partial(decoders.read, [group], decoders.columns, use_threads=True)
            return SpreadWhole(decode, spread)
        pieces = [spread.pieces(share) for share in range(spread.n_shares)]
        return self._spilled(group, pieces, 1)

    def _spilled(self, group: int, pieces: list[list[tuple[int, int]]], step: int) -> RowGroup:
        decoders, sizes = self._decoders, self._sizes(group)
        n_rows = decoders.rows(group)
        row_bytes = sum(size.decoded or 0 for size in sizes.values()) / n_rows
        copies = int(_COPIES * row_bytes * min(n_rows, self._batch_rows)) * decoders.n_open
        # Row groups are spilled one at a time, so each may take the memory of all. A share of
        # the columns is copied once, and Arrow's allocator keeps freed pages for a while.
        free = max(_LEAST_BYTES, (self._open_bytes() * decoders.n_open - copies) // 3)
        is_remote = decoders.file.remote is not None
        if is_remote:
            # A share that can be pre-buffered takes few requests, and is held as it is stored.
            free = min(free, decoders.pre_buffer_bytes(whole=False))
            sizes = {name: replace(s, pages=max(s.pages, s.stored)) for name, s in sizes.items()}
        # Arrow's threads would wait for the GIL to read from an object store.
        decode = partial(decoders.slices, group, use_threads=not is_remote)
        shares = [
            partial(decode, share.columns, share.rows)
            for share in column_shares(sizes, n_rows, self._batch_rows, free)
        ]
        return Spilled(shares, pieces, step, free // 4 // decoders.n_open)

    def _sizes(self, group: int) -> dict[str, ColumnSize]:
        """Return the memory that each column of a row group takes."""
        decoders = self._decoders
        coded = set(decoders.dictionaries([group], decoders.rows(group)))
        sizes: dict[str, ColumnSize] = {}
        for chunk in decoders.chunks([group]):
            column = chunk.column
            name = column if column in decoders.columns else column.split(".")[0]
            size, known = decoded_bytes(chunk, name in coded), sizes.get(name, ColumnSize(0, 0))
            pages = 2 * min(decoders.limits.page_bytes, int(chunk.total_uncompressed_size))
            both = None if size is None or known.decoded is None else known.decoded + size
            stored = known.stored + int(chunk.total_compressed_size)
            sizes[name] = ColumnSize(both, known.pages + pages, stored)
        return sizes

    def _opened(self, group: int) -> RowGroup:
        decoders, rows = self._decoders, self._batch_rows
        at_once = self.columns_at_once(group)
        sliced = [name for name in decoders.columns if name not in at_once]
        sizes, n_rows = self._sizes(group), decoders.rows(group)
        needed = sum(sizes[name].decoded or 0 for name in at_once)
        needed += sum(sizes[name].pages for name in sliced)
        if self._spills and sliced and needed > self._open_bytes():
            starts = range(0, n_rows, rows)
            return self._spilled(group, [[(at, min(rows, n_rows - at))] for at in starts], rows)
        n_slices = -(-n_rows // rows)
        parts: list[RowGroup] = []
        if at_once:
            decode = partial(decoders.read, [group], at_once, use_threads=True)
            parts.append(Whole(decode, n_slices))
        if sliced or not at_once:
            shares = [decoders.slices(group, columns, rows) for columns in self._shares(sliced)]
            parts.append(Sliced(shares, rows, n_slices))
        return parts[0] if len(parts) == 1 else Mixed(parts)

    def _shares(self, columns: list[str]) -> list[list[str]]:
        """Divide columns among the decoders of a row group."""
        # An object store is read by one decoder, to keep requests few.
        is_remote = self._decoders.file.remote is not None
        n_shares = 1 if is_remote else max(1, _SHARES // self._decoders.n_open)
        size = max(1, -(-len(columns) // n_shares))
        return [columns[start : start + size] for start in range(0, len(columns), size)] or [[]]

    def __reduce__(self) -> tuple[object, ...]:
        # Decoders and locks cannot be pickled; a worker in another process opens its own.
        return (type(self), (self._decoders, self._batch_rows, self._whole_bytes, self._spills))
