"""Draw a bounded sample of a lake: a few rows from a few row groups of a few files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa

from onepass.block import IntArray
from onepass.encode.columns import label_family, label_values, typed_hive
from onepass.encode.schema import HiveType
from onepass.errors import BadColumn, BadPartition
from onepass.lake.discover import LakeFile
from onepass.selection.rows import Selection
from onepass.survey.bad_files import BadFiles
from onepass.survey.cells import Cell, Draw, Drawn, choose_cells, draw_rows, plan_draw
from onepass.survey.concat import concat_samples
from onepass.survey.widths import Widths

_T = TypeVar("_T")

SAMPLE_ROWS = 65_536
"""Maximum number of rows of a sample."""

SAMPLE_CELLS = 8 << 20
"""Maximum number of values of a sample, unless that would be fewer than 2,000 rows."""

SAMPLE_BYTES = 64 << 20
"""Approximate maximum size of a sample: rows of long texts are fewer."""

DECODED_ROWS = 4 << 20
"""Approximate maximum number of rows that are decoded to draw a sample."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows from all over the lake."""

    rows: pa.Table
    """The columns asked for, then the key=value folders in their types."""
    place: IntArray
    """Number of the row group that each row comes from, in stored order."""
    stretch: IntArray
    """Number of the stretch of a row group that each row comes from, counted over all row groups.
    """
    file: IntArray
    """Number of the file that each row comes from."""
    n_places: int
    """Number of row groups that rows were drawn from."""
    taken: float = 1.0
    """Share of the rows of these row groups that the job takes."""

    def widths(self) -> dict[str, float]:
        """Return the mean bytes of a value of each column."""
        n_rows = max(1, self.rows.num_rows)
        return {name: self.rows.column(name).nbytes / n_rows for name in self.rows.column_names}


def draw_sample(
    files: Sequence[LakeFile],
    names: list[str],
    hive: Mapping[str, HiveType],
    *,
    label: str | None,
    seed: int,
    bad: BadFiles,
    selection: Selection | None = None,
) -> Sample:
    """Draw rows from evenly spaced row groups of files that have rows.

    Parameters
    ----------
    files
        Files to draw from, of which none is in `bad`.
    names
        Columns of the files to read.
    hive
        Types of the key=value folders to append.
    label
        Column whose values must be usable as labels; None if there is no label.
    bad
        Files that cannot be decoded, or whose label cannot be used, are added here.
    selection
        Rows that the job takes.

    Raises
    ------
    BadPartition
        If a file is bad and bad files are not skipped, or if all files are bad.
    """
    widths = Widths(names)
    cells = list(choose_cells(files, widths, bad, selection))
    plan = plan_draw(
        widths,
        len(cells),
        n_rows=min(SAMPLE_ROWS, max(2000, SAMPLE_CELLS // max(1, len(names)))),
        nbytes=SAMPLE_BYTES,
        decoded_rows=DECODED_ROWS,
        seed=seed,
        selection=selection,
    )
    draw = partial(_draw_or_fail, draw=plan, label=label)
    parts: list[pa.Table] = []
    places: list[IntArray] = []
    stretches: list[IntArray] = []
    files_of: list[IntArray] = []
    n_rows, n_taken = 0, 0.0
    numbers = {file.key: number for number, file in enumerate(files)}
    with closing(_side_by_side(draw, cells)) as drawn:
        for place, (cell, found) in enumerate(zip(cells, drawn, strict=True)):
            if isinstance(found, BadPartition):
                bad.add(found)
            elif cell.file.key not in bad:
                n_drawn = found.rows.num_rows
                parts.append(_with_folders(found.rows, cell.file, hive))
                places.append(np.full(n_drawn, place))
                stretches.append(found.stretch * len(cells) + place)
                files_of.append(np.full(n_drawn, numbers[cell.file.key]))
                n_rows += cell.n_rows
                n_taken += cell.n_rows * found.n_taken / max(1, found.n_looked)
    if not parts:
        raise next(error for error in bad if error.path in numbers)
    # Decoding took many times the memory of the sample, and Arrow would keep it for later.
    pa.default_memory_pool().release_unused()
    return Sample(
        rows=concat_samples(parts),
        place=np.concatenate(places),
        stretch=np.concatenate(stretches),
        file=np.concatenate(files_of),
        n_places=len(cells),
        taken=n_taken / max(1, n_rows),
    )


def _side_by_side(draw: Callable[[Cell], _T], cells: list[Cell]) -> Generator[_T, None, None]:
    """Draw from each cell, in their order, while the next cell is decoded in another thread."""
    pool = ThreadPoolExecutor(2)
    try:
        yield from pool.map(draw, cells)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _draw_or_fail(cell: Cell, *, draw: Draw, label: str | None) -> Drawn | BadPartition:
    """Draw rows from a row group; see `draw_rows`. Return the error if they are bad."""
    try:
        drawn = draw_rows(cell, draw)
        _check_label(drawn.rows, label, cell)
    except BadPartition as error:
        return error
    return drawn


def _check_label(part: pa.Table, label: str | None, cell: Cell) -> None:
    if label is None:
        return
    values = part.column(label).combine_chunks()
    try:
        if label_family(values, label) != "text":
            label_values(values, label)
    except BadColumn as error:
        raise BadPartition(
            error.reason,
            path=cell.file.key,
            row_group=cell.row_group,
            column=label,
            advice="Choose another --label, or repair the file.",
        ) from None


def _with_folders(part: pa.Table, file: LakeFile, hive: Mapping[str, HiveType]) -> pa.Table:
    for key, kind in hive.items():
        value = dict(file.hive).get(key)
        part = part.append_column(key, typed_hive(key, [value] * len(part), kind))
    return part
