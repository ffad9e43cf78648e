"""Infer the types of key=value folders from all their values."""

from __future__ import annotations

from collections.abc import Iterable

from onepass.encode.columns import typed_hive
from onepass.encode.schema import HiveType
from onepass.errors import BadColumn
from onepass.lake.discover import LakeFile
from onepass.survey.footers import FooterSummary


def folder_types(files: Iterable[LakeFile]) -> dict[str, HiveType]:
    """Return the type of each folder key: integer or date if all its values are, else text."""
    values: dict[str, set[str]] = {}
    for file in files:
        for key, value in file.hive:
            values.setdefault(key, set()).update([] if value is None else [value])
    return {key: _type_of(key, sorted(found)) for key, found in values.items()}


def folder_warnings(files: Iterable[FooterSummary], folders: Iterable[str]) -> list[str]:
    """Warn about folders that hide a column of the files."""
    in_files = {name for one in files for name in one.schema.names}
    return [
        f"{name}: both a key=value folder and a column of the files; the folder is used"
        for name in sorted(in_files & set(folders))
    ]


def _type_of(key: str, values: list[str]) -> HiveType:
    candidates: tuple[HiveType, ...] = ("integer", "date")
    for candidate in candidates:
        try:
            typed_hive(key, list(values), candidate)
        except BadColumn:
            continue
        return candidate
    return "text"
