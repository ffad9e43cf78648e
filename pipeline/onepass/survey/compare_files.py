"""Compare the footers of a lake, and decide which columns and files can be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from onepass.encode.schema import HiveType
from onepass.errors import BadPartition, EmptyLake, first_line
from onepass.job_values import Roles
from onepass.survey.agreement import check_agreement, usual_kinds
from onepass.survey.bad_files import BadFiles
from onepass.survey.choice import Choice
from onepass.survey.folders import folder_types
from onepass.survey.footers import FooterSummary
from onepass.survey.globs import check_names, without_patterns
from onepass.survey.optional_columns import Lacking, OnMissing, decide_missing
from onepass.survey.profile import ColumnProfile
from onepass.survey.unread import check_named, no_columns, unread_columns
from onepass.text import counted


@dataclass(frozen=True, slots=True)
class Footers:
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
    unread: list[ColumnProfile]
    """Columns that are not read, with the reason."""
    lacking: Lacking
    """Columns that some files lack."""
    choice: Choice
    """The user's choice, with the columns excluded that few files have."""


def compare_files(
    files: list[FooterSummary],
    lake: str | list[str],
    roles: Roles,
    choice: Choice,
    bad: BadFiles,
    on_missing: OnMissing,
) -> Footers:
    """Decide by all footers which columns to read, and find the files that differ."""
    targets = roles.columns
    hive = folder_types(one.file for one in files)
    all_names = {name for one in files for name in one.schema.names} | set(hive)
    asked, choice = choice, without_patterns(choice, all_names, targets)
    check_names(roles, choice, all_names, hive, lake)
    lacking = decide_missing(files, choice, targets, on_missing, asked)
    choice = replace(choice, exclude=(*choice.exclude, *lacking.left_out))
    usual = usual_kinds(files, hive, choice, targets)
    folders = {key: kind for key, kind in hive.items() if choice.reads(key)}
    check_agreement(files, usual, targets, folders, bad, lacking.optional, choice)
    filled = filled_files(usable_files(files, bad), lake, list(bad))
    # The first file with rows decides the order, and later ones append what it lacks.
    in_files = dict.fromkeys(name for one in filled for name in one.schema.names)
    names = [name for name in in_files if name in usual]
    types = _types(filled, hive)
    check_named(types, choice)
    unread = unread_columns(types, {*names, *folders}, lacking.left_out)
    if not names:
        raise no_columns(lake, unread)
    return Footers(files, filled, hive, folders, names, unread, lacking, choice)


def usable_files(files: Iterable[FooterSummary], bad: BadFiles) -> list[FooterSummary]:
    """Return the files that are not among the bad ones."""
    return [one for one in files if one.file.key not in bad]


def filled_files(
    usable: Sequence[FooterSummary], lake: str | list[str], bad: Sequence[BadPartition]
) -> list[FooterSummary]:
    """Return the files that have rows.

    Raises
    ------
    EmptyLake
        If there is none.
    """
    filled = [one for one in usable if one.fingerprint.rows]
    if not filled:
        files = f"{counted(len(usable), 'usable Parquet file')}, but no row"
        fault = f"the lake {lake!r} has {files if usable else 'no usable Parquet file'}"
        if bad:
            fault += f"; {counted(len(bad), 'file')} cannot be used, first {first_line(bad[0])}"
        raise EmptyLake(fault)
    return filled


def _types(
    found: Sequence[FooterSummary], hive: Mapping[str, HiveType]
) -> dict[str, pa.DataType | HiveType]:
    """Return the types of the columns of the first file, and of the folders."""
    return {field.name: field.type for field in found[0].schema} | dict(hive)
