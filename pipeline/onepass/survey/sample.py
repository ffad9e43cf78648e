"""Draw a bounded sample of a lake: a few row groups of a few files, a few rows of each."""

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
from onepass.encode.schema import HiveType, family
from onepass.errors import BadColumn, BadPartition, DataError
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer, read_footer
from onepass.lake.order import permutation
from onepass.lake.read import PartitionReader
from onepass.lake.units import Unit, units
from onepass.partition import Partition

_T = TypeVar("_T")

SAMPLE_FILES = 32
SAMPLE_GROUPS = 4
"""The sample takes rows from so many files, evenly spaced, and row groups of each."""

SAMPLE_ROWS = 65_536
SAMPLE_CELLS = 8 << 20
"""It holds at most so many rows, and values."""

DECODED_ROWS = 4 << 20
"""So many rows are decoded to draw it from."""

_SLICE_ROWS = 16_384

_FEW_COLUMNS = 128
"""Up to so many columns two row groups are decoded at once."""


@dataclass(frozen=True, slots=True)
class _ReadFile:
    """A file to draw rows from."""

    file: LakeFile
    footer: Footer


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows from all over the lake."""

    rows: pa.Table
    """The columns asked for, then the key=value folders, typed."""
    place: IntArray
    """For each row the number of the row group that it comes from, in stored order."""
    file: IntArray
    """For each row the number of the file that it comes from."""
    n_places: int
    """Number of row groups that rows were drawn from."""
    bad: list[BadPartition]
    """Files that could not be decoded; only where they are to be skipped."""


def draw_sample(
    files: list[LakeFile],
    names: list[str],
    hive: Mapping[str, HiveType],
    *,
    label: str | None,
    seed: int,
    skip_bad: bool = False,
) -> Sample:
    """Rows from evenly spaced row groups of files that have rows.

    Parameters
    ----------
    names
        Columns of the files to read.
    hive
        Key=value folders to append.

    Raises
    ------
    BadPartition
        If rows cannot be decoded or the label is of no usable type; where all files are bad, also
        with `skip_bad`.
    """
    bad: dict[str, BadPartition] = {}
    cells = list(_cells(files, bad, skip_bad=skip_bad))
    n_rows = min(SAMPLE_ROWS, max(2000, SAMPLE_CELLS // max(1, len(names))))
    parts: list[pa.Table] = []
    places: list[IntArray] = []
    files_of: list[IntArray] = []
    numbers = {file.key: number for number, file in enumerate(files)}
    draw = partial(
        _drawn, names=names, n_rows=max(1, n_rows // max(1, len(cells))), n_cells=len(cells),
        label=label, seed=seed,
    )  # fmt: skip
    with closing(_side_by_side(draw, cells, len(names))) as drawn:
        for number, ((one, _), part) in enumerate(zip(cells, drawn, strict=True)):
            if one.file.key in bad:
                continue
            if isinstance(part, BadPartition):
                bad[one.file.key] = part
                if not skip_bad:
                    raise part
                continue
            parts.append(_with_folders(part, one.file, hive))
            places.append(np.full(len(part), number))
            files_of.append(np.full(len(part), numbers[one.file.key]))
    if not parts:
        raise next(iter(bad.values()))
    # What was decoded is many times the sample, and would stay with the process.
    pa.default_memory_pool().release_unused()
    return Sample(
        rows=_joined(parts),
        place=np.concatenate(places),
        file=np.concatenate(files_of),
        n_places=len(cells),
        bad=list(bad.values()),
    )


def _side_by_side(
    draw: Callable[[tuple[_ReadFile, int]], _T], cells: list[tuple[_ReadFile, int]], n_columns: int
) -> Generator[_T, None, None]:
    """What is drawn of each cell, in their order, while the next is decoded beside it."""
    # Decoders hold a page of every column.
    n_threads = 2 if n_columns <= _FEW_COLUMNS else 1
    pool = ThreadPoolExecutor(n_threads)
    try:
        yield from pool.map(draw, cells)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _cells(
    files: list[LakeFile], bad: dict[str, BadPartition], *, skip_bad: bool
) -> Iterator[tuple[_ReadFile, int]]:
    for file in _evenly(files, SAMPLE_FILES):
        try:
            one = _ReadFile(file, read_footer(file))
        except BadPartition as error:
            bad[file.key] = error
            if not skip_bad:
                raise
            continue
        groups = [i for i, rows in enumerate(one.footer.row_group_rows()) if rows]
        for group in _evenly(groups, SAMPLE_GROUPS):
            yield one, group


def _evenly(items: Sequence[_T], n: int) -> list[_T]:
    places = np.linspace(0, len(items) - 1, min(n, len(items))).round().astype(int)
    return [items[i] for i in places]


def _drawn(
    cell: tuple[_ReadFile, int],
    *,
    names: list[str],
    n_rows: int,
    n_cells: int,
    label: str | None,
    seed: int,
) -> pa.Table | BadPartition:
    """The sample of a row group, or what is bad about it."""
    one, group = cell
    try:
        part = _draw(one, group, names, n_rows, n_cells, seed)
        _check_label(part, label, one, group)
    except BadPartition as error:
        return error
    return part


def _draw(
    one: _ReadFile, group: int, names: list[str], n_rows: int, n_cells: int, seed: int
) -> pa.Table:
    """At most `n_rows` rows of a row group, spread over as much of it as may be decoded."""
    available = one.footer.row_group_rows()[group]
    within = min(available, max(n_rows, DECODED_ROWS // n_cells))
    reader = PartitionReader(one.file, one.footer, names, [], batch_rows=_SLICE_ROWS)
    parts = []
    for unit in _units_of(one, group):
        if unit.offset >= within:
            break
        rows = reader.read(unit)
        ends = (unit.offset, min(unit.offset + unit.rows, within))
        first, last = (n_rows * end // within for end in ends)
        order = permutation(unit.rows, seed, "sample", one.file.key, *unit.place)
        parts.append(_taken(rows, names, np.sort(order[: last - first]), one, group))
    return pa.concat_tables(parts)


def _taken(
    rows: pa.RecordBatch, names: list[str], index: IntArray, one: _ReadFile, group: int
) -> pa.Table:
    columns = [plain(rows.column(name)).take(pa.array(index)) for name in names]
    for name, values in zip(names, columns, strict=True):
        try:
            values.validate(full=True)
        except pa.ArrowInvalid as error:
            raise BadPartition(
                str(error), path=one.file.key, row_group=group, column=name
            ) from None
    return pa.table(columns, names=names)


def _units_of(one: _ReadFile, group: int) -> Iterator[Unit]:
    whole = Partition(
        path=one.file.key,
        first_row_group=group,
        end_row_group=group + 1,
        rows=one.footer.row_group_rows()[group],
        fingerprint=one.footer.fingerprint,
    )
    return units(whole, one.footer, _SLICE_ROWS)


def _check_label(part: pa.Table, label: str | None, one: _ReadFile, group: int) -> None:
    try:
        if label is not None:
            values = part.column(label).combine_chunks()
            if label_family(values, label) != "text":
                label_values(values, label)
    except BadColumn as error:
        raise BadPartition(
            error.reason,
            path=one.file.key,
            row_group=group,
            column=label,
            advice="Choose another --label, or repair the file.",
        ) from None


def _with_folders(part: pa.Table, file: LakeFile, hive: Mapping[str, HiveType]) -> pa.Table:
    for key, kind in hive.items():
        value = dict(file.hive).get(key)
        part = part.append_column(key, typed_hive(key, [value] * len(part), kind))
    return part


def _joined(parts: list[pa.Table]) -> pa.Table:
    for name in parts[0].schema.names:
        types = {part.schema.field(name).type for part in parts} - {pa.null()}
        # Arrow widens integers by itself, and must, for they may be ids.
        if len(types) > 1 and {family(found) for found in types} != {"integer"}:
            parts = [_in_common_type(part, name) for part in parts]
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise DataError(f"the files have integers of different types: {error}") from None


def _in_common_type(part: pa.Table, name: str) -> pa.Table:
    """One column in a type for all of its family: files differ in units, digits, widths."""
    values, at = part.column(name).combine_chunks(), part.schema.get_field_index(name)
    types = {"text": pa.string(), "time": pa.timestamp("us"), "bool": pa.bool_()}
    common = types.get(family(values.type), pa.float64())
    # A column without a value has any type.
    empty = values.null_count == len(values)
    values = pa.nulls(len(values)) if empty else values.cast(common, safe=False)
    return part.set_column(at, name, values)
