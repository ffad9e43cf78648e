"""Decode and encode one block of a group of partitions; this runs in a Dask task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.block import Block, IntArray
from onepass.encode.classes import UnknownClass
from onepass.encode.columns import plain
from onepass.encode.encoder import Draft, Encoded, Encoder, Part
from onepass.encode.frequent import LONG, NOTED_EVERY
from onepass.errors import BadColumn, BadPartition
from onepass.lake.order import drawn, permutation
from onepass.lake.rotation import Step
from onepass.stream.folds import with_folds
from onepass.stream.label_slices import unknown_classes
from onepass.stream.reading import Reading, Streamed
from onepass.stream.selected import Selected, pruned, select, selects

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
    if any(selects(step.source.file, reading.selection) for step in task.steps):
        # How many rows are left is known once all are decoded.
        parts = [_selected(step, reading) for step in task.steps]
        return _block(task, reading, parts, sum(part.rows.num_rows for part in parts))
    return _block(task, reading, (_selected(step, reading) for step in task.steps), task.n_rows)


def _selected(step: Step, reading: Reading) -> Selected:
    rows, source = step.reader.read(step.unit), step.source
    return select(
        rows,
        step.unit,
        source.file,
        source.footer,
        reading.selection,
        without=reading.only_compared(),
    )


def _block(task: BlockTask, reading: Reading, parts: Iterable[Selected], n_rows: int) -> Streamed:
    """Encode the rows that are left of each step; `n_rows` is their number."""
    order = _order(task, reading, n_rows)
    models = reading.models
    # Each draft fills the blocks of one model, or of several that differ in the label alone.
    alike = [0, *(i for i, one in enumerate(models) if one.is_alike)]
    shared = [alike, *([i] for i in range(len(models)) if i not in alike)]
    encoders = [[models[i].encoder for i in numbers] for numbers in shared]
    drafts = [
        first.draft(
            n_rows,
            order,
            label=reading.label,
            noted=_noted_columns(task, first, n_rows),
            linear=models[numbers[0]].linear,
            alike=rest,
        )
        for numbers, (first, *rest) in zip(shared, encoders, strict=True)
    ]
    kept, places, left_out = [], [], Counter[str]()
    for step, part in zip(task.steps, parts, strict=True):
        for draft, own in zip(drafts, encoders, strict=True):
            _write(draft, part.rows, step, own, reading)
        places.append(part.places)
        left_out += part.counts
        if reading.keep:
            # Tables to concatenate need equal types, and only some row groups store dictionaries.
            columns = [plain(part.rows.column(name)) for name in reading.keep]
            kept.append(pa.table(columns, names=list(reading.keep)))
    if not task.number:
        left_out += pruned(task.steps)
    found: dict[int, Streamed] = {}
    for draft, numbers in zip(drafts, shared, strict=True):
        for i, encoded in zip(numbers, draft.finish_all(), strict=True):
            if draft.learns:
                schema = models[i].encoder.schema
                encoded = with_folds(encoded, task.steps, places, schema)
            if left_out:
                encoded = replace(encoded, counts=encoded.counts + left_out)
            found[i] = Streamed(encoded, None, None)
            if models[i].holds_out:
                found[i] = Streamed(*_set_apart(encoded, task.steps, places), None)
    beside = tuple(found[i] for i in range(1, len(models)))
    return replace(found[0], kept=pa.concat_tables(kept) if kept else None, beside=beside)


def _order(task: BlockTask, reading: Reading, n_rows: int) -> IntArray | None:
    if reading.seed is None:
        return None
    return permutation(n_rows, reading.seed, "rows", task.name, task.epoch, task.number)


def _noted_columns(task: BlockTask, encoder: Encoder, n_rows: int) -> NDArray[np.bool_] | None:
    """Choose the hashed columns and crosses whose values are counted; None means all of them.

    In long blocks each column has its turn in one block of `NOTED_EVERY`. The first block of a
    group counts all columns, because it may be the only one.
    """
    if n_rows <= LONG or not task.number:
        return None
    turn = task.number + crc32(f"{task.name}\x1f{task.epoch}".encode())
    columns = np.arange(len(encoder.schema.counted_names()))
    return np.asarray(columns % NOTED_EVERY == turn % NOTED_EVERY)


def _write(
    draft: Draft, rows: pa.RecordBatch, step: Step, encoders: list[Encoder], reading: Reading
) -> None:
    file, groups = step.source.file, step.unit.row_groups
    # A unit of several row groups is encoded as one, so the row is in any of them. The error names
    # one, by which the partition at fault is found.
    first, last = min(groups), max(groups)
    among = "" if first == last else f" (row groups {first} to {last} were read together)"
    try:
        draft.write(Part(rows, dict(file.hive)))
    except BadColumn as error:
        if isinstance(error, UnknownClass):
            error = _of_whole_file(error, step, encoders, reading)
        raise BadPartition(
            f"{error.reason}{among}",
            path=file.key,
            row_group=first,
            column=error.column,
            advice=error.advice,
        ) from None
    except pa.ArrowException as error:
        raise BadPartition(
            f"cannot convert: {error}{among}", path=file.key, row_group=first
        ) from None


def _of_whole_file(
    error: UnknownClass, step: Step, encoders: list[Encoder], reading: Reading
) -> UnknownClass:
    """Return the error with all unknown classes of the file, so that none comes up afterwards."""
    label = next(one.schema.label for one in encoders if one.schema.label.name == error.column)
    found = unknown_classes(step.source.file, step.source.footer, label, reading.selection)
    return UnknownClass(found, label) if found else error


def _set_apart(
    encoded: Encoded, steps: list[Step], places: list[IntArray | None]
) -> tuple[Encoded, Block]:
    """Split off the rows that are held out.

    Only the place of a row in its file decides, so every epoch holds out the same rows.

    Parameters
    ----------
    places
        Places of the rows of each step that are left; None for all.
    """
    held_out = [_held_out_rows(step) for step in steps]
    left = [rows if at is None else rows[at] for rows, at in zip(held_out, places, strict=True)]
    apart = np.concatenate(left)[encoded.rows]
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
