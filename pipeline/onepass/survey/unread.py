"""Columns that a survey does not read: say which, of which type, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import pyarrow as pa

from onepass.encode.schema import HiveType, family
from onepass.errors import DataError
from onepass.survey.profile import ColumnProfile
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
        return f"type {dtype} cannot be used"
    return _BY_THE_JOB


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
