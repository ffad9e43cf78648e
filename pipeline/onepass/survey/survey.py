"""Survey a lake: read every footer, draw a bounded sample, and decide the use of each column.

`inspect` prints a survey, and creating a model freezes one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from onepass.encode.schema import HiveType, family
from onepass.errors import BadPartition, EmptyLake, JobError
from onepass.lake.discover import discover
from onepass.survey.agreement import check_agreement, check_uses, rare_columns, usual_kinds
from onepass.survey.bad_files import BadFiles
from onepass.survey.folders import folder_types, folder_warnings
from onepass.survey.footers import FooterSummary, null_shares, read_summaries
from onepass.survey.label import LabelProfile, describe_label
from onepass.survey.lake_warnings import Place, absurd_warnings, weight_warnings
from onepass.survey.profile import Choice, ColumnProfile, profile_columns
from onepass.survey.sample import Sample, draw_sample
from onepass.survey.tails import Tails, curb_tails


@dataclass(frozen=True, slots=True)
class Survey:
    """The contents of a lake, and how each of its columns would be used."""

    n_files: int
    """Number of files that can be used."""
    n_rows: int
    """Number of rows of these files."""
    nbytes: int
    """Size of these files."""
    sampled_rows: int
    """Number of rows of the sample."""
    columns: list[ColumnProfile]
    """All columns except label and weight."""
    hive: dict[str, HiveType]
    """Type of each column that is written as a key=value folder."""
    label: LabelProfile | None
    """None if the job has no label."""
    bad: list[BadPartition]
    """Errors of the files that cannot be used; empty unless bad files are skipped."""
    warnings: list[str]
    """Messages to the user about the lake."""


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
    tails: Tails = "auto",
) -> Survey:
    """Read all footers and a bounded sample, and decide how each column would be used.

    Parameters
    ----------
    loss, classes
        As in the job; see `onepass.survey.label.profile_label`.
    seed
        Seed of the sample.
    skip_bad
        Whether to leave out files that cannot be used, and list them. Otherwise raise an error.
    interleaves
        Whether training will interleave partitions, so that a sorted lake needs no warning.
    tails
        Treatment of numbers with heavy tails; see `onepass.survey.tails`.

    Raises
    ------
    JobError
        If the lake or a named column does not exist, or the label does not suit the loss.
    DataError
        If there is no row, or a file cannot be used (unless `skip_bad`).
    """
    targets = {name for name in (label, weight) if name is not None}
    bad = BadFiles(skip=skip_bad)
    found = _compare_files(lake, label, weight, choice or Choice(), bad)
    files = [one.file for one in found.filled]
    sample = draw_sample(files, found.names, found.folders, label=label, seed=seed, bad=bad)
    usable = _usable(found.files, bad)
    columns = profile_columns(sample.rows, null_shares(usable), found.choice, skip=targets)
    check_uses(usable, columns, found.folders, bad)
    columns += _unread_columns(found)
    place = None if interleaves else Place(sample.place, sample.file, len(files))
    described, label_warnings = describe_label(label, loss, classes, sample, place, columns)
    columns, tail_warnings = curb_tails(columns, sample.rows, described, tails)
    usable = _usable(usable, bad)
    return Survey(
        n_files=len(usable),
        n_rows=sum(one.fingerprint.rows for one in usable),
        nbytes=sum(one.fingerprint.size for one in usable),
        sampled_rows=sample.rows.num_rows,
        columns=columns,
        hive=found.hive,
        label=described,
        bad=list(bad),
        warnings=[
            *found.rare.values(),
            *folder_warnings(found.files, found.folders),
            *(c.warning for c in columns if c.warning),
            *tail_warnings,
            *absurd_warnings(sample.rows, columns),
            *_weight_warnings(weight, sample),
            *label_warnings,
        ],
    )


@dataclass(frozen=True, slots=True)
class _Footers:
    """The facts about a lake that its footers tell."""

    files: list[FooterSummary]
    """All files with a readable footer."""
    filled: list[FooterSummary]
    """Files that agree with most files, and have rows."""
    hive: dict[str, HiveType]
    """Type of each key=value folder."""
    folders: dict[str, HiveType]
    """Those of the folders that may be features."""
    names: list[str]
    """Columns to read from the files."""
    rare: dict[str, str]
    """Warning about each column that is left out because few files have it."""
    choice: Choice
    """The user's choice, with the rare columns excluded."""


def _compare_files(
    lake: str | list[str],
    label: str | None,
    weight: str | None,
    choice: Choice,
    bad: BadFiles,
) -> _Footers:
    """Read all footers, decide which columns to read, and find the files that differ."""
    targets = {name for name in (label, weight) if name is not None}
    files = read_summaries(discover(lake), bad)
    hive = folder_types(one.file for one in files)
    _check_names(label, weight, choice, files, hive, lake)
    rare = rare_columns(files, choice, targets)
    choice = replace(choice, exclude=(*choice.exclude, *rare))
    usual = usual_kinds(files, hive, choice, targets)
    folders = {key: kind for key, kind in hive.items() if choice.wants(key)}
    check_agreement(files, usual, folders, bad)
    filled = _filled(_usable(files, bad), lake)
    names = [name for name in filled[0].schema.names if name in usual]
    return _Footers(files, filled, hive, folders, names, rare, choice)


def _check_names(
    label: str | None,
    weight: str | None,
    choice: Choice,
    files: Iterable[FooterSummary],
    hive: Mapping[str, HiveType],
    lake: str | list[str],
) -> None:
    """Check that the columns that the job names exist, and that label and weight are no folders."""
    names = {name for one in files for name in one.schema.names} | set(hive)
    for role, name in (("label", label), ("weight", weight)):
        if name in hive:
            raise JobError(f"the {role} {name!r} is a key=value folder; it must be in the files")
        if name is not None and names and name not in names:
            raise JobError(f"no column {name!r} in {lake!r}; the columns are {sorted(names)}")
    choice.check_names(names)


def _usable(files: Iterable[FooterSummary], bad: BadFiles) -> list[FooterSummary]:
    return [one for one in files if one.file.key not in bad]


def _filled(usable: Sequence[FooterSummary], lake: str | list[str]) -> list[FooterSummary]:
    """Return the files that have rows.

    Raises
    ------
    EmptyLake
        If there is none.
    """
    filled = [one for one in usable if one.fingerprint.rows]
    if not filled:
        raise EmptyLake(f"the lake {lake!r} has {len(usable)} usable Parquet files, but no row")
    return filled


def _unread_columns(found: _Footers) -> list[ColumnProfile]:
    """Return profiles of the columns that were left out of the sample."""
    read = {*found.names, *found.folders}
    types = {field.name: field.type for field in found.filled[0].schema} | found.hive
    return [
        ColumnProfile(name, str(dtype), 0.0, 0, None, _why_unread(name, dtype, found.rare))
        for name, dtype in types.items()
        if name not in read
    ]


def _why_unread(name: str, dtype: pa.DataType | HiveType, rare: Collection[str]) -> str:
    if name in rare:
        return "in few files only"
    if isinstance(dtype, pa.DataType) and family(dtype) in {"other", "null"}:
        return f"type {dtype} cannot be used"
    return "the job leaves it out"


def _weight_warnings(name: str | None, sample: Sample) -> list[str]:
    values = None if name is None else sample.rows.column(name).combine_chunks()
    # Weights of another type are refused when their rows are encoded.
    usable = values is not None and family(values.type) in {"integer", "real"}
    return weight_warnings(name, values) if name is not None and usable else []
