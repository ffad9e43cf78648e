"""Read a partition as units of bounded size, whatever the size of its row groups.

A unit is what one Dask task takes: a run of small row groups, or one slice of a large row group.
Its edges depend on the partition and `batch_rows` alone, never on where a run was resumed, nor on
memory. Slices of one row group share what has been decoded of it (`onepass.lake.rowgroups`),
because Parquet pages cannot be entered in the middle.

pyarrow's defaults keep every byte read from a file until the reader is closed (350 MB for a 368 MB
file); without pre-buffering and with a small stream buffer the same read holds about 10 MB.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.arrays import as_batch
from onepass.errors import BadPartition
from onepass.lake.column_chunks import check_texts, decoded_bytes, is_coded
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.remote import RemoteFile
from onepass.lake.rowgroups import Mixed, RowGroup, Sliced, Whole
from onepass.partition import Partition

UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError)
"""What pyarrow raises at damaged pages."""

_BUFFER_TOTAL = 32 << 20

REMOTE_BYTES = 96 << 20
"""Bytes from an object store that may lie ready for all decoders of a process together.

A request takes 10 to 50 ms, whatever it brings, so few and large ones are made.
"""

_REMOTE_BUFFER = 4 << 20
"""Bytes of a column that are asked of an object store at once, where the total allows."""

_WHOLE_UNITS = 6
"""Units of whole row groups that are decoded at once, at most."""

_SHARES = 4
"""Decoders of a large row group, each of some of its columns."""

PAGE_BYTES = 1 << 20
"""Pages that most writers cut, uncompressed."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Row groups, or one slice of one row group, that are decoded by one task."""

    row_groups: tuple[int, ...]
    rows: int
    offset: int = 0
    """First row of the slice within its row group."""

    is_slice: bool = False
    """Whether the unit is a part of its row group only."""

    @property
    def place(self) -> tuple[int, int]:
        """Row group and offset at which the unit starts: its name within the partition."""
        return (self.row_groups[0], self.offset)


def units(
    partition: Partition, footer: Footer, batch_rows: int, order: Sequence[int] | None = None
) -> Iterator[Unit]:
    """Cut a partition into units of at most `batch_rows` rows, in stored order or in `order`.

    Parameters
    ----------
    order
        The partition's row groups, permuted; the stored order by default.
    """
    rows_of = footer.row_group_rows()
    pack: list[int] = []
    packed = 0
    for group in order or range(partition.first_row_group, partition.end_row_group):
        rows = rows_of[group]
        if pack and packed + rows > batch_rows:
            yield Unit(tuple(pack), packed)
            pack, packed = [], 0
        if rows > batch_rows:
            for offset in range(0, rows, batch_rows):
                yield Unit((group,), min(batch_rows, rows - offset), offset, is_slice=True)
        elif rows:
            pack.append(group)
            packed += rows
    if pack:
        yield Unit(tuple(pack), packed)


@dataclass
class PartitionReader:
    """Decodes the units of one partition; safe to call from several threads.

    Parameters
    ----------
    file, footer
        What to read.
    columns
        Columns to decode, as named in the file.
    texts
        Those of them to read as dictionaries where a whole row group is decoded at once.
    batch_rows
        Rows of a slice of a large row group.
    n_open
        Large row groups that are under way at once, by this reader and others.
    whole_bytes
        Memory that these may take when they are decoded as a whole; slice by slice otherwise.
    """

    file: LakeFile
    footer: Footer
    columns: list[str]
    texts: list[str]
    batch_rows: int
    n_open: int = 1
    whole_bytes: int = 0
    _large: dict[int, RowGroup] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, unit: Unit) -> pa.RecordBatch:
        """Rows of one unit.

        Raises
        ------
        BadPartition
            If a page cannot be decoded, or the rows are not as many as the footer says.
        """
        try:
            rows = self._slice(unit) if unit.is_slice else self._all(unit)
        except UNREADABLE as error:
            raise self._refusal(unit, error) from None
        if rows.num_rows != unit.rows:
            raise BadPartition(
                f"the footer promises {unit.rows} rows, the pages hold {rows.num_rows}",
                path=self.file.key,
                row_group=unit.row_groups[0],
            )
        return rows

    def _refusal(self, unit: Unit, error: Exception) -> BadPartition:
        """Name the place of a fault, of which pyarrow tells what but not where."""
        group, column = unit.row_groups[0], None
        for place in product(unit.row_groups, self.columns):
            try:
                self._decode(*place)
            except UNREADABLE as found:
                (group, column), error = place, found
                break
        return BadPartition(
            f"cannot decode: {error}", path=self.file.key, row_group=group, column=column
        )

    def _decode(self, group: int, column: str) -> None:
        """Decode one column of one row group, and keep nothing."""
        with self._open([group], self.batch_rows, whole=False) as source:
            for batch in source.iter_batches(
                self.batch_rows, row_groups=[group], columns=[column], use_threads=False
            ):
                check_texts(batch)

    def _rows(self, group: int) -> int:
        return int(self.footer.metadata.row_group(group).num_rows)

    def _dictionaries(self, groups: Sequence[int], rows: int) -> list[str]:
        """Text columns to read as dictionaries, of which `rows` rows are made into one.

        Where a writer gave up its dictionary for plain text, pyarrow would have to build one, which
        takes as long as all other columns together.
        """
        metadata = self.footer.metadata
        found = set(self.texts)
        for group in groups if found else ():
            for i in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(i)
                if chunk.path_in_schema in found and not is_coded(chunk, rows):
                    found.discard(chunk.path_in_schema)
        return [name for name in self.texts if name in found]

    def _open(self, groups: Sequence[int], rows: int, *, whole: bool) -> pq.ParquetFile:
        source: str | RemoteFile = self.file.location
        total, most = _BUFFER_TOTAL, 1 << 16
        if self.file.looked is not None:
            found = self.footer.fingerprint
            source = RemoteFile(self.file.location, found.size, found.etag)
            # The decoders of the next partition are opened while these are still at work.
            total = REMOTE_BYTES // (_WHOLE_UNITS if whole else 2 * self.n_open)
            most = _REMOTE_BUFFER
        return pq.ParquetFile(
            source,
            metadata=self.footer.metadata,
            # Neighbouring columns in one request; all of it stays until the decoder is closed.
            pre_buffer=self.file.looked is not None and self._nbytes(groups) <= total,
            buffer_size=max(64 << 10, min(most, total // max(1, len(self.columns)))),
            page_checksum_verification=True,
            read_dictionary=self._dictionaries(groups, rows),
        )

    def _nbytes(self, groups: Sequence[int]) -> int:
        """Stored bytes of the columns in row groups."""
        return sum(chunk.total_compressed_size for chunk in self._chunks(groups))

    def _all(self, unit: Unit) -> pa.RecordBatch:
        return self._decoded(list(unit.row_groups), self.columns, use_threads=False)

    def _decoded(
        self, groups: list[int], columns: list[str], *, use_threads: bool
    ) -> pa.RecordBatch:
        rows = sum(self._rows(group) for group in groups)
        with self._open(groups, rows, whole=True) as source:
            table = source.read_row_groups(groups, columns=columns, use_threads=use_threads)
        # Before chunks are joined: codes without a value would be looked up.
        check_texts(table)
        return as_batch(table)

    def _slice(self, unit: Unit) -> pa.RecordBatch:
        group = unit.row_groups[0]
        with self._lock:
            if group not in self._large:
                self._large[group] = self._large_group(group)
            large = self._large[group]
        rows = large.take(unit.offset, unit.rows)
        if large.is_used_up:
            with self._lock:
                self._large.pop(group, None)
        return rows

    def _large_group(self, group: int) -> RowGroup:
        at_once = self._at_once(group)
        sliced = [name for name in self.columns if name not in at_once]
        n_slices = -(-self._rows(group) // self.batch_rows)
        parts: list[RowGroup] = []
        if at_once:
            decode = partial(self._decoded, [group], at_once, use_threads=True)
            parts.append(Whole(decode, n_slices))
        if sliced or not at_once:
            shares = [
                self._open([group], self.batch_rows, whole=False).iter_batches(
                    self.batch_rows, row_groups=[group], columns=columns, use_threads=False
                )
                for columns in self._shares(sliced)
            ]
            parts.append(Sliced(shares, self.batch_rows, n_slices))
        return parts[0] if len(parts) == 1 else Mixed(parts)

    def _at_once(self, group: int) -> list[str]:
        """Columns of a row group that are decoded as a whole: all of known size, if they fit."""
        # Arrow's threads would ask Python for the bytes of an object store.
        if self.file.looked is not None:
            return []
        coded = set(self._dictionaries([group], self._rows(group)))
        sizes: dict[str, int | None] = {}
        decoders = 0
        for chunk in self._chunks([group]):
            path = chunk.path_in_schema
            name = path if path in self.columns else path.split(".")[0]
            size, known = decoded_bytes(chunk, path in coded), sizes.get(name, 0)
            sizes[name] = None if size is None or known is None else known + size
            if size is not None:
                decoders += 2 * min(PAGE_BYTES, int(chunk.total_uncompressed_size))
        fitting = {name: size for name, size in sizes.items() if size is not None}
        # What decoders of slices would take is there in any case.
        most = max(self.whole_bytes, self.n_open * decoders)
        if self.n_open * sum(fitting.values()) > most:
            return []
        return [name for name in self.columns if name in fitting]

    def _chunks(self, groups: Sequence[int]) -> list[pq.ColumnChunkMetaData]:
        """The chunks of columns that are read of row groups."""
        wanted, metadata = set(self.columns), self.footer.metadata
        return [
            chunk
            for group in groups
            for chunk in map(metadata.row_group(group).column, range(metadata.num_columns))
            if chunk.path_in_schema.split(".")[0] in wanted or chunk.path_in_schema in wanted
        ]

    def _shares(self, columns: list[str]) -> list[list[str]]:
        """Columns by decoder, where slices are decoded."""
        # Requests to a store are to be few.
        n_shares = 1 if self.file.looked is not None else max(1, _SHARES // self.n_open)
        size = max(1, -(-len(columns) // n_shares))
        return [columns[start : start + size] for start in range(0, len(columns), size)] or [[]]

    def __getstate__(self) -> dict[str, object]:
        # A worker elsewhere opens the file for itself; decoders and locks stay here.
        return {name: getattr(self, name) for name in _PICKLED}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _large={}, _lock=threading.Lock())


_PICKLED = ("file", "footer", "columns", "texts", "batch_rows", "n_open", "whole_bytes")
