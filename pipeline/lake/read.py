"""Read a partition as units of bounded size, whatever the size of its row groups.

A unit is what one Dask task decodes: a run of small row groups, or one slice of a large row group.
Its edges depend on the partition and `batch_rows` alone, never on where a run was resumed. Slices
of one row group share decoders that yield them in order, because Parquet pages cannot be entered
in the middle.

pyarrow's defaults keep every byte read from a file until the reader is closed (350 MB for a 368 MB
file); without pre-buffering and with a small stream buffer the same read holds about 10 MB.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.batches import as_batch
from pipeline.errors import BadPartition
from pipeline.lake.discover import LakeFile
from pipeline.lake.partition import Footer, Partition
from pipeline.lake.remote import RemoteFile

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

_DICTIONARY_BYTES_PER_ROW = 16


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
        Large row groups that are decoded at once, by this reader and others.
    """

    file: LakeFile
    footer: Footer
    columns: list[str]
    texts: list[str]
    batch_rows: int
    n_open: int = 1
    _slices: dict[int, list[_SliceReader]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _schema: pa.Schema | None = None
    """Of slices, once one is there."""

    def read(self, unit: Unit) -> pa.RecordBatch:
        """Rows of one unit.

        Raises
        ------
        BadPartition
            If a page cannot be decoded, or the rows are not as many as the footer says.
        """
        try:
            decoded = self._read_slice(unit) if unit.is_slice else self._read_whole(unit)
            # Before chunks are joined: codes without a value would be looked up.
            _check_texts(decoded)
            rows = as_batch(decoded)
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
                _check_texts(batch)

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
                if chunk.path_in_schema in found and not _is_coded(chunk, rows):
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
        wanted, metadata = set(self.columns), self.footer.metadata
        return sum(
            chunk.total_compressed_size
            for group in groups
            for chunk in map(metadata.row_group(group).column, range(metadata.num_columns))
            if chunk.path_in_schema.split(".")[0] in wanted
        )

    def _read_whole(self, unit: Unit) -> pa.Table:
        groups = list(unit.row_groups)
        with self._open(groups, unit.rows, whole=True) as source:
            return source.read_row_groups(groups, columns=self.columns, use_threads=False)

    def _read_slice(self, unit: Unit) -> pa.RecordBatch:
        group = unit.row_groups[0]
        with self._lock:
            if group not in self._slices:
                self._slices[group] = self._decoders(group)
            decoders = self._slices[group]
        shares = _take_all(decoders, unit.offset // self.batch_rows)
        if not decoders[-1].n_left:
            with self._lock:
                self._slices.pop(group, None)
        return shares[0] if len(shares) == 1 else self._beside(shares)

    def _decoders(self, group: int) -> list[_SliceReader]:
        n_slices = -(-self._rows(group) // self.batch_rows)
        found = []
        for columns in self._shares():
            source = self._open([group], self.batch_rows, whole=False)
            batches = source.iter_batches(
                self.batch_rows, row_groups=[group], columns=columns, use_threads=False
            )
            found.append(_SliceReader(batches, n_slices))
        return found

    def _shares(self) -> list[list[str]]:
        """Columns by decoder: a slice is decoded share by share, and the next one right behind it.

        All columns come to the ends of their pages together, which takes three times as long as
        another slice, and everybody waits; Arrow's own threads cost a quarter more in all.
        """
        # Requests to a store are to be few.
        n_shares = 1 if self.file.looked is not None else max(1, _SHARES // self.n_open)
        size = max(1, -(-len(self.columns) // n_shares))
        starts = range(0, len(self.columns), size)
        return [self.columns[start : start + size] for start in starts] or [[]]

    def _beside(self, shares: list[pa.RecordBatch]) -> pa.RecordBatch:
        """The columns of several batches in one."""
        columns = [column for batch in shares for column in batch.columns]
        if self._schema is None:
            self._schema = pa.schema([field_ for batch in shares for field_ in batch.schema])
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def __getstate__(self) -> dict[str, object]:
        # A worker elsewhere opens the file for itself; decoders and locks stay here.
        return {name: getattr(self, name) for name in _PICKLED}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _slices={}, _lock=threading.Lock(), _schema=None)


def _take_all(decoders: list[_SliceReader], number: int) -> list[pa.RecordBatch]:
    """Batch `number` of every decoder, of those first that no other thread is at.

    In a fixed order threads waited for each other a seventh of the time.
    """
    found: dict[int, pa.RecordBatch] = {}
    while len(found) < len(decoders):
        left = [i for i in range(len(decoders)) if i not in found]
        free = next((i for i in left if decoders[i].lock.acquire(blocking=False)), None)
        if free is None:
            free = left[0]
            decoders[free].lock.acquire()
        try:
            found[free] = decoders[free].take(number)
        finally:
            decoders[free].lock.release()
    return [found[i] for i in range(len(decoders))]


def _is_coded(chunk: pq.ColumnChunkMetaData, rows: int) -> bool:
    """Whether text is stored as codes, and its dictionary small enough to be looked up per batch.

    The footer does not say where a writer changed to plain text in the middle, but a plain value
    takes 4 bytes and its text, and a code hardly ever more than 2.
    """
    if not chunk.has_dictionary_page or not chunk.num_values:
        return False
    dictionary = chunk.data_page_offset - (chunk.dictionary_page_offset or 0)
    codes = chunk.total_uncompressed_size - dictionary
    return bool(codes < 4 * chunk.num_values and dictionary < _DICTIONARY_BYTES_PER_ROW * rows)


def _check_texts(rows: pa.Table | pa.RecordBatch) -> None:
    """Refuse text that is not UTF-8 and codes without a value, which pyarrow hands on."""
    for place, kind in enumerate(rows.schema.types):
        # Numbers are sound whatever their bits.
        if pa.types.is_primitive(kind):
            continue
        column = rows.column(place)
        for values in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            if pa.types.is_dictionary(kind):
                _check_codes(rows.schema.names[place], values)
                _check_text(values.dictionary)
            else:
                _check_text(values)


def _check_text(values: pa.Array) -> None:
    if not pa.types.is_primitive(values.type):
        values.validate(full=True)


def _check_codes(name: str, values: pa.DictionaryArray) -> None:
    low, high = pc.min_max(values.indices).as_py().values()
    n_values = len(values.dictionary)
    if low is not None and not 0 <= low <= high < n_values:
        raise pa.ArrowInvalid(
            f"codes {low} to {high} in column {name!r} of {n_values} distinct values"
        )


_PICKLED = ("file", "footer", "columns", "texts", "batch_rows", "n_open")


class _SliceReader:
    """Hands out the batches of some columns of a large row group to whichever thread asks.

    Nobody waits for another's turn: who comes early decodes what lies before and leaves it there.
    A slice may never be asked for, when the task of an earlier one has failed or was cancelled.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], n_left: int) -> None:
        self.n_left = n_left
        self.lock = threading.Lock()
        """To be held while a batch is taken."""
        self._batches = enumerate(batches)
        self._decoded: dict[int, pa.RecordBatch] = {}

    def take(self, number: int) -> pa.RecordBatch:
        """Batch `number` of the row group, once."""
        while number not in self._decoded:
            at, batch = next(self._batches, (None, None))
            if at is None:
                raise pa.ArrowInvalid(f"batch {number} is not there, or was taken before")
            self._decoded[at] = batch
        self.n_left -= 1
        return self._decoded.pop(number)
