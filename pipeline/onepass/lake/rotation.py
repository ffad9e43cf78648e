"""Read in rotation: cursors, evenly spaced over the row groups of one or several partitions.

A block takes its share of rows from each cursor, so that it looks like the whole even where files
or row groups are sorted by what is to be learnt. A cursor within a large row group is an open
decoder with a page of each column, so there are few of them within a partition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onepass.errors import JobError
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.order import permutation
from onepass.lake.read import PAGE_BYTES, PartitionReader, Unit, units
from onepass.partition import Partition

READER_BYTES = 32 << 20
"""Memory that open decoders of one partition may take."""

GROUP_READER_BYTES = 384 << 20
"""Memory that open decoders of interleaved partitions may take."""

MAX_CURSORS = 16

LEAST_ROWS = 32
"""Rows that a cursor gives to a block at least; fewer would cost more than they mix."""


@dataclass(frozen=True, slots=True)
class Source:
    """A partition to read, in its file."""

    partition: Partition
    file: LakeFile
    footer: Footer


@dataclass(frozen=True, slots=True)
class Step:
    """One unit and who reads it."""

    source: Source
    reader: PartitionReader
    unit: Unit


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of each file."""

    names: list[str]
    texts: frozenset[str]
    """Those to read as dictionaries, where the file has them as text."""


def rounds(
    sources: Sequence[Source],
    columns: Columns,
    batch_rows: int,
    *,
    seed: int | None = None,
    epoch: int = 1,
    whole_bytes: int = 0,
) -> Iterator[list[Step]]:
    """Units of at most `batch_rows` rows in all, from each cursor in turn, until all have ended.

    Parameters
    ----------
    sources
        Partitions to read together; each gives rows in proportion to its size.
    seed
        Of the shuffled order of row groups; None reads in stored order with one cursor each.
    whole_bytes
        See `PartitionReader`.

    Raises
    ------
    JobError
        If the partitions are too many for their decoders to be open at once.
    """
    n_rows = sum(source.partition.rows for source in sources)
    cursors: list[Iterator[Step]] = []
    for source in sources:
        share = max(1, batch_rows * source.partition.rows // max(1, n_rows))
        cursors += _cursors(source, columns, share, seed, epoch, len(sources), whole_bytes)
    _check_memory(sources, columns, batch_rows)
    while steps := [step for cursor in cursors if (step := next(cursor, None)) is not None]:
        yield steps


def _cursors(
    source: Source,
    columns: Columns,
    share_rows: int,
    seed: int | None,
    epoch: int,
    n_sources: int,
    whole_bytes: int,
) -> list[Iterator[Step]]:
    partition, footer = source.partition, source.footer
    order = list(range(partition.first_row_group, partition.end_row_group))
    n_cursors = 1
    if seed is not None:
        place = ("row groups", partition.path, *([epoch] if epoch > 1 else []))
        order = [order[int(i)] for i in permutation(len(order), seed, *place)]
        n_cursors = _n_cursors(source, columns, share_rows)
    rows = _even(max(1, share_rows // n_cursors), max(footer.row_group_rows(), default=1))
    texts = [name for name in columns.names if name in columns.texts]
    reader = PartitionReader(
        source.file,
        footer,
        columns.names,
        texts,
        rows,
        n_open=n_cursors * n_sources,
        whole_bytes=whole_bytes,
    )
    shares = [order[first::n_cursors] for first in range(n_cursors)]
    return [
        (Step(source, reader, unit) for unit in units(partition, footer, rows, share))
        for share in shares
    ]


def _even(rows: int, group_rows: int) -> int:
    """Rows of a slice, such that a row group is cut into nearly equal ones.

    All cursors come to the ends of their row groups at the same time, and a block of remnants would
    look like no other.
    """
    return -(-group_rows // -(-group_rows // rows)) if group_rows > rows else rows


def _n_cursors(source: Source, columns: Columns, share: int) -> int:
    rows = source.footer.row_group_rows()
    large = [
        group
        for group in range(source.partition.first_row_group, source.partition.end_row_group)
        if rows[group] > share
    ]
    affordable = READER_BYTES // max(1, _decoder_bytes(source, columns))
    return max(1, min(len(large), affordable, MAX_CURSORS, share // LEAST_ROWS))


def _check_memory(sources: Sequence[Source], columns: Columns, batch_rows: int) -> None:
    if len(sources) < 2:
        return
    needed = sum(
        _decoder_bytes(source, columns)
        for source in sources
        if max(source.footer.row_group_rows(), default=0) > batch_rows // len(sources)
    )
    if needed > GROUP_READER_BYTES:
        raise JobError(
            f"reading {len(sources)} partitions in turn keeps about {needed >> 20} MiB of decoders "
            f"open (at most {GROUP_READER_BYTES >> 20}); create the model with a smaller "
            "--interleave, or rewrite the lake with smaller row groups"
        )


def _decoder_bytes(source: Source, columns: Columns) -> int:
    """A page of each column that is read, of the first row group."""
    metadata = source.footer.metadata
    if not metadata.num_row_groups:
        return 0
    group = metadata.row_group(source.partition.first_row_group)
    chunks = [group.column(i) for i in range(group.num_columns)]
    wanted = set(columns.names)
    return sum(
        min(PAGE_BYTES, chunk.total_uncompressed_size)
        for chunk in chunks
        if chunk.path_in_schema.split(".")[0] in wanted
    )
