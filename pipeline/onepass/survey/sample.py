"""Draw a bounded sample of a lake: a few rows from a few row groups of a few files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa

from onepass.block import IntArray
from onepass.encode.columns import label_family, label_values, plain, typed_hive
from onepass.encode.schema import HiveType
from onepass.errors import BadColumn, BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer, read_footer
from onepass.lake.order import permutation
from onepass.lake.read import PartitionReader
from onepass.lake.units import Unit, units
from onepass.partition import Partition
from onepass.survey.bad_files import BadFiles
from onepass.survey.concat import concat_samples

_T = TypeVar("_T")

SAMPLE_FILES = 32
"""Maximum number of files that a sample takes rows from; they are evenly spaced."""

SAMPLE_GROUPS = 4
"""Maximum number of row groups of each of these files; they are evenly spaced, too."""

SAMPLE_ROWS = 65_536
"""Maximum number of rows of a sample."""

SAMPLE_CELLS = 8 << 20
"""Maximum number of values of a sample, unless that would be fewer than 2,000 rows."""

DECODED_ROWS = 4 << 20
"""Approximate maximum number of rows that are decoded to draw a sample."""

_SLICE_ROWS = 16_384

_FEW_COLUMNS = 128
"""Maximum number of columns with which two row groups are decoded at the same time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows from all over the lake."""

    rows: pa.Table
    """The columns asked for, then the key=value folders in their types."""
    place: IntArray
    """Number of the row group that each row comes from, in stored order."""
    file: IntArray
    """Number of the file that each row comes from."""
    n_places: int
    """Number of row groups that rows were drawn from."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """A row group to draw rows from."""

    file: LakeFile
    footer: Footer
    row_group: int

    @property
    def n_rows(self) -> int:
        return self.footer.row_group_rows()[self.row_group]


def draw_sample(
    files: Sequence[LakeFile],
    names: list[str],
    hive: Mapping[str, HiveType],
    *,
    label: str | None,
    seed: int,
    bad: BadFiles,
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

    Raises
    ------
    BadPartition
        If a file is bad and bad files are not skipped, or if all files are bad.
    """
    cells = list(_choose_cells(files, bad))
    n_rows = min(SAMPLE_ROWS, max(2000, SAMPLE_CELLS // max(1, len(names))))
    draw = partial(
        _draw_or_fail, names=names, n_rows=max(1, n_rows // max(1, len(cells))), n_cells=len(cells),
        label=label, seed=seed,
    )  # fmt: skip
    parts: list[pa.Table] = []
    places: list[IntArray] = []
    files_of: list[IntArray] = []
    numbers = {file.key: number for number, file in enumerate(files)}
    with closing(_side_by_side(draw, cells, len(names))) as drawn:
        for place, (cell, part) in enumerate(zip(cells, drawn, strict=True)):
            if isinstance(part, BadPartition):
                bad.add(part)
            elif cell.file.key not in bad:
                parts.append(_with_folders(part, cell.file, hive))
                places.append(np.full(len(part), place))
                files_of.append(np.full(len(part), numbers[cell.file.key]))
    if not parts:
        raise next(error for error in bad if error.path in numbers)
    # Decoding took many times the memory of the sample, and Arrow would keep it for later.
    pa.default_memory_pool().release_unused()
    return Sample(
        rows=concat_samples(parts),
        place=np.concatenate(places),
        file=np.concatenate(files_of),
        n_places=len(cells),
    )


def _choose_cells(files: Sequence[LakeFile], bad: BadFiles) -> Iterator[_Cell]:
    for file in _evenly(files, SAMPLE_FILES):
        try:
            footer = read_footer(file)
        except BadPartition as error:
            bad.add(error)
            continue
        groups = [i for i, rows in enumerate(footer.row_group_rows()) if rows]
        for group in _evenly(groups, SAMPLE_GROUPS):
            yield _Cell(file, footer, group)


def _evenly(items: Sequence[_T], n: int) -> list[_T]:
    """Choose at most `n` evenly spaced items, the first and the last among them."""
    chosen = np.linspace(0, len(items) - 1, min(n, len(items))).round().astype(int)
    return [items[i] for i in chosen]


def _side_by_side(
    draw: Callable[[_Cell], _T], cells: list[_Cell], n_columns: int
) -> Generator[_T, None, None]:
    """Draw from each cell, in their order, while the next cell is decoded in another thread."""
    # A decoder holds a page of every column, so two decoders of a wide table take too much memory.
    n_threads = 2 if n_columns <= _FEW_COLUMNS else 1
    pool = ThreadPoolExecutor(n_threads)
    try:
        yield from pool.map(draw, cells)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _draw_or_fail(
    cell: _Cell,
    *,
    names: list[str],
    n_rows: int,
    n_cells: int,
    label: str | None,
    seed: int,
) -> pa.Table | BadPartition:
    """Draw rows from a row group; return the error if they are bad."""
    try:
        part = _draw(cell, names, n_rows, n_cells, seed)
        _check_label(part, label, cell)
    except BadPartition as error:
        return error
    return part


def _draw(cell: _Cell, names: list[str], n_rows: int, n_cells: int, seed: int) -> pa.Table:
    """Draw at most `n_rows` rows, spread over as much of the row group as may be decoded."""
    within = min(cell.n_rows, max(n_rows, DECODED_ROWS // n_cells))
    in_file = set(cell.footer.schema.names)
    present = [name for name in names if name in in_file]
    reader = PartitionReader(cell.file, cell.footer, present, [], batch_rows=_SLICE_ROWS)
    parts = []
    for unit in _units_of(cell):
        if unit.offset >= within:
            break
        rows = reader.read(unit)
        ends = (unit.offset, min(unit.offset + unit.rows, within))
        first, last = (n_rows * end // within for end in ends)
        order = permutation(unit.rows, seed, "sample", cell.file.key, *unit.place)
        parts.append(_take(rows, names, np.sort(order[: last - first]), cell))
    return pa.concat_tables(parts)


def _units_of(cell: _Cell) -> Iterator[Unit]:
    whole = Partition(
        path=cell.file.key,
        first_row_group=cell.row_group,
        end_row_group=cell.row_group + 1,
        rows=cell.n_rows,
        fingerprint=cell.footer.fingerprint,
    )
    return units(whole, cell.footer, _SLICE_ROWS)


def _take(rows: pa.RecordBatch, names: list[str], index: IntArray, cell: _Cell) -> pa.Table:
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


def _check_label(part: pa.Table, label: str | None, cell: _Cell) -> None:
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
