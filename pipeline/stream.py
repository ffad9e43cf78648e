"""Join lake and encoder: a partition as a stream of blocks, made ahead by Dask tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
from dask.delayed import Delayed, delayed

from pipeline.encode.encoder import Encoded, Encoder
from pipeline.encode.schema import family
from pipeline.errors import BadColumn, BadPartition
from pipeline.lake.discover import LakeFile
from pipeline.lake.order import permutation
from pipeline.lake.partition import Footer, Partition
from pipeline.lake.read import PartitionReader, Unit, units
from pipeline.workers import WINDOW, Workers


@dataclass(frozen=True, slots=True)
class Reading:
    """How a partition is read; fixed by the frozen job, so that every run sees the same."""

    encoder: Encoder
    batch_rows: int
    """Upper bound of rows in a block."""
    seed: int | None = None
    """Seed of the shuffled order; None reads in stored order."""
    label: bool = True
    """Whether labels and weights are read."""
    keep: tuple[str, ...] = ()
    """Further columns of the files to hand on beside the block."""

    def columns(self) -> list[str]:
        """Columns to decode."""
        names = [*self.encoder.schema.names(label=self.label), *self.keep]
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Streamed:
    """A block and where it came from."""

    encoded: Encoded
    unit: Unit
    kept: pa.Table | None
    """The columns named in `Reading.keep`."""


def stream(
    partition: Partition, file: LakeFile, footer: Footer, reading: Reading, workers: Workers
) -> Iterator[Streamed]:
    """Blocks of a partition in the order in which they are to be learnt.

    Raises
    ------
    BadPartition
        If rows cannot be decoded or encoded, naming file, row group and column.
    """
    check_columns(file, footer, reading.columns())
    schema = reading.encoder.schema
    # pyarrow takes only flat columns of text for dictionaries.
    in_file = {field.name for field in footer.schema if family(field.type) == "text"}
    texts = [name for name in schema.text_names() if name in in_file]
    reader = PartitionReader(file, footer, reading.columns(), texts, reading.batch_rows)
    cut = units(partition, footer, reading.batch_rows, _row_group_order(partition, reading))
    yield from workers.ordered((_task(reader, unit, file, reading), unit.is_slice) for unit in cut)


def check_columns(file: LakeFile, footer: Footer, names: list[str]) -> None:
    """Compare the columns that will be read with those of the file.

    Raises
    ------
    BadPartition
        If one is missing or there twice.
    """
    present = footer.schema.names
    for name in names:
        if present.count(name) != 1:
            found = "is missing" if name not in present else "is there more than once"
            raise BadPartition(f"the column {found}", path=file.key, column=name)


def memory_per_row(n_columns: int, n_dense: int, n_hashed: int) -> int:
    """Bytes that one row needs while it is on its way through the window of tasks.

    Decoded values, the block, its permuted copy and temporary columns, for each task under way, the
    one being waited for and the one being learnt.
    """
    return (WINDOW + 2) * (24 * n_columns + 12 * n_dense + 8 * n_hashed + 48)


def _row_group_order(partition: Partition, reading: Reading) -> list[int] | None:
    if reading.seed is None:
        return None
    first = partition.first_row_group
    order = permutation(partition.end_row_group - first, reading.seed, "row groups", partition.path)
    return [first + int(i) for i in order]


def _task(reader: PartitionReader, unit: Unit, file: LakeFile, reading: Reading) -> Delayed:
    table = delayed(reader.read, pure=False, traverse=False)(unit)
    task: Delayed = delayed(_encode, pure=False, traverse=False)(table, unit, file, reading)
    return task


def _encode(table: pa.Table, unit: Unit, file: LakeFile, reading: Reading) -> Streamed:
    try:
        encoded = reading.encoder.encode(table, dict(file.hive), label=reading.label)
    except BadColumn as error:
        raise BadPartition(
            error.reason,
            path=file.key,
            row_group=unit.row_groups[0],
            column=error.column,
            advice=error.advice,
        ) from None
    except pa.ArrowException as error:
        raise BadPartition(
            f"cannot convert: {error}", path=file.key, row_group=unit.row_groups[0]
        ) from None
    if reading.seed is not None:
        order = permutation(encoded.block.n_rows, reading.seed, "rows", file.key, *unit.place)
        encoded = replace(encoded, block=encoded.block.take(order))
    kept = table.select(list(reading.keep)) if reading.keep else None
    return Streamed(encoded, unit, kept)
