"""Join lake and encoder: a partition as a stream of blocks, made ahead by Dask tasks."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar
from uuid import uuid4
from zlib import crc32

import numpy as np
import pyarrow as pa
from dask.delayed import Delayed

from onepass.block import Block, Linear
from onepass.encode.columns import plain
from onepass.encode.encoder import Draft, Encoded, Encoder, Part
from onepass.encode.frequent import LONG, NOTED_EVERY
from onepass.encode.schema import family
from onepass.errors import BadColumn, BadPartition, DataError
from onepass.lake.limits import DEFAULT_LIMITS, ReadLimits
from onepass.lake.order import drawn, permutation
from onepass.lake.rotation import Columns, Source, Step, rounds
from onepass.stream.check_columns import check_columns
from onepass.stream.workers import Workers

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
    whole_bytes: int = 0
    """Memory for large row groups that are decoded as a whole; it decides no content."""
    limits: ReadLimits = DEFAULT_LIMITS
    """Sizes that bound the memory of readers."""
    linear: Linear | None = None
    """Model to predict with: rows become its margins in place of features."""

    def __post_init__(self) -> None:
        if self.linear is not None and (self.holds_out or self.seed is not None):
            raise ValueError("margins come of all rows, in their order")

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


@dataclass(frozen=True, slots=True)
class Together:
    """Partitions that are read in turn, as one."""

    find: Callable[[], Sequence[Source]]
    """Gives the partitions in their files, when reading has come so far."""
    epoch: int = 1
    """Pass over these partitions, from 1; each has an order of its own."""


def stream(
    sources: Sequence[Source], reading: Reading, workers: Workers, *, epoch: int = 1
) -> Iterator[Streamed]:
    """Blocks of partitions that are read together, in the order in which they are to be learnt.

    Raises
    ------
    BadPartition
        If rows cannot be decoded or encoded, naming file, row group and column.
    """
    for blocks in streams([Together(lambda: sources, epoch)], reading, workers, itself):
        yield from blocks


def streams(
    groups: Sequence[Together],
    reading: Reading,
    workers: Workers,
    function: Callable[[Streamed], T],
) -> Generator[Iterator[T], None, None]:
    """What a function makes of each block, worked out where the block is read, for each group.

    Reading runs ahead across groups, so each is to be taken to its end before the next.

    Raises
    ------
    DataError
        As `stream`, and what `Together.find` raises; when the block in question is asked for.
    """
    ends: deque[bool] = deque()
    results = workers.ordered(_tasks(groups, reading, function, ends))

    def one() -> Iterator[T]:
        for result in results:
            is_last = ends.popleft()
            if result is not None:
                yield result
            if is_last:
                return

    try:
        for _ in groups:
            yield one()
    finally:
        results.close()


def itself(streamed: Streamed) -> Streamed:
    """The block as it is: to be worked on where it is consumed."""
    return streamed


def _tasks(
    groups: Sequence[Together],
    reading: Reading,
    function: Callable[[Streamed], T],
    ends: deque[bool],
) -> Iterator[tuple[Delayed, bool]]:
    """A task for each block; whether it is the last of its group is appended to `ends`."""
    for group in groups:
        number, steps = 0, None
        try:
            for following in _rounds(group, reading):
                if steps is not None:
                    ends.append(False)
                    yield _task(group, number, steps, reading, function)
                    number += 1
                steps = following
        except DataError as error:
            # Raised in its turn: the groups before this one are still to be learnt.
            ends.append(True)
            yield _delayed(partial(_fail, error)), True
        else:
            ends.append(True)
            yield _task(group, number, steps or [], reading, function)


def _rounds(group: Together, reading: Reading) -> Iterator[list[Step]]:
    sources = group.find()
    names = reading.columns()
    schema = reading.encoder.schema
    for source in sources:
        check_columns(
            source.file,
            source.footer,
            schema,
            label=reading.label,
            keep=reading.keep,
        )
    # pyarrow takes only flat columns of text for dictionaries.
    in_files = {f.name for s in sources for f in s.footer.schema if family(f.type) == "text"}
    columns = Columns(names, frozenset(reading.encoder.schema.text_names()) & in_files)
    return rounds(
        sources,
        columns,
        reading.batch_rows,
        seed=reading.seed,
        epoch=group.epoch,
        whole_bytes=reading.whole_bytes,
        limits=reading.limits,
    )


def _task(
    group: Together,
    number: int,
    steps: list[Step],
    reading: Reading,
    function: Callable[[Streamed], T],
) -> tuple[Delayed, bool]:
    # Slices share decoders that live in this process.
    is_local = any(step.unit.is_slice for step in steps)
    make = partial(_make, steps, reading, group.epoch, number, function)
    return _delayed(make), is_local


def _delayed(function: Callable[[], object]) -> Delayed:
    """A graph of one call: `dask.delayed` would look for other tasks in it, and hash it."""
    key = f"block-{uuid4().hex}"
    return Delayed(key, {key: (function,)})  # type: ignore[no-untyped-call]


def _fail(error: DataError) -> None:
    raise error


def _make(
    steps: list[Step],
    reading: Reading,
    epoch: int,
    number: int,
    function: Callable[[Streamed], T],
) -> T | None:
    """Decode and encode block `number` of a group."""
    if not steps:
        return None
    n_rows = sum(step.unit.rows for step in steps)
    order, noted = None, None
    name = steps[0].source.partition.name
    if reading.seed is not None:
        order = permutation(n_rows, reading.seed, "rows", name, epoch, number)
    # Of the first block of a group all columns are noted: there may be no other.
    if n_rows > LONG and number:
        turn = number + crc32(f"{name}\x1f{epoch}".encode())
        numbers = np.arange(reading.encoder.schema.n_hashed)
        noted = numbers % NOTED_EVERY == turn % NOTED_EVERY
    draft = reading.encoder.draft(
        n_rows, order, label=reading.label, noted=noted, linear=reading.linear
    )
    kept = []
    for step in steps:
        rows = step.reader.read(step.unit)
        _write(draft, rows, step)
        if reading.keep:
            # Whether text comes as a dictionary differs from row group to row group.
            columns = [plain(rows.column(name)) for name in reading.keep]
            kept.append(pa.table(columns, names=list(reading.keep)))
    encoded, held_out = draft.finish(), None
    if reading.holds_out:
        encoded, held_out = _set_apart(encoded, steps)
    return function(Streamed(encoded, held_out, pa.concat_tables(kept) if kept else None))


def _write(draft: Draft, rows: pa.RecordBatch, step: Step) -> None:
    file, row_group = step.source.file, step.unit.row_groups[0]
    try:
        draft.write(Part(rows, dict(file.hive)))
    except BadColumn as error:
        raise BadPartition(
            error.reason,
            path=file.key,
            row_group=row_group,
            column=error.column,
            advice=error.advice,
        ) from None
    except pa.ArrowException as error:
        raise BadPartition(f"cannot convert: {error}", path=file.key, row_group=row_group) from None


def _set_apart(encoded: Encoded, steps: list[Step]) -> tuple[Encoded, Block]:
    """Split off the rows that are held out, which depends on their places in the file alone."""
    drawn_of = []
    for step in steps:
        unit, rows_of = step.unit, step.source.footer.row_group_rows()
        places = [(group, rows_of[group], 0) for group in unit.row_groups]
        if unit.is_slice:
            places = [(unit.row_groups[0], unit.rows, unit.offset)]
        drawn_of += [
            drawn(rows, offset, HELD_OUT_SHARE, "held out", step.source.file.key, group)
            for group, rows, offset in places
        ]
    apart = np.concatenate(drawn_of)[encoded.rows]
    block, learnt = encoded.block, np.flatnonzero(~apart)
    counts = encoded.counts + Counter(held_out=int(apart.sum()))
    rest = replace(encoded, block=block.take(learnt), counts=counts, rows=encoded.rows[learnt])
    return rest, block.take(np.flatnonzero(apart))
