"""Row groups to draw sample rows from, and the draw from one of them in bounded memory.

A share of the columns is decoded at a time, a slice of rows at a time: pages of a thousand columns,
or a row group of long texts, take more memory than the sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from onepass.block import IntArray
from onepass.encode.columns import plain
from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer, read_footer
from onepass.lake.order import permutation
from onepass.lake.pruning import row_groups
from onepass.lake.read import PartitionReader
from onepass.lake.units import Unit, units
from onepass.partition import Fingerprint, Partition
from onepass.selection.rows import Selection
from onepass.stream.selected import select, selects
from onepass.survey.bad_files import BadFiles
from onepass.survey.widths import Widths

_T = TypeVar("_T")

SAMPLE_FILES = 32
"""Maximum number of files that a sample takes rows from; they are evenly spaced."""

SAMPLE_GROUPS = 4
"""Maximum number of row groups of each of these files; they are evenly spaced, too."""

_SLICE_ROWS = 16_384
"""Maximum number of rows of a slice."""

_SLICE_BYTES = 4 << 20
"""Approximate maximum size of one column of a slice; wide texts make slices of fewer rows."""

_STRETCH_ROWS = 4096
"""Rows of a stretch of a row group."""

_DECODER_BYTES = 32 << 20
"""Approximate maximum memory of the columns that are decoded at the same time."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A row group to draw rows from.

    It does not keep the parsed footer, which takes a kilobyte for each column of each row group.
    """

    file: LakeFile
    fingerprint: Fingerprint
    row_group: int
    n_rows: int


@dataclass(frozen=True, slots=True)
class Draw:
    """Settings that are the same for all cells."""

    shares: list[list[str]]
    """Columns to decode at the same time."""
    slice_rows: int
    """Rows to decode at the same time."""
    n_rows: int
    """Maximum number of rows to draw from a cell."""
    within: int
    """Rows of a cell over which they are spread, unless more are drawn."""
    nbytes: int
    """Maximum size of the rows drawn from a cell."""
    seed: int
    selection: Selection | None = None
    """Rows that the job takes."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows that were drawn from a cell."""

    rows: pa.Table
    stretch: IntArray
    """Number of the stretch of the row group that each row comes from."""
    n_looked: int
    """Rows of the cell that were looked at."""
    n_taken: int
    """Those of them that the job takes, from which the rows were drawn."""


def choose_cells(
    files: Sequence[LakeFile],
    widths: Widths,
    bad: BadFiles,
    selection: Selection | None = None,
) -> Iterator[Cell]:
    """Choose evenly spaced row groups of evenly spaced files, and note the widths of columns."""
    node = None if selection is None else selection.node
    for file in _evenly(files, SAMPLE_FILES):
        try:
            footer = read_footer(file)
        except BadPartition as error:
            bad.add(error)
            continue
        rows = footer.row_group_rows()
        for group in _evenly(row_groups(node, file, footer), SAMPLE_GROUPS):
            widths.note(file, footer, group)
            yield Cell(file, footer.fingerprint, group, rows[group])


def plan_draw(
    widths: Widths,
    n_cells: int,
    *,
    n_rows: int,
    nbytes: int,
    decoded_rows: int,
    seed: int,
    selection: Selection | None = None,
) -> Draw:
    """Divide rows and bytes of a sample among its cells, and columns and rows among decoders.

    Only the footers and a few rows decide, not the memory limit of a job: the sample decides what
    is learnt.

    Parameters
    ----------
    n_rows, nbytes
        Maximum number of rows and size of the sample.
    decoded_rows
        Approximate maximum number of rows that are decoded.
    """
    n_cells = max(1, n_cells)
    slice_rows = widths.slice_rows(_SLICE_BYTES, _SLICE_ROWS)
    affordable = int(nbytes / max(1.0, widths.row_bytes))
    return Draw(
        shares=widths.shares(_DECODER_BYTES, slice_rows),
        slice_rows=slice_rows,
        n_rows=max(1, min(n_rows, affordable) // n_cells),
        within=decoded_rows // n_cells,
        # Estimated widths are rough, so cells that take more are rare but not refused.
        nbytes=2 * nbytes // n_cells,
        seed=seed,
        selection=selection,
    )


def draw_rows(cell: Cell, draw: Draw) -> Drawn:
    """Draw rows from a cell, spread over as much of it as may be decoded.

    Raises
    ------
    BadPartition
        If the row group cannot be decoded, or the file has changed.
    """
    footer = read_footer(cell.file)
    if footer.fingerprint != cell.fingerprint:
        raise BadPartition("has changed while it was read", path=cell.file.key)
    chosen, n_looked, n_taken = _chosen(cell, footer, draw)
    columns: dict[str, pa.ChunkedArray] = {}
    for names in draw.shares:
        part = _draw_share(cell, footer, names, draw, chosen)
        columns |= dict(zip(names, part.columns, strict=True))
    stretch = np.concatenate([(unit.offset + index) // _STRETCH_ROWS for unit, index in chosen])
    part = pa.table(columns)
    kept = _affordable(part, draw.nbytes)
    if kept is not None:
        part, stretch = part.take(pa.array(kept)), stretch[kept]
    return Drawn(part, stretch, n_looked, n_taken)


def _chosen(cell: Cell, footer: Footer, draw: Draw) -> tuple[list[tuple[Unit, IntArray]], int, int]:
    """Return the units of a cell to decode with the rows to draw of each.

    Returns
    -------
    The units, the number of rows that were looked at, and of those that the job takes.
    """
    within = min(cell.n_rows, max(draw.n_rows, draw.within))
    taken = list(_taken(cell, footer, draw, within))
    n_taken = sum(n for _, n, _ in taken)
    n_rows, before, found = min(draw.n_rows, n_taken), 0, []
    for unit, n, places in taken:
        first, last = (n_rows * end // max(1, n_taken) for end in (before, before + n))
        before += n
        if places is None:
            order = permutation(unit.rows, draw.seed, "sample", cell.file.key, *unit.place)
            found.append((unit, np.sort(order[: last - first])))
        else:
            order = permutation(n, draw.seed, "sample", cell.file.key, *unit.place)
            found.append((unit, np.sort(places[order[: last - first]])))
    # Units without a row to draw need not be decoded; one tells the types of the columns.
    needed = [one for one in found if len(one[1])] or found[:1]
    return needed, within, n_taken


def _taken(
    cell: Cell, footer: Footer, draw: Draw, within: int
) -> Iterator[tuple[Unit, int, IntArray | None]]:
    """Yield the units of the first rows of a cell, and number and places of the rows taken.

    The places are None where all rows are taken.
    """
    selection, file = draw.selection, cell.file
    if not selects(file, selection):
        for unit in _units_of(cell, footer, draw.slice_rows):
            if unit.offset >= within:
                return
            yield unit, min(unit.rows, within - unit.offset), None
        return
    names = [] if selection is None else selection.columns
    present = [name for name in names if name in footer.schema.names]
    reader = PartitionReader(file, footer, present, [], batch_rows=draw.slice_rows)
    for unit in _units_of(cell, footer, draw.slice_rows):
        if unit.offset >= within:
            return
        places = select(reader.read(unit), unit, file, footer, selection).places
        places = np.arange(unit.rows) if places is None else places
        places = places[places < within - unit.offset]
        yield unit, len(places), places


def _draw_share(
    cell: Cell,
    footer: Footer,
    names: list[str],
    draw: Draw,
    chosen: Sequence[tuple[Unit, IntArray]],
) -> pa.Table:
    in_file = set(footer.schema.names)
    present = [name for name in names if name in in_file]
    reader = PartitionReader(cell.file, footer, present, [], batch_rows=draw.slice_rows)
    return pa.concat_tables(_take(reader.read(unit), names, index, cell) for unit, index in chosen)


def _units_of(cell: Cell, footer: Footer, slice_rows: int) -> Iterator[Unit]:
    whole = Partition(
        path=cell.file.key,
        first_row_group=cell.row_group,
        end_row_group=cell.row_group + 1,
        rows=cell.n_rows,
        fingerprint=cell.fingerprint,
    )
    return units(whole, footer, slice_rows)


def _take(rows: pa.RecordBatch, names: list[str], index: IntArray, cell: Cell) -> pa.Table:
    # A column that this file may lack is null.
    columns = [
        plain(rows.column(name)).take(pa.array(index))
        if name in rows.schema.names
        else pa.nulls(len(index))
        for name in names
    ]
    for name, values in zip(names, columns, strict=True):
        try:
            values.validate(full=True)
        except pa.ArrowInvalid as error:
            raise BadPartition(
                str(error), path=cell.file.key, row_group=cell.row_group, column=name
            ) from None
    return pa.table(columns, names=names)


def _affordable(part: pa.Table, nbytes: int) -> IntArray | None:
    """Return evenly spaced rows of at most `nbytes`, but one at least; None if all fit."""
    if part.nbytes <= nbytes or not len(part):
        return None
    n_rows = max(1, len(part) * nbytes // part.nbytes)
    return np.array(_evenly(range(len(part)), n_rows))


def _evenly(items: Sequence[_T], n: int) -> list[_T]:
    """Choose at most `n` evenly spaced items, the first and the last among them."""
    chosen = np.linspace(0, len(items) - 1, min(n, len(items))).round().astype(int)
    return [items[i] for i in chosen]
