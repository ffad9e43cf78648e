"""Join lake and encoder: a partition as a stream of blocks, made ahead by Dask tasks."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
import pyarrow as pa
from dask.delayed import Delayed, delayed

from pipeline.block import Block
from pipeline.encode.encoder import Encoded, Encoder
from pipeline.encode.schema import family
from pipeline.errors import BadColumn, BadPartition
from pipeline.lake.cursors import Columns, Source, rounds
from pipeline.lake.discover import LakeFile
from pipeline.lake.order import drawn, permutation
from pipeline.lake.partition import Footer
from pipeline.lake.read import Unit
from pipeline.workers import WINDOW, Workers

T = TypeVar("T")

HELD_OUT_SHARE = 1 / 32
"""Share of the rows that decide between candidates and are never learnt."""


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
    holds_out: bool = False
    """Whether some rows are set apart."""

    def columns(self) -> list[str]:
        """Columns to decode."""
        names = [*self.encoder.schema.names(label=self.label), *self.keep]
        return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Streamed:
    """A block and what came with it."""

    encoded: Encoded
    held_out: Block | None
    """Rows that are not to be learnt; None where none are held out."""
    kept: pa.Table | None
    """The columns named in `Reading.keep`."""


def stream(
    sources: Sequence[Source], reading: Reading, workers: Workers, *, epoch: int = 1
) -> Iterator[Streamed]:
    """Blocks of partitions that are read together, in the order in which they are to be learnt.

    Raises
    ------
    BadPartition
        If rows cannot be decoded or encoded, naming file, row group and column.
    """
    for source in sources:
        check_columns(source.file, source.footer, reading.columns())
    steps_of: deque[int] = deque()
    results = workers.ordered(_tasks(sources, reading, epoch, steps_of))
    for number, first in enumerate(results):
        n_steps = steps_of.popleft()
        if n_steps == 1:
            yield first
        else:
            parts = [first, *islice(results, n_steps - 1)]
            yield _mixed(parts, reading, _place(sources, epoch, number))


def summed(
    sources: Sequence[Source], reading: Reading, workers: Workers, function: Callable[[Block], T]
) -> Iterator[T]:
    """What a function makes of each block, in stored order, worked out where the block is read.

    Raises as `stream`.
    """
    for source in sources:
        check_columns(source.file, source.footer, reading.columns())
    stored = replace(reading, seed=None)
    apply = delayed(_apply, pure=False, traverse=False)
    tasks = _tasks(sources, stored, 1, deque())
    yield from workers.ordered((apply(function, task), is_local) for task, is_local in tasks)


def _apply(function: Callable[[Block], T], streamed: Streamed) -> T:
    return function(streamed.encoded.block)


def _place(sources: Sequence[Source], epoch: int, number: int) -> tuple[object, ...]:
    """What tells the order of rows in one block from that in all others."""
    return ("rows", sources[0].partition.name, epoch, number)


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


def _tasks(
    sources: Sequence[Source], reading: Reading, epoch: int, steps_of: deque[int]
) -> Iterator[tuple[Delayed, bool]]:
    """A task for each unit; the number of units in each block is appended to `steps_of`."""
    schema = reading.encoder.schema
    # pyarrow takes only flat columns of text for dictionaries.
    in_files = {f.name for s in sources for f in s.footer.schema if family(f.type) == "text"}
    columns = Columns(reading.columns(), frozenset(schema.text_names()) & in_files)
    found = rounds(sources, columns, reading.batch_rows, seed=reading.seed, epoch=epoch)
    for number, steps in enumerate(found):
        steps_of.append(len(steps))
        place = _place(sources, epoch, number) if len(steps) == 1 else None
        for step in steps:
            table = delayed(step.reader.read, pure=False, traverse=False)(step.unit)
            encode = delayed(_encode, pure=False, traverse=False)
            yield encode(table, step.unit, step.source, reading, place), step.unit.is_slice


def _mixed(parts: list[Streamed], reading: Reading, place: tuple[object, ...]) -> Streamed:
    block = _shuffled(Block.concatenated([p.encoded.block for p in parts]), reading, place)
    held = [part.held_out for part in parts if part.held_out is not None]
    counts: Counter[str] = Counter()
    frequent: dict[str, Counter[str]] = {}
    for part in parts:
        counts.update(part.encoded.counts)
        for name, values in part.encoded.frequent.items():
            frequent.setdefault(name, Counter()).update(values)
    return Streamed(
        Encoded(block, counts, {name: dict(values) for name, values in frequent.items()}),
        Block.concatenated(held) if held else None,
        kept=None,
    )


def _shuffled(block: Block, reading: Reading, place: tuple[object, ...]) -> Block:
    if reading.seed is None:
        return block
    return block.take(permutation(block.n_rows, reading.seed, *place))


def _encode(
    table: pa.Table,
    unit: Unit,
    source: Source,
    reading: Reading,
    place: tuple[object, ...] | None,
) -> Streamed:
    """Encode a unit; one that is a whole block, at `place`, is shuffled as well."""
    file = source.file
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
    held_out = None
    if reading.holds_out:
        encoded, held_out = _set_apart(encoded, unit, source)
    if place is not None:
        encoded = replace(encoded, block=_shuffled(encoded.block, reading, place))
    kept = table.select(list(reading.keep)) if reading.keep else None
    return Streamed(encoded, held_out, kept)


def _set_apart(encoded: Encoded, unit: Unit, source: Source) -> tuple[Encoded, Block]:
    """Split off the rows that are held out, which depends on their places in the file alone."""
    rows_of = source.footer.row_group_rows()
    places = [(group, rows_of[group], 0) for group in unit.row_groups]
    if unit.is_slice:
        places = [(unit.row_groups[0], unit.rows, unit.offset)]
    apart = np.concatenate(
        [
            drawn(rows, offset, HELD_OUT_SHARE, "held out", source.file.key, group)
            for group, rows, offset in places
        ]
    )
    apart = apart if encoded.rows is None else apart[encoded.rows]
    block = encoded.block
    counts = encoded.counts + Counter(held_out=int(apart.sum()))
    learnt = replace(encoded, block=block.take(np.flatnonzero(~apart)), counts=counts)
    return learnt, block.take(np.flatnonzero(apart))
