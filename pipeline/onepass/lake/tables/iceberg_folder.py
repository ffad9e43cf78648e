"""Choose the metadata file of an Iceberg table that is named by its folder.

Only a catalogue knows which metadata file has been committed. Without one, a folder is clear if
`version-hint.text` tells the version, or if one file has the highest number and no other file
contradicts it.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from typing import Any

from onepass.cloud.bucket import Bucket
from onepass.cloud.url import is_url, object_url
from onepass.errors import DataError, JobError
from onepass.lake.tables.iceberg_places import read_small

_NAME = re.compile(r"(?:v(\d+)|(\d+)-.+?)(?:\.gz)?\.metadata\.json(?:\.gz)?")
_HINT = "version-hint.text"
_MOST_STRANGERS = 20

_ADVICE = "Name the table by its catalogue (iceberg://CATALOG/DATABASE.TABLE) or by the metadata"


def is_metadata(name: str) -> bool:
    """Return whether a path or URL is named as a metadata file."""
    return name.endswith((".metadata.json", ".metadata.json.gz"))


def newest_metadata(folder: str) -> str:
    """Return the path or URL of the newest metadata file of a table's folder.

    Raises
    ------
    JobError
        If there is none, or if it is not clear which one has been committed.
    DataError
        If a metadata file cannot be read.
    """
    place = f"{folder.rstrip('/')}/metadata"
    names = _names(place)
    numbers = {name: number for name in names if (number := _number(name)) is not None}
    if not numbers:
        raise JobError(f"no metadata file of an Iceberg table in {place!r}")
    if _HINT in names:
        return f"{place}/{_hinted(read_small(f'{place}/{_HINT}'), numbers, place)}"
    highest = max(numbers.values())
    found = sorted(name for name, number in numbers.items() if number == highest)
    if len(found) > 1:
        raise _unclear(place, found)
    _check_strangers(place, found[0], numbers)
    return f"{place}/{found[0]}"


def unpacked(data: bytes) -> bytes:
    """Return the JSON of a metadata file, which may be compressed.

    Raises
    ------
    OSError, EOFError
        If it is damaged.
    """
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def _names(place: str) -> list[str]:
    if not is_url(place):
        try:
            return sorted(os.listdir(place))
        except OSError as error:
            raise JobError(f"cannot look into the folder {place!r}: {error.strerror}") from None
    url = object_url(place)
    return [key.rpartition("/")[2] for key in Bucket(url).list_folder(url.path)]


def _number(name: str) -> int | None:
    found = _NAME.fullmatch(name)
    return int(found.group(1) or found.group(2)) if found else None


def _hinted(hint: bytes, numbers: dict[str, int], place: str) -> str:
    """Return the file that a hint names, or a later one: the hint may lag behind a commit."""
    text = hint.decode(errors="replace").strip()
    if not text.isdecimal():
        named = text if is_metadata(text) else f"{text}.metadata.json"
        if named not in numbers:
            raise JobError(
                f"{_HINT} in {place!r} names {named[:100]!r}, which is not there\n{_ADVICE} file."
            )
        return named
    versions = {number: name for name, number in numbers.items() if name.startswith("v")}
    version = int(text)
    while version + 1 in versions:
        version += 1
    if version not in versions:
        raise JobError(
            f"{_HINT} in {place!r} names version {version}, which is not there\n{_ADVICE} file."
        )
    return versions[version]


def _check_strangers(place: str, chosen: str, numbers: dict[str, int]) -> None:
    """Raise if a file that the chosen one does not follow is of another table.

    A table that was dropped and made anew in the same folder leaves its metadata behind. A writer
    that lost a race leaves a file of the same table, which another one of that number has replaced.
    """
    known = _parsed(place, chosen)
    log = [str(one.get("metadata-file", "")) for one in known.get("metadata-log") or []]
    chain = {chosen, *(path.rpartition("/")[2] for path in log)}
    strangers = sorted(numbers.keys() - chain, key=lambda name: numbers[name], reverse=True)
    # The log of a table may end before its oldest metadata file, so older ones may be strangers.
    seen = strangers[:_MOST_STRANGERS]
    tables = {_parsed(place, name).get("table-uuid") for name in seen}
    if tables - {known.get("table-uuid")}:
        raise _unclear(place, [chosen, *seen])


def _parsed(place: str, name: str) -> dict[str, Any]:
    location = f"{place}/{name}"
    try:
        found = json.loads(unpacked(read_small(location)))
    except (ValueError, OSError, EOFError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"the metadata file {location!r} is damaged: expected a JSON object")
    return found


def _unclear(place: str, names: list[str]) -> JobError:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return JobError(
        f"{place!r} does not tell which metadata file is the table's: {shown}\n{_ADVICE} file."
    )
