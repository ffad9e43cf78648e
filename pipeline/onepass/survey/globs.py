"""The names of columns in a job: patterns such as ``ctx_*``, and whether the lake has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from onepass.encode.schema import HiveType
from onepass.errors import JobError
from onepass.job_values import Roles
from onepass.survey.choice import Choice

_FIELDS = ("features", "exclude", "numeric", "categorical", "bag_counts", "log")
"""Fields of a choice that are lists of names."""

_CONTRARY = {
    "features": "exclude",
    "exclude": "features",
    "numeric": "categorical",
    "categorical": "numeric",
    "bag_counts": "exclude",
    "log": "exclude",
}


_SEVERAL = (
    "\nSeveral labels are trained by the command onepass train and by the train flow. For one of "
    "them, --exclude the others."
)


def expanded(names: Iterable[str], present: Collection[str], flag: str) -> list[str]:
    """Return names with each pattern replaced by the columns that it matches.

    ``*`` stands for any text, ``?`` for one character and ``[ab]`` for one of several. A name that
    is a column is that column, whatever signs are in it.

    Parameters
    ----------
    present
        All columns.
    flag
        Option that names them, for the message.

    Raises
    ------
    JobError
        If a pattern matches no column.
    """
    found: dict[str, None] = {}
    for name in names:
        if not is_pattern(name, present):
            found[name] = None
            continue
        matching = [one for one in sorted(present) if fnmatchcase(one, name)]
        if not matching:
            raise JobError(
                f"--{flag}={name!r} is a pattern that no column matches; the columns are "
                f"{sorted(present)}"
            )
        found |= dict.fromkeys(matching)
    return list(found)


def is_pattern(name: str, present: Collection[str] = ()) -> bool:
    """Return whether a name is a pattern and not a column."""
    return name not in present and any(sign in name for sign in "*?[")


def without_patterns(choice: Choice, present: Collection[str], targets: Collection[str]) -> Choice:
    """Return a choice in which patterns are replaced by the columns that they match.

    A column that one option names and another one matches follows its name.

    Parameters
    ----------
    targets
        Columns that have a role, such as the label; patterns pass over them.

    Raises
    ------
    JobError
        If a pattern matches no column.
    """
    fields: dict[str, Any] = {}
    for field in _FIELDS:
        given = getattr(choice, field)
        named_elsewhere = set(getattr(choice, _CONTRARY[field]))
        fields[field] = tuple(
            name
            for name in expanded(given, present, field)
            if name in given or not (name in targets or name in named_elsewhere)
        )
    both = sorted(set(fields["numeric"]) & set(fields["categorical"]))
    if both:
        raise JobError(f"--numeric and --categorical both match {both}")
    return replace(choice, **fields)


def check_names(
    roles: Roles,
    choice: Choice,
    names: set[str],
    hive: Mapping[str, HiveType],
    lake: str | list[str],
) -> None:
    """Check that the columns that the job names exist, and that those of a role are no folders.

    Raises
    ------
    JobError
        If a column does not exist, or a folder has a role, such as the label.
    """
    for role, name in roles.named().items():
        if name in hive:
            raise JobError(f"the {role} {name!r} is a key=value folder; it must be in the files")
        if names and name not in names:
            raise JobError(
                f"no column {name!r} in {lake!r}; the columns are {sorted(names)}"
                + (_SEVERAL if role == "label" and "," in name else "")
            )
    choice.check_names(names)
