"""Survey a lake: every footer, a bounded sample of the rows, and what follows for each column.

`inspect` prints a survey; creating a model freezes one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import pyarrow as pa

from onepass.encode.columns import typed_hive
from onepass.encode.schema import HiveType, family, use_of
from onepass.encode.target import label_target
from onepass.errors import BadColumn, BadPartition, EmptyLake, JobError
from onepass.lake.discover import LakeFile, discover
from onepass.lake.footer_checks import check_claims
from onepass.stream.check_columns import check_names, check_types, hint
from onepass.survey.footers import Glance, Glances
from onepass.survey.label import LabelProfile, profile_label
from onepass.survey.lake_warnings import (
    Place,
    absurd_warnings,
    label_order_warnings,
    leak_warnings,
    weight_warnings,
)
from onepass.survey.naming import naming
from onepass.survey.profile import Choice, ColumnProfile, profile_columns
from onepass.survey.sample import Sample, draw_sample


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


def survey(
    lake: str | list[str],
    *,
    label: str | None,
    weight: str | None = None,
    choice: Choice | None = None,
    loss: str = "auto",
    classes: Sequence[str] = (),
    seed: int = 0,
    skip_bad: bool = False,
    interleaves: bool = False,
) -> Survey:
    """Read all footers and a bounded sample, and decide how each column would be used.

    Parameters
    ----------
    loss, classes
        As in the job; see `profile_label`.
    interleaves
        Whether files will be read in turn, so that a sorted lake needs no warning.

    Raises
    ------
    JobError
        If the lake or a named column does not exist, or the label does not suit the loss.
    DataError
        If there is no row, or a file cannot be used (unless `skip_bad`).
    """
    choice = choice or Choice()
    wanted = {label, weight} - {None}
    readable, bad = _read_footers(discover(lake), skip_bad)
    hive = _hive_types([one.file for one in readable])
    names = {name for one in readable for name in one.schema.names} | set(hive)
    _check_targets(label, weight, names, hive, lake)
    choice.check_names(names)
    rare = _rare(readable, choice, wanted)
    choice = replace(choice, exclude=(*choice.exclude, *rare))
    usual = _usual_kinds(readable, hive, choice, wanted)
    folders = {key: kind for key, kind in hive.items() if choice.wants(key)}
    bad += _disagreeing(readable, usual, set(folders), skip_bad)
    filled = _without(readable, bad, lake)
    read = [name for name in filled[0].schema.names if name in usual]
    sample = draw_sample(
        [one.file for one in filled], read, folders, label=label, seed=seed, skip_bad=skip_bad
    )
    bad += sample.bad
    usable = [one for one in readable if one.file.key not in {error.path for error in bad}]
    columns = profile_columns(sample.rows, _null_shares(usable), choice, skip=wanted)
    bad += _unreadable(usable, columns, set(folders), skip_bad)
    usable = [one for one in usable if one.file.key not in {error.path for error in bad}]
    columns += _unread(filled[0], {*read, *folders}, hive, rare)
    place = Place(sample.place, sample.file, len(filled))
    described, warnings = _describe_label(
        label, loss, classes, sample, None if interleaves else place, columns
    )
    return Survey(
        n_files=len(usable),
        n_rows=sum(one.fingerprint.rows for one in usable),
        nbytes=sum(one.fingerprint.size for one in usable),
        sampled_rows=sample.rows.num_rows,
        columns=columns,
        hive=hive,
        label=described,
        bad=bad,
        warnings=[
            *rare.values(),
            *_shadowed(readable, folders),
            *(c.warning for c in columns if c.warning),
            *absurd_warnings(sample.rows, columns),
            *_weight_warnings(weight, sample),
            *warnings,
        ],
    )


def _read_footers(files: list[LakeFile], skip_bad: bool) -> tuple[list[Glance], list[BadPartition]]:
    glances = Glances()
    readable: list[Glance] = []
    bad: list[BadPartition] = []
    for file in files:
        try:
            readable.append(glances.at(file))
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


def _check_targets(
    label: str | None,
    weight: str | None,
    names: set[str],
    hive: dict[str, HiveType],
    lake: str | list[str],
) -> None:
    for role, name in (("label", label), ("weight", weight)):
        if name in hive:
            raise JobError(f"the {role} {name!r} is a key=value folder; it must be in the files")
        if name is not None and names and name not in names:
            raise JobError(f"no column {name!r} in {lake!r}; the columns are {sorted(names)}")


def _rare(readable: list[Glance], choice: Choice, wanted: set[str | None]) -> dict[str, str]:
    """Columns that most files lack and nobody asks for, each with a warning."""
    seen: Counter[str] = Counter()
    for one in readable:
        seen.update({*one.schema.names, *dict(one.file.hive)})
    asked_for = {*wanted, *choice.features, *choice.numeric, *choice.categorical}
    return {
        name: f"{name}: only in {n} of {len(readable)} files, left out"
        for name, n in sorted(seen.items())
        if 2 * n < len(readable) and name not in asked_for and choice.wants(name)
    }


def _shadowed(readable: list[Glance], folders: dict[str, HiveType]) -> list[str]:
    """Warnings about key=value folders that hide a column of the files."""
    in_files = {name for one in readable for name in one.schema.names}
    return [
        f"{name}: both a key=value folder and a column of the files; the folder is used"
        for name in sorted(in_files & set(folders))
    ]


def _usual_kinds(
    readable: list[Glance], hive: dict[str, HiveType], choice: Choice, wanted: set[str | None]
) -> dict[str, str]:
    """Columns to read, each with the kind of type that it has in most files."""
    seen: Counter[tuple[str, str]] = Counter()
    for one in readable:
        if one.fingerprint.rows:
            seen.update(one.kinds.items())
    usual: dict[str, str] = {}
    # Kinds with values first: a column without any fits to all.
    for (name, found), _ in sorted(seen.most_common(), key=lambda item: item[0][1] == "null"):
        if name not in hive and (name in wanted or choice.wants(name)):
            usual.setdefault(name, found)
    return {name: found for name, found in usual.items() if found != "other" or name in wanted}


def _disagreeing(
    readable: list[Glance], usual: dict[str, str], folders: set[str], skip_bad: bool
) -> list[BadPartition]:
    """Files whose columns are not those of most files."""
    bad = []
    # A column that some files lack may be one of theirs under another name.
    filled = [set(one.schema.names) for one in readable if one.fingerprint.rows]
    shared = set(usual).intersection(*filled)
    for one in readable:
        try:
            _compare(one, usual, folders, shared)
        except BadPartition as error:
            if not skip_bad:
                raise
            bad.append(error)
    return bad


def _unreadable(
    usable: list[Glance], columns: list[ColumnProfile], folders: set[str], skip_bad: bool
) -> list[BadPartition]:
    """Files with a column that cannot be read as the sample of all decided."""
    uses = [(c.name, use_of(c.use)) for c in columns if c.use is not None and c.name not in folders]
    bad = []
    for one in usable if uses else []:
        try:
            if one.fingerprint.rows:
                check_types(one.file, one.schema, uses, is_empty=one.is_empty)
        except BadPartition as error:
            if not skip_bad:
                raise
            bad.append(error)
    return bad


def _without(
    readable: list[Glance], bad: list[BadPartition], lake: str | list[str]
) -> list[Glance]:
    usable = [one for one in readable if one.file.key not in {error.path for error in bad}]
    filled = [one for one in usable if one.fingerprint.rows]
    if not filled:
        raise EmptyLake(f"the lake {lake!r} has {len(usable)} usable Parquet files, but no row")
    return filled


def _unread(
    one: Glance, read: set[str], hive: dict[str, HiveType], rare: dict[str, str]
) -> list[ColumnProfile]:
    types = {field.name: field.type for field in one.schema} | hive
    return [
        ColumnProfile(name, str(dtype), 0.0, 0, None, _why_unread(name, dtype, rare))
        for name, dtype in types.items()
        if name not in read
    ]


def _why_unread(name: str, dtype: pa.DataType | HiveType, rare: dict[str, str]) -> str:
    if name in rare:
        return "in few files only"
    if isinstance(dtype, pa.DataType) and family(dtype) in {"other", "null"}:
        return f"type {dtype} cannot be used"
    return "the job leaves it out"


def _compare(one: Glance, usual: dict[str, str], folders: set[str], shared: set[str]) -> None:
    for name in sorted(folders - set(dict(one.file.hive))):
        _refuse(one, name, "expected in the path as a key=value folder, as of other files")
    if not one.fingerprint.rows:
        return
    for name in usual:
        if name not in one.schema.names:
            like = hint(name, one.schema.names, shared)
            _refuse(one, name, f"the column is missing here, but not in other files{like}")
    try:
        check_names(one.file, one.schema, list(usual))
        check_claims(one.contradictions, usual, one.file.key)
    except BadPartition as error:
        _refuse(one, error.column, error.reason, error.row_group)
    for name, expected in usual.items():
        if one.kinds[name] not in {expected, "null"}:
            dtype = one.schema.field(name).type
            _refuse(one, name, f"type {dtype} here, but a {expected} column in most files")


def _refuse(one: Glance, column: str | None, reason: str, row_group: int | None = None) -> NoReturn:
    leave_out = f", or {naming('exclude', column)}" if column is not None else ""
    advice = f"Repair the file, skip it (--on-bad skip){leave_out}."
    raise BadPartition(reason, path=one.file.key, row_group=row_group, column=column, advice=advice)


def _describe_label(
    name: str | None,
    loss: str,
    classes: Sequence[str],
    sample: Sample,
    place: Place | None,
    columns: list[ColumnProfile],
) -> tuple[LabelProfile | None, list[str]]:
    if name is None:
        return None, []
    values = sample.rows.column(name).combine_chunks()
    found = profile_label(name, values, loss, classes)
    target, nominal = label_target(values, found.label), len(found.label.classes or ()) > 2
    order = [] if place is None else label_order_warnings(name, target, place, classes=nominal)
    leaks = leak_warnings(name, target, sample.rows, columns, classes=nominal)
    return found, [*found.warnings, *order, *leaks]


def _weight_warnings(name: str | None, sample: Sample) -> list[str]:
    values = None if name is None else sample.rows.column(name).combine_chunks()
    # Of another type it is refused where its rows are read.
    usable = values is not None and family(values.type) in {"integer", "real"}
    return weight_warnings(name, values) if name is not None and usable else []


def _null_shares(files: list[Glance]) -> dict[str, float]:
    """Share of nulls in the whole lake for flat columns whose statistics all tell it."""
    nulls: Counter[str] = Counter()
    unknown: set[str] = set()
    n_rows = sum(one.fingerprint.rows for one in files)
    for one in files:
        for path, found in zip(one.paths, one.nulls.tolist(), strict=True):
            if found < 0:
                unknown.add(path)
            else:
                nulls[path] += found
    return {name: n / n_rows for name, n in nulls.items() if name not in unknown}
