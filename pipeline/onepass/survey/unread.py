"""Columns that a survey does not read: say which, of which type, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import pyarrow as pa

from onepass.encode.schema import HiveType, family
from onepass.errors import DataError, JobError
from onepass.survey.choice import Choice
from onepass.survey.profile import ColumnProfile
from onepass.survey.unusable import why_unusable
from onepass.text import clipped, listed

_MOST_NAMED = 8
"""Maximum number of columns that one message names."""

_IN_FEW_FILES = "in few files only"
_BY_THE_JOB = "the job leaves it out"


def unread_columns(
    types: Mapping[str, pa.DataType | HiveType], read: Collection[str], rare: Collection[str]
) -> list[ColumnProfile]:
    """Return profiles of the columns that were left out of the sample, with the reason.

    Parameters
    ----------
    types
        Type of each column of the lake.
    read
        Columns of the sample, with the folders.
    rare
        Columns that few files have.
    """
    return [
        ColumnProfile(name, str(dtype), 0.0, 0, None, _why(name, dtype, rare))
        for name, dtype in types.items()
        if name not in read
    ]


def _why(name: str, dtype: pa.DataType | HiveType, rare: Collection[str]) -> str:
    if name in rare:
        return _IN_FEW_FILES
    if isinstance(dtype, pa.DataType) and family(dtype) in {"other", "null"}:
        return why_unusable(dtype)
    return _BY_THE_JOB


def check_named(types: Mapping[str, pa.DataType | HiveType], choice: Choice) -> None:
    """Check that a use that the user chooses is possible for the types of the columns.

    Raises
    ------
    JobError
        If a column that is named for a use is of a type that cannot be read.
    """
    for group in ("numeric", "categorical", "time_format"):
        for name in getattr(choice, group):
            dtype = types.get(name)
            if isinstance(dtype, pa.DataType) and family(dtype) == "other":
                flag = group.replace("_", "-")
                raise JobError(
                    f"--{flag} names {name!r} of type {clipped(str(dtype))}, which cannot be read: "
                    f"{why_unusable(dtype)}"
                )


def unread_warnings(unread: Iterable[ColumnProfile], excluded: Collection[str]) -> list[str]:
    """Name the columns whose types cannot be used, unless the user has excluded them."""
    found = [
        f"{one.name} ({clipped(one.type)})"
        for one in unread
        if one.reason not in {_IN_FEW_FILES, _BY_THE_JOB} and one.name not in excluded
    ]
    if not found:
        return []
    columns = "columns" if len(found) > 1 else "column"
    return [f"{columns} left out, because the type cannot be used: {listed(found, _MOST_NAMED)}"]


def no_columns(lake: str | list[str], unread: Iterable[ColumnProfile]) -> DataError:
    """Return the error for a lake of sound files in which no column can be used."""
    whys = [f"{one.name!r}: {clipped(one.reason)}" for one in unread]
    found = listed(whys, _MOST_NAMED, "; ") or "its files have none"
    return DataError(
        f"no column of the lake {lake!r} can be used: {found}\n"
        "Columns of numbers, truth values, dates, times and text can be used, and lists and maps "
        "of numbers and text; write what bytes hold to such columns."
    )
