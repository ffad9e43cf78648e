"""Parse the actions in the log of a Delta table, and refuse what the protocol does not allow.

References
----------
Delta transaction log protocol, "Actions" (delta-io/delta).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from onepass.errors import JobError
from onepass.lake.tables.delta_deleted import DeletionVector, deletion_vector
from onepass.lake.tables.delta_log import DeltaLog, damaged
from onepass.lake.tables.delta_paths import TableRoot
from onepass.lake.tables.table import FileOfTable
from onepass.text import shown

_MOST = 1 << 63


@dataclass(frozen=True, slots=True)
class FileAction:
    """A file that a commit adds or removes."""

    key: str
    """Name of the file in the ledger."""
    location: str
    """Absolute path or URL."""
    size: int | None
    """Size of the file in bytes; None if a removal does not tell."""
    partition: dict[str, str | None] | None
    """Texts of the partition values, by the name in the log; None if a removal does not tell."""
    vector: DeletionVector | None = None
    """Rows that are deleted."""
    changes_data: bool = True
    """False if the rows of the table stay the same, as in a compaction."""
    rows: int | None = None
    """Number of rows in the file, deleted ones included; None if it was not asked for or told."""

    @property
    def identity(self) -> tuple[str, str | None]:
        """Key and deletion vector, by which the log names the file."""
        return (self.key, self.vector.identity if self.vector else None)

    def of_table(self) -> FileOfTable:
        """Return the file as changes of tables are told."""
        key, deleted = self.identity
        return FileOfTable(key, deleted, self.rows)


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a commit."""

    kind: str
    """Name of the action: add, remove, metaData, protocol, commitInfo, ..."""
    fields: dict[str, Any]
    """The action as the log has it."""
    place: str
    """File and line, for messages."""


def actions(log: DeltaLog, name: str) -> Iterator[Action]:
    """Yield the actions of a file of JSON lines.

    Raises
    ------
    DataError
        If the file is missing, or a line is no action.
    """
    for number, line in log.lines(name):
        place = f"{log.place(name)}, line {number}"
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise damaged(place, "expected an action in JSON, found something else") from None
        if not isinstance(found, dict):
            raise damaged(place, f"expected an action, found a JSON {type(found).__name__}")
        for kind, fields in found.items():
            if fields is None:
                continue
            if not isinstance(fields, dict):
                raise damaged(place, f"expected an object in {shown(kind)}")
            yield Action(kind, fields, place)


def file_action(action: Action, root: TableRoot, *, count_rows: bool = False) -> FileAction:
    """Return the file of an action `add` or `remove`.

    Parameters
    ----------
    count_rows
        Whether to look for the number of rows, which takes as long as all the rest.

    Raises
    ------
    DataError
        If a field has a wrong type, or the path leaves the table.
    """
    fields = action.fields
    try:
        found = _file_action(fields, root, is_add=action.kind == "add")
    except JobError:
        # `parse_url` has refused an URL, which may hold a secret.
        raise damaged(action.place, "found a file with a URL that cannot be used") from None
    except ValueError as error:
        raise damaged(action.place, f"found {error}") from None
    return replace(found, rows=_rows(fields.get("stats"))) if count_rows else found


def _file_action(fields: dict[str, Any], root: TableRoot, *, is_add: bool) -> FileAction:
    path = fields.get("path")
    if not isinstance(path, str) or not path:
        raise ValueError("a file without a path")
    key, location = root.find(path)
    size, partition = fields.get("size"), fields.get("partitionValues")
    if (is_add or size is not None) and (type(size) is not int or not 0 <= size < _MOST):
        raise ValueError("a file whose size is no size in bytes")
    values = _partition(partition) if partition is not None or is_add else None
    changes = fields.get("dataChange", True)
    if not isinstance(changes, bool):
        raise ValueError("a file whose dataChange is neither true nor false")
    descriptor = fields.get("deletionVector")
    if descriptor is not None and not isinstance(descriptor, dict):
        raise ValueError("a deletion vector that is no object")
    vector = None if descriptor is None else deletion_vector(descriptor, root, key)
    return FileAction(key, location, size, values, vector, changes)


def _rows(stats: Any) -> int | None:
    try:
        rows = json.loads(stats)["numRecords"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return rows if type(rows) is int and 0 <= rows < _MOST else None


def _partition(found: Any) -> dict[str, str | None]:
    if not isinstance(found, dict):
        raise ValueError("a file without partitionValues")
    if any(value is not None and not isinstance(value, str) for value in found.values()):
        raise ValueError("a partition value that is no text")
    return _shared(tuple(found.items()))


@lru_cache(maxsize=4096)
def _shared(items: tuple[tuple[str, str | None], ...]) -> dict[str, str | None]:
    """Return one dict for all files of a partition, which takes a fifth of their memory."""
    return dict(items)
