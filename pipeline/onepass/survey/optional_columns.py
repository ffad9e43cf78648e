"""Decide what happens with columns that some files lack: an error, left out, or read as null."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from onepass.stream.check_columns import hint
from onepass.survey.choice import Choice
from onepass.survey.footers import FooterSummary
from onepass.survey.naming import naming
from onepass.text import printable

OnMissing: TypeAlias = Literal["error", "null"]

FEWEST = 0.1
"""Share of the files below which a column is left out, as is one of a single file: it may be there
by accident."""

_MOST_SCHEMAS = 64
"""Maximum number of different lists of columns that are searched for a renamed column."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """Columns that need not be in every file."""

    optional: frozenset[str]
    """Columns that are read as null where they are missing, be it in later files only."""
    left_out: dict[str, str]
    """Columns that too few files have, each with a warning."""
    warnings: list[str]
    """Messages about the columns that are read as null in some of the files."""


def decide_missing(
    files: Sequence[FooterSummary],
    choice: Choice,
    targets: Collection[str],
    on_missing: OnMissing,
    asked: Choice | None = None,
) -> Lacking:
    """Decide which columns may be missing.

    If the job says so, these are all that may be features. Otherwise they are those that most files
    lack and the user does not name. Of these, columns are left out that a single file has, or fewer
    than `FEWEST` of the files, or whose types in several files cannot be read alike.

    Parameters
    ----------
    files
        All files of the lake with a readable footer.
    targets
        Columns that have a role, such as the label.
    on_missing
        The job's treatment of missing columns.
    asked
        The choice as the user wrote it. A column that a pattern matches is not named.
    """
    asked = asked or choice
    seen: Counter[str] = Counter()
    for one in files:
        seen.update(_names(one))
    asked_for = {*targets, *asked.all_named()}
    wanted = {name for name in seen if name not in targets and choice.reads(name)}
    rare = {name for name in wanted - asked_for if 2 * seen[name] < len(files)}
    if on_missing == "null":
        optional, left_out = wanted, set[str]()
    else:
        optional = {name for name in rare if seen[name] >= max(2, FEWEST * len(files))}
        optional -= _disagreeing(files, optional)
        left_out = rare - optional
    in_part = sorted(name for name in optional if seen[name] < len(files))
    renamed = _renamed(files, in_part)
    return Lacking(
        frozenset(optional),
        {n: f"{n}: only in {seen[n]} of {len(files)} files, left out" for n in sorted(left_out)},
        [
            f"{n}: only in {seen[n]} of {len(files)} files, read as null in the others "
            f"({naming('exclude', n)} to leave it out){renamed.get(n, '')}"
            for n in in_part
        ],
    )


def with_absent(
    shares: Mapping[str, float], files: Sequence[FooterSummary], optional: Collection[str]
) -> dict[str, float]:
    """Return shares of nulls in which the rows of files without a column count as null.

    Parameters
    ----------
    shares
        Share of nulls among all rows, by column, as the footers tell it.
    """
    n_rows = sum(one.fingerprint.rows for one in files)
    present: Counter[str] = Counter()
    for one in files if optional else ():
        for name in _names(one):
            present[name] += one.fingerprint.rows
    absent = {name: 1 - present[name] / n_rows for name in optional if present[name] < n_rows}
    return {**shares, **{name: shares.get(name, 0.0) + share for name, share in absent.items()}}


def _names(one: FooterSummary) -> set[str]:
    return {*one.schema.names, *dict(one.file.hive)}


def _disagreeing(files: Iterable[FooterSummary], names: Collection[str]) -> set[str]:
    """Return the columns that have several kinds of types, or are twice in a file."""
    kinds: dict[str, set[str]] = {}
    found: set[str] = set()
    for one in files:
        present = Counter(one.schema.names) if names and one.fingerprint.rows else Counter[str]()
        for name in names:
            if name in present:
                kinds.setdefault(name, set()).add(one.kinds[name])
        found |= {name for name in names if present[name] > 1}
    return found | {name for name, several in kinds.items() if len(several - {"null"}) > 1}


def _renamed(files: Iterable[FooterSummary], names: Sequence[str]) -> dict[str, str]:
    """Return a remark on each column that a file without it may have under another name."""
    schemas = list(_different(files)) if names else []
    remarks: dict[str, str] = {}
    for name in names:
        # A column that stands beside this one in some file is another one.
        beside = {other for one in schemas for other in _names(one) if name in _names(one)}
        for one in schemas:
            if name not in beside or name in _names(one):
                continue
            if like := hint(name, one.schema.names, beside):
                remarks[name] = f"; {printable(one.file.key)}: renamed?{like}"
                break
    return remarks


def _different(files: Iterable[FooterSummary]) -> Iterator[FooterSummary]:
    """Yield a file of each list of columns, at most `_MOST_SCHEMAS`."""
    seen: set[frozenset[str]] = set()
    for one in files:
        names = frozenset(_names(one))
        if names not in seen and len(seen) < _MOST_SCHEMAS:
            seen.add(names)
            yield one
