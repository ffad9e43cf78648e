"""Decode and encode one block of a group of partitions; this runs in a Dask task."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import Block, IntArray
from onepass.encode.classes import UnknownClass
from onepass.encode.columns import plain
from onepass.encode.encoder import Draft, Encoded, Part
from onepass.encode.frequent import LONG, NOTED_EVERY
from onepass.encode.schema import Label
from onepass.errors import BadColumn, BadPartition
from onepass.lake.order import drawn, permutation
from onepass.lake.rotation import Step
from onepass.stream.label_slices import unknown_classes
from onepass.stream.reading import Reading, Streamed

HELD_OUT_SHARE = 1 / 32
"""Share of the rows that are never learnt, and by which the best candidate is chosen."""


@dataclass(frozen=True, slots=True)
class BlockTask:
    """The units to read for one block, with the numbers that seed the order of its rows."""

    steps: list[Step]
    """The units, each with its reader."""
    epoch: int
    """Number of the pass over the partitions, from 1."""
    number: int
    """Number of the block in its group, from 0."""

    @property
    def is_local(self) -> bool:
        """Whether the task must run in this process: slices of a row group share a decoder."""
        return any(step.unit.is_slice for step in self.steps)

    @property
    def n_rows(self) -> int:
        """Number of rows to read, before rows are dropped or held out."""
        return sum(step.unit.rows for step in self.steps)

    @property
    def name(self) -> str:
        """Name of the partition that the block begins with."""
        return self.steps[0].source.partition.name


def make_block(task: BlockTask, reading: Reading) -> Streamed:
    """Decode and encode a block.

    Returns
    -------
    The block, with the held-out rows and the columns to keep that `reading` asks for.

    Raises
    ------
    BadPartition
        If rows cannot be decoded or encoded. The error names file, row group and column.
    """
    draft = reading.encoder.draft(
        task.n_rows,
        _order(task, reading),
        label=reading.label,
        noted=_noted_columns(task, reading),
        linear=reading.linear,
    )
    kept = []
    for step in task.steps:
        rows = step.reader.read(step.unit)
        _write(draft, rows, step, reading.encoder.schema.label)
        if reading.keep:
            # Tables to concatenate need equal types, and only some row groups store dictionaries.
            columns = [plain(rows.column(name)) for name in reading.keep]
            kept.append(pa.table(columns, names=list(reading.keep)))
    encoded, held_out = draft.finish(), None
    if reading.holds_out:
        encoded, held_out = _set_apart(encoded, task.steps)
    return Streamed(encoded, held_out, pa.concat_tables(kept) if kept else None)


def _order(task: BlockTask, reading: Reading) -> IntArray | None:
    if reading.seed is None:
        return None
    return permutation(task.n_rows, reading.seed, "rows", task.name, task.epoch, task.number)


def _noted_columns(task: BlockTask, reading: Reading) -> NDArray[np.bool_] | None:
    """Choose the hashed columns and crosses whose values are counted; None means all of them.

    In long blocks each column has its turn in one block of `NOTED_EVERY`. The first block of a
    group counts all columns, because it may be the only one.
    """
    if task.n_rows <= LONG or not task.number:
        return None
    turn = task.number + crc32(f"{task.name}\x1f{task.epoch}".encode())
    columns = np.arange(len(reading.encoder.schema.counted_names()))
    return np.asarray(columns % NOTED_EVERY == turn % NOTED_EVERY)


def _write(draft: Draft, rows: pa.RecordBatch, step: Step, label: Label) -> None:
    file, row_group = step.source.file, step.unit.row_groups[0]
    try:
        draft.write(Part(rows, dict(file.hive)))
    except BadColumn as error:
        if isinstance(error, UnknownClass):
            error = _of_whole_file(error, step, label)
        raise BadPartition(
            error.reason,
            path=file.key,
            row_group=row_group,
            column=error.column,
            advice=error.advice,
        ) from None
    except pa.ArrowException as error:
        raise BadPartition(f"cannot convert: {error}", path=file.key, row_group=row_group) from None


def _of_whole_file(error: UnknownClass, step: Step, label: Label) -> UnknownClass:
    """Return the error with all unknown classes of the file, so that none comes up afterwards."""
    found = unknown_classes(step.source.file, step.source.footer, label)
    return UnknownClass(found, label) if found else error


def _set_apart(encoded: Encoded, steps: list[Step]) -> tuple[Encoded, Block]:
    """Split off the rows that are held out.

    Only the place of a row in its file decides, so every epoch holds out the same rows.
    """
    apart = np.concatenate([_held_out_rows(step) for step in steps])[encoded.rows]
    block, learnt = encoded.block, np.flatnonzero(~apart)
    counts = encoded.counts + Counter(held_out=int(apart.sum()))
    rest = replace(encoded, block=block.take(learnt), counts=counts, rows=encoded.rows[learnt])
    return rest, block.take(np.flatnonzero(apart))


def _held_out_rows(step: Step) -> NDArray[np.bool_]:
    places = step.unit.ranges(step.source.footer.row_group_rows())
    return np.concatenate(
        [
            drawn(rows, first, HELD_OUT_SHARE, "held out", step.source.file.key, group)
            for group, first, rows in places
        ]
    )
