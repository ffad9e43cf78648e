"""Read partitions by several cursors in turn, so that each block is a sample of all of them.

Cursors start at row groups evenly spaced over the partitions, and each block takes its share of
rows from every cursor. So a block resembles the whole even if files or row groups are sorted by the
label. Rows may be sorted within a large row group as well, so each share has rows from all over it,
unless that would take too much memory. A cursor that reads slices of a large row group is an open
decoder that holds a page of each column, so memory bounds the number of cursors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from onepass.errors import JobError
from onepass.lake.decoders import Int96
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.limits import DEFAULT_LIMITS, ReadLimits
from onepass.lake.order import permutation
from onepass.lake.read import PartitionReader
from onepass.lake.spread import FEW, MANY, Spread
from onepass.lake.units import Unit, units
from onepass.partition import Partition


@dataclass(frozen=True, slots=True)
class Source:
    """A partition with the file and footer to read it from."""

    partition: Partition
    file: LakeFile
    footer: Footer
    left: tuple[int, ...] | None = None
    """Row groups to read, in stored order; None for all of the partition."""

    @property
    def row_groups(self) -> Sequence[int]:
        """Row groups to read, in stored order."""
        if self.left is not None:
            return self.left
        return range(self.partition.first_row_group, self.partition.end_row_group)

    @property
    def rows(self) -> int:
        """Number of rows in these row groups."""
        if self.left is None:
            return self.partition.rows
        rows = self.footer.row_group_rows()
        return sum(rows[group] for group in self.left)


@dataclass(frozen=True, slots=True)
class Step:
    """A unit with the reader that decodes it."""

    source: Source
    reader: PartitionReader
    unit: Unit


@dataclass(frozen=True, slots=True)
class Counted:
    """Columns that count where memory decides on the units to read, whether they are read or not.

    Readers that count the same columns cut a partition into the same units.
    """

    names: tuple[str, ...] = ()
    """Columns, as the files name them."""
    texts: tuple[str, ...] = ()
    """Columns that are counted as dictionaries where that is cheap."""


NOTHING_MORE = Counted()


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns to read from each file."""

    names: list[str]
    """All columns, as the files name them."""
    texts: frozenset[str]
    """Columns among `names` to read as dictionaries where that is cheap."""
    int96: Int96 = "us"
    """Unit in which INT96 timestamps are read."""
    beside: Counted = NOTHING_MORE
    """Further columns that count."""

    @property
    def counted(self) -> Columns:
        """The columns that decide on the units: these, and the further ones that count."""
        more = [name for name in self.beside.names if name not in self.names]
        texts = self.texts.union(self.beside.texts)
        if not more and texts == self.texts:
            return self
        return Columns([*self.names, *more], texts, self.int96)


@dataclass(frozen=True, slots=True)
class _Rotation:
    """Settings that all cursors share."""

    columns: Columns
    seed: int | None
    epoch: int
    n_sources: int
    whole_bytes: int
    spread_bytes: int | None
    limits: ReadLimits


def rounds(
    sources: Sequence[Source],
    columns: Columns,
    batch_rows: int,
    *,
    seed: int | None = None,
    epoch: int = 1,
    whole_bytes: int = 0,
    spread_bytes: int | None = 0,
    limits: ReadLimits = DEFAULT_LIMITS,
) -> Iterator[list[Step]]:
    """Yield rounds: one unit of each cursor, about `batch_rows` rows in all, until all have ended.

    Parameters
    ----------
    sources
        Partitions to read together; each gives rows in proportion to its size.
    batch_rows
        Rows of a round, at most; a share of less than one row is rounded up to one.
    seed
        Seed for the order of row groups. None reads row groups in stored order, with one cursor for
        each partition.
    epoch
        Pass over the partitions, from 1; each pass has its own order.
    whole_bytes
        See `PartitionReader`.
    spread_bytes
        Decoded bytes of the row groups open at once up to which large row groups are read in shares
        from all over them (`onepass.lake.spread`), if there is a seed. Larger ones are read in
        slices. None sets no bound, and reads smaller row groups in this way too: labels drift.
    limits
        Sizes that bound the number of cursors and their memory.

    Raises
    ------
    JobError
        If the decoders of all partitions together need more memory than `limits` allows.
    """
    rotation = _Rotation(columns, seed, epoch, len(sources), whole_bytes, spread_bytes, limits)
    n_rows = sum(source.rows for source in sources)
    cursors: list[Iterator[Step]] = []
    for source in sources:
        share = max(1, batch_rows * source.rows // max(1, n_rows))
        cursors += _cursors(source, share, rotation)
    _check_memory(sources, batch_rows, rotation)
    while steps := [step for cursor in cursors if (step := next(cursor, None)) is not None]:
        yield steps


def _cursors(source: Source, share_rows: int, rotation: _Rotation) -> list[Iterator[Step]]:
    """Divide the row groups of a partition among cursors that together give `share_rows` rows."""
    partition, footer = source.partition, source.footer
    order = _row_groups(source, rotation)
    n_cursors = 1 if rotation.seed is None else _n_cursors(source, share_rows, rotation)
    rows = _even(max(1, share_rows // n_cursors), max(footer.row_group_rows(), default=1))
    reader = _reader(source, rotation.columns, rows, n_cursors, rotation)
    counting = reader
    if (counted := rotation.columns.counted) is not rotation.columns:
        counting = _reader(source, counted, rows, n_cursors, rotation)
    spreads = None
    if _is_spread(source, counting, rows, n_cursors, rotation):
        spreads = partial(_spread, partition.path, rotation)
    shares = _divide(order, n_cursors, rotation)
    return [
        (Step(source, reader, unit) for unit in units(partition, footer, rows, share, spreads))
        for share in shares
    ]


def _reader(
    source: Source, columns: Columns, rows: int, n_cursors: int, rotation: _Rotation
) -> PartitionReader:
    footer = source.footer
    # A file may lack columns that the model reads as null.
    present = set(footer.schema.names)
    names = [name for name in columns.names if name in present or footer.is_struct(name)]
    return PartitionReader(
        source.file,
        footer,
        names,
        [name for name in names if name in columns.texts],
        rows,
        n_open=n_cursors * rotation.n_sources,
        whole_bytes=rotation.whole_bytes,
        spills=True,
        limits=rotation.limits,
        int96=columns.int96,
    )


def _spread(path: str, rotation: _Rotation, group: int, n_rows: int, n_shares: int) -> Spread:
    n_pieces = MANY if rotation.spread_bytes is None else FEW
    key = (rotation.seed, "spread", path, group, rotation.epoch)
    return Spread(n_rows, n_shares, n_pieces, key)


def _is_spread(
    source: Source, reader: PartitionReader, rows: int, n_cursors: int, rotation: _Rotation
) -> bool:
    """Return whether large row groups are read in shares from all over them."""
    if rotation.seed is None or rotation.spread_bytes is None:
        return rotation.seed is not None
    rows_of, most = source.footer.row_group_rows(), rotation.spread_bytes
    large = [group for group in source.row_groups if rows_of[group] > rows]
    if not large or not most:
        return False
    found = [reader.large.spread_bytes(group, -(-rows_of[group] // rows)) for group in large]
    n_open = n_cursors * rotation.n_sources
    return all(nbytes is not None and n_open * nbytes <= most for nbytes in found)


def _divide(order: list[int], n_cursors: int, rotation: _Rotation) -> list[list[int]]:
    """Divide row groups among cursors."""
    if rotation.spread_bytes is not None:
        return [order[first::n_cursors] for first in range(n_cursors)]
    # Neighbours resemble each other, so each cursor has neighbours.
    stored = sorted(order)
    cursor_of = {group: n * n_cursors // len(stored) for n, group in enumerate(stored)}
    return [[group for group in order if cursor_of[group] == n] for n in range(n_cursors)]


def _row_groups(source: Source, rotation: _Rotation) -> list[int]:
    """Return the row groups of a partition in the order to read them."""
    partition, stored = source.partition, list(source.row_groups)
    if rotation.seed is None:
        return stored
    # The first pass is keyed without its number, which keeps its order as it has always been.
    epoch = [rotation.epoch] if rotation.epoch > 1 else []
    order = permutation(len(stored), rotation.seed, "row groups", partition.path, *epoch)
    return [stored[int(i)] for i in order]


def _even(rows: int, group_rows: int) -> int:
    """Return the rows of a slice that cuts a row group into nearly equal slices.

    All cursors reach the ends of their row groups in the same round. With unequal slices, that
    round would have few rows of each.
    """
    return -(-group_rows // -(-group_rows // rows)) if group_rows > rows else rows


def _n_cursors(source: Source, share_rows: int, rotation: _Rotation) -> int:
    """Return the number of cursors that large row groups, memory and the share of rows allow."""
    limits, rows = rotation.limits, source.footer.row_group_rows()
    groups = source.row_groups
    n_large = sum(rows[group] > share_rows for group in groups)
    affordable = limits.reader_bytes // max(1, _decoder_bytes(source, rotation))
    most_for_rows = share_rows // limits.min_cursor_rows
    usual = max(1, min(n_large, affordable, limits.max_cursors, most_for_rows))
    if rotation.spread_bytes is not None:
        return usual
    # Row groups that are read in shares have no decoder open between two blocks.
    most = max(1, limits.max_cursors // rotation.n_sources)
    n_cut = sum(rows[group] > share_rows // most for group in groups)
    return max(usual, min(n_cut, most, most_for_rows))


def _check_memory(sources: Sequence[Source], batch_rows: int, rotation: _Rotation) -> None:
    if len(sources) < 2:
        return
    needed = sum(
        _decoder_bytes(source, rotation)
        for source in sources
        if max(source.footer.row_group_rows(), default=0) > batch_rows // len(sources)
    )
    most = rotation.limits.group_reader_bytes
    if needed > most:
        raise JobError(
            f"reading {len(sources)} partitions in turn keeps about {needed >> 20} MiB of decoders "
            f"open (at most {most >> 20}); create the model with a smaller "
            "--interleave, or rewrite the lake with smaller row groups"
        )


def _decoder_bytes(source: Source, rotation: _Rotation) -> int:
    """Return the bytes of one page of each column to read, by the first row group."""
    footer, wanted = source.footer, set(rotation.columns.counted.names)
    if not footer.fingerprint.row_groups:
        return 0
    leaves = [i for i, column in enumerate(footer.chunks.columns) if column in wanted]
    chunks = footer.chunks.of(source.partition.first_row_group, leaves)
    return sum(min(rotation.limits.page_bytes, chunk.total_uncompressed_size) for chunk in chunks)
