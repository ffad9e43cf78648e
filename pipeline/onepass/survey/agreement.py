"""Compare the files of a lake with each other; a file that differs from most files is bad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NoReturn

from onepass.encode.reads import uses_of
from onepass.errors import BadPartition
from onepass.lake.footer_checks import check_claims
from onepass.stream.check_columns import check_names, check_types, hint
from onepass.survey.bad_files import BadFiles
from onepass.survey.choice import Choice
from onepass.survey.footers import FooterSummary
from onepass.survey.naming import naming
from onepass.survey.profile import ColumnProfile


def usual_kinds(
    files: Iterable[FooterSummary],
    hive: Collection[str],
    choice: Choice,
    targets: Collection[str],
) -> dict[str, str]:
    """Return the columns to read, each with the kind of type that it has in most files.

    Parameters
    ----------
    hive
        Columns that are key=value folders, which are not read from the files.
    targets
        Columns that have a role, such as the label.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for one in files:
        if one.fingerprint.rows:
            seen.update(one.kinds.items())
    usual: dict[str, str] = {}
    # "null" comes last: a column without a value agrees with every kind.
    for (name, kind), _ in sorted(seen.most_common(), key=lambda item: item[0][1] == "null"):
        if name not in hive and (name in targets or choice.reads(name)):
            usual.setdefault(name, kind)
    return {
        name: kind
        for name, kind in usual.items()
        if name in targets or not (kind == "other" or (kind == "null" and _is_struct(name, usual)))
    }


def _is_struct(name: str, names: Iterable[str]) -> bool:
    """Whether other columns are fields of this one, which is a struct in other files."""
    return any(other.startswith(f"{name}.") for other in names)


def mixed_columns(files: Iterable[FooterSummary]) -> set[str]:
    """Return the columns that some files store as text, and others as numbers or times."""
    kinds: dict[str, set[str]] = {}
    for one in files:
        for name, kind in one.kinds.items():
            kinds.setdefault(name, set()).add(kind)
    return {name for name, found in kinds.items() if "text" in found and found - {"text", "null"}}


def check_agreement(
    files: Iterable[FooterSummary],
    usual: Mapping[str, str],
    targets: Collection[str],
    folders: Collection[str],
    bad: BadFiles,
    optional: Collection[str] = (),
    choice: Choice | None = None,
) -> None:
    """Find the files whose columns or folders differ from those of most files.

    Numbers or times agree with text for now: the text may turn out to hold them, see `check_uses`.
    Where most files have numbers or times, text agrees with them if the user names the column.

    Parameters
    ----------
    usual
        Columns to read and their kinds, see `usual_kinds`.
    targets
        Columns that have a role, such as the label; all files must have them, in the same kind.
    folders
        Key=value folders that every file must lie in.
    bad
        Files that differ are added here.
    optional
        Columns and folders that may be missing.
    choice
        The user's choice of uses.

    Raises
    ------
    BadPartition
        If a file differs and bad files are not skipped.
    """
    files = list(files)
    # A column that some files lack may be a renamed one, so it stays a candidate for `hint`.
    named = _named(choice or Choice())
    alike = {
        name: {kind, "null"} if name in targets else _alike(kind, is_named=name in named)
        for name, kind in usual.items()
    }
    in_all = set(usual).intersection(*(one.schema.names for one in files if one.fingerprint.rows))
    for one in files:
        with bad.caught():
            _check_folders(one, folders, optional)
            if one.fingerprint.rows:
                _check_columns(one, usual, alike, in_all, optional, targets)


def check_uses(
    files: Iterable[FooterSummary],
    columns: Iterable[ColumnProfile],
    folders: Collection[str],
    bad: BadFiles,
) -> None:
    """Find the files with a column that cannot be read in the way the sample decided.

    Parameters
    ----------
    bad
        Such files are added here.

    Raises
    ------
    BadPartition
        If there is such a file and bad files are not skipped.
    """
    used = [c.use for c in columns if c.use is not None and c.name not in folders]
    uses = [one for column in used for one in uses_of(column)]
    for one in files:
        with bad.caught():
            if one.fingerprint.rows:
                # Columns that this file may lack have been compared before.
                here = [(name, use) for name, use in uses if name in one.kinds]
                check_types(one.file, one.schema, here, is_empty=one.is_empty)


def _check_folders(one: FooterSummary, folders: Collection[str], optional: Collection[str]) -> None:
    for name in sorted(set(folders) - set(dict(one.file.hive))):
        # A column of this name may hold what the folders of other files say.
        if name not in optional or name in one.kinds:
            _refuse(one, name, "expected in the path as a key=value folder, as for other files")


def _named(choice: Choice) -> set[str]:
    """Return the columns whose use the user chooses, whatever type they have."""
    return {*choice.numeric, *choice.categorical, *choice.time_format}


def _alike(kind: str, *, is_named: bool) -> set[str]:
    others = {"number", "time", "clock"} if kind == "text" else {"text"} if is_named else set()
    return {kind, "null", *others}


def _check_columns(
    one: FooterSummary,
    usual: Mapping[str, str],
    alike: Mapping[str, Collection[str]],
    in_all: Collection[str],
    optional: Collection[str],
    targets: Collection[str],
) -> None:
    here = [name for name in usual if name in one.kinds or name not in optional]
    for name in here:
        if name not in one.kinds:
            like = hint(name, one.schema.names, in_all)
            reason = f"the column is missing here, but not in other files{like}"
            if any(kind == "null" and _is_struct(at, [name]) for at, kind in one.kinds.items()):
                reason += "; its struct has no type here, as if a writer saw nothing but nulls"
            _refuse(one, name, reason, or_null=not like and name not in targets)
    try:
        check_names(one.file, one.schema, here)
        check_claims(one.contradictions, here, one.file.key)
    except BadPartition as error:
        _refuse(one, error.column, error.reason, error.row_group)
    for name in here:
        if one.kinds[name] not in alike[name]:
            dtype = one.schema.field(name).type
            _refuse(one, name, f"type {dtype} here, but a {usual[name]} column in most files")


def _refuse(
    one: FooterSummary,
    column: str | None,
    reason: str,
    row_group: int | None = None,
    *,
    or_null: bool = False,
) -> NoReturn:
    leave_out = f", or {naming('exclude', column)}" if column is not None else ""
    as_null = ", read what is missing as null (--on-missing-column null)" if or_null else ""
    advice = f"Repair the file, skip it (--on-bad skip){as_null}{leave_out}."
    raise BadPartition(reason, path=one.file.key, row_group=row_group, column=column, advice=advice)
