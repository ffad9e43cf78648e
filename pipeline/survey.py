"""Survey a lake: every footer, a bounded sample of the rows, and what follows for each column.

`inspect` prints a survey; creating a model freezes one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa

from pipeline.block import IntArray
from pipeline.encode.columns import label_values, typed_hive
from pipeline.encode.label import LabelProfile, profile_label
from pipeline.encode.profile import Choice, ColumnProfile, profile_columns
from pipeline.encode.schema import HiveType, family
from pipeline.encode.warn import label_order_warnings, leak_warnings
from pipeline.errors import BadColumn, BadPartition, EmptyLake, JobError
from pipeline.lake.discover import LakeFile, discover
from pipeline.lake.order import permutation
from pipeline.lake.partition import Footer, Partition, read_footer
from pipeline.lake.read import PartitionReader, Unit, units

_T = TypeVar("_T")

SAMPLE_FILES = 32
SAMPLE_GROUPS = 4
"""The sample takes rows from so many files, evenly spaced, and row groups of each."""

SAMPLE_ROWS = 65_536
SAMPLE_CELLS = 8 << 20
"""It holds at most so many rows, and values."""

DECODED_ROWS = 4 << 20
"""So many rows are decoded to draw it from."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a lake holds and how its columns would be used."""

    n_files: int
    n_rows: int
    nbytes: int
    """Size of all files."""
    sampled_rows: int
    columns: list[ColumnProfile]
    hive: dict[str, HiveType]
    """Type of each column that is written as a key=value folder."""
    label: LabelProfile | None
    """None if no label was named."""
    bad: list[BadPartition]
    """Files that cannot be used; only where they are to be skipped."""
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Read:
    file: LakeFile
    footer: Footer


def survey(
    lake: str | list[str],
    *,
    label: str | None,
    weight: str | None = None,
    choice: Choice | None = None,
    loss: Literal["auto", "squared", "logistic"] = "auto",
    seed: int = 0,
    skip_bad: bool = False,
) -> Survey:
    """Read all footers and a bounded sample, and decide how each column would be used.

    Raises
    ------
    JobError
        If the lake or a named column does not exist, or the label does not suit the loss.
    DataError
        If there is no row, or a file cannot be used (unless `skip_bad`).
    """
    choice = choice or Choice()
    readable, bad = _read_footers(discover(lake), skip_bad)
    hive = _hive_types([one.file for one in readable])
    _check_label(label, readable, hive, lake)
    choice.check_names({name for one in readable for name in one.footer.schema.names} | set(hive))
    wanted = {label, weight} - {None}
    bad += _disagreeing(readable, hive, choice, wanted, skip_bad)
    unusable = {error.path for error in bad}
    usable = [one for one in readable if one.file.key not in unusable]
    filled = [one for one in usable if one.footer.fingerprint.rows]
    if not filled:
        raise EmptyLake(f"the lake {lake!r} has {len(usable)} usable Parquet files, but no row")
    sample, place, n_places = _sample(filled, hive, choice, wanted, seed)
    columns = profile_columns(sample, _null_shares(filled), choice, skip=wanted)
    columns += _unwanted(filled[0], hive, choice, wanted)
    described = None
    warnings = [column.warning for column in columns if column.warning]
    if label is not None:
        target = _label_of(sample, label, filled)
        described = profile_label(label, target, loss)
        warnings += described.warnings
        warnings += label_order_warnings(label, target, place, n_places)
        warnings += leak_warnings(label, target, sample, columns)
    return Survey(
        n_files=len(usable),
        n_rows=sum(one.footer.fingerprint.rows for one in usable),
        nbytes=sum(one.footer.fingerprint.size for one in usable),
        sampled_rows=sample.num_rows,
        columns=columns,
        hive=hive,
        label=described,
        bad=bad,
        warnings=warnings,
    )


def _read_footers(files: list[LakeFile], skip_bad: bool) -> tuple[list[_Read], list[BadPartition]]:
    readable: list[_Read] = []
    bad: list[BadPartition] = []
    for file in files:
        try:
            readable.append(_Read(file, read_footer(file)))
        except BadPartition as error:
            if not skip_bad:
                raise
            bad.append(error)
    return readable, bad


def _hive_types(files: list[LakeFile]) -> dict[str, HiveType]:
    values: dict[str, set[str]] = {}
    for file in files:
        for key, value in file.hive:
            values.setdefault(key, set()).update({value} - {None})  # type: ignore[arg-type]
    return {key: _hive_type(key, sorted(found)) for key, found in values.items()}


def _hive_type(key: str, values: list[str]) -> HiveType:
    kinds: tuple[HiveType, ...] = ("integer", "date")
    for kind in kinds:
        try:
            typed_hive(key, list(values), kind)
        except BadColumn:
            continue
        return kind
    return "text"


def _check_label(
    label: str | None, readable: list[_Read], hive: dict[str, HiveType], lake: str | list[str]
) -> None:
    if label is None:
        return
    names = {name for one in readable for name in one.footer.schema.names}
    if label in hive:
        raise JobError(f"the label {label!r} is a key=value folder; a label must be in the files")
    if readable and label not in names:
        raise JobError(f"no column {label!r} in {lake!r}; the columns are {sorted(names)}")


def _disagreeing(
    readable: list[_Read],
    hive: dict[str, HiveType],
    choice: Choice,
    wanted: set[str | None],
    skip_bad: bool,
) -> list[BadPartition]:
    """Files whose columns are not those of most files."""
    seen: Counter[tuple[str, str]] = Counter()
    for one in readable:
        seen.update({(f.name, _kind(f.type)) for f in one.footer.schema})
    usual: dict[str, str] = {}
    for (name, kind), _ in seen.most_common():
        if kind != "null" and name not in hive and _is_wanted(name, choice, wanted):
            usual.setdefault(name, kind)
    bad = []
    for one in readable:
        try:
            _compare(one, usual)
        except BadPartition as error:
            if not skip_bad:
                raise
            bad.append(error)
    return bad


def _kind(dtype: pa.DataType) -> str:
    found = family(dtype)
    return {"integer": "number", "real": "number"}.get(found, found)


def _is_wanted(name: str, choice: Choice, wanted: set[str | None]) -> bool:
    return name in wanted or choice.wants(name)


def _unwanted(
    one: _Read, hive: dict[str, HiveType], choice: Choice, wanted: set[str | None]
) -> list[ColumnProfile]:
    types = {field.name: str(field.type) for field in one.footer.schema} | hive
    return [
        ColumnProfile(name, str(dtype), 0.0, 0, None, "the job leaves it out")
        for name, dtype in types.items()
        if not _is_wanted(name, choice, wanted)
    ]


def _compare(one: _Read, usual: dict[str, str]) -> None:
    types = {field.name: field.type for field in one.footer.schema}
    for name, kind in usual.items():
        if name not in types:
            raise BadPartition(
                "the column is missing here, but not in other files",
                path=one.file.key,
                column=name,
                advice=f"Repair the file, skip it (--on-bad skip), or --exclude {name}.",
            )
        if _kind(types[name]) not in {kind, "null"}:
            raise BadPartition(
                f"type {types[name]} here, but a {kind} column in most files",
                path=one.file.key,
                column=name,
                advice=f"Repair the file, skip it (--on-bad skip), or --exclude {name}.",
            )


def _sample(
    files: list[_Read],
    hive: dict[str, HiveType],
    choice: Choice,
    wanted: set[str | None],
    seed: int,
) -> tuple[pa.Table, IntArray, int]:
    """Rows from evenly spaced row groups, the place of each row, and the number of places."""
    cells = list(_cells(files))
    names = [
        field.name
        for field in files[0].footer.schema
        if field.name not in hive and _is_wanted(field.name, choice, wanted)
    ]
    n_rows = min(SAMPLE_ROWS, max(2000, SAMPLE_CELLS // max(1, len(names))))
    tables, places = [], []
    wanted_hive = {key: kind for key, kind in hive.items() if _is_wanted(key, choice, wanted)}
    for number, (one, group) in enumerate(cells):
        part = _draw(one, group, names, max(1, n_rows // len(cells)), len(cells), seed)
        for key, kind in wanted_hive.items():
            value = dict(one.file.hive).get(key)
            part = part.append_column(key, typed_hive(key, [value] * len(part), kind))
        tables.append(part)
        places.append(np.full(len(part), number))
    sample = pa.concat_tables(tables, promote_options="permissive")
    return sample.unify_dictionaries(), np.concatenate(places), len(cells)


def _cells(files: list[_Read]) -> Iterator[tuple[_Read, int]]:
    for one in _evenly(files, SAMPLE_FILES):
        groups = [i for i, rows in enumerate(one.footer.row_group_rows()) if rows]
        for group in _evenly(groups, SAMPLE_GROUPS):
            yield one, group


def _evenly(items: Sequence[_T], n: int) -> list[_T]:
    places = np.linspace(0, len(items) - 1, min(n, len(items))).round().astype(int)
    return [items[i] for i in places]


def _draw(
    one: _Read, group: int, names: list[str], n_rows: int, n_cells: int, seed: int
) -> pa.Table:
    """About `n_rows` rows of a row group, spread over as much of it as may be decoded."""
    available = one.footer.row_group_rows()[group]
    within = min(available, max(n_rows, DECODED_ROWS // n_cells))
    reader = PartitionReader(one.file, one.footer, names, [], batch_rows=SAMPLE_ROWS)
    parts = []
    for unit in _units_of(one, group):
        if unit.offset >= within:
            break
        table = reader.read(unit)
        share = -(-n_rows * unit.rows // within)
        order = permutation(unit.rows, seed, "sample", one.file.key, *unit.place)
        parts.append(table.take(pa.array(np.sort(order[:share]))))
    return pa.concat_tables(parts)


def _units_of(one: _Read, group: int) -> Iterator[Unit]:
    whole = Partition(
        path=one.file.key,
        first_row_group=group,
        end_row_group=group + 1,
        rows=one.footer.row_group_rows()[group],
        fingerprint=one.footer.fingerprint,
    )
    return units(whole, one.footer, SAMPLE_ROWS)


def _null_shares(files: list[_Read]) -> dict[str, float]:
    """Share of nulls in the whole lake for flat columns whose statistics all tell it."""
    nulls: Counter[str] = Counter()
    unknown: set[str] = set()
    n_rows = sum(one.footer.fingerprint.rows for one in files)
    for one in files:
        metadata = one.footer.metadata
        for g in range(metadata.num_row_groups):
            group = metadata.row_group(g)
            for c in range(group.num_columns):
                chunk = group.column(c)
                statistics = chunk.statistics
                if statistics is not None and statistics.has_null_count:
                    nulls[chunk.path_in_schema] += statistics.null_count
                else:
                    unknown.add(chunk.path_in_schema)
    return {name: n / n_rows for name, n in nulls.items() if name not in unknown}


def _label_of(sample: pa.Table, label: str, files: list[_Read]) -> np.ndarray:
    try:
        return label_values(sample.column(label).combine_chunks(), label)
    except BadColumn as error:
        raise BadPartition(
            error.reason, path=files[0].file.key, column=label, advice="Choose another --label."
        ) from None
