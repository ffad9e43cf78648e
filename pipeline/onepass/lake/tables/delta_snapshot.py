"""Replay the log of a Delta table up to one version: its columns and its files.

References
----------
Delta transaction log protocol, "Action Reconciliation" and "Table Features" (delta-io/delta).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from onepass.errors import DataError, JobError
from onepass.lake.tables.delta_actions import Action, FileAction, actions, file_action
from onepass.lake.tables.delta_checkpoint import checkpoint_actions
from onepass.lake.tables.delta_log import DeltaLog, commit_name, damaged
from onepass.lake.tables.delta_schema import ColumnMapping, TableColumns, table_columns
from onepass.text import listed, shown

_KNOWN = frozenset(
    {
        "columnMapping",
        "deletionVectors",
        "timestampNtz",
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "vacuumProtocolCheck",
        # Columns of this type are left out, so their form in the files does not matter.
        "variantType",
        "variantType-preview",
        "variantShredding",
        "variantShredding-preview",
    }
)
"""Features that a reader must know, and this one does."""

_NEWEST_READER = 3

Files = dict[tuple[str, str | None], FileAction]
"""Files that count, by key and deletion vector."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table as of one version."""

    version: int
    id: str
    """The table's own id."""
    columns: TableColumns
    files: list[FileAction]
    """Files that count, sorted by key."""


def read_snapshot(log: DeltaLog, version: int) -> Snapshot:
    """Read the state of a table as of a version.

    Raises
    ------
    JobError
        If the log no longer, or not yet, has the version.
    DataError
        If the log is damaged, or the table has a feature that is not known.
    """
    protocol: Action | None = None
    metadata: Action | None = None
    files: Files = {}
    base = log.base(version)
    _check_there(log, version, base)
    if base is not None:
        for action in checkpoint_actions(log, base):
            if action.kind == "add":
                _add(files, action, log)
            protocol = action if action.kind == "protocol" else protocol
            metadata = action if action.kind == "metaData" else metadata
    for number in range(0 if base is None else base + 1, version + 1):
        added: list[FileAction] = []
        for action in actions(log, commit_name(number)):
            if action.kind == "add":
                added.append(file_action(action, log.root))
            elif action.kind == "remove":
                files.pop(file_action(action, log.root).identity, None)
            protocol = action if action.kind == "protocol" else protocol
            metadata = action if action.kind == "metaData" else metadata
        # The order of actions within a commit means nothing.
        files.update((one.identity, one) for one in added)
    if protocol is None or metadata is None:
        place = log.place(commit_name(version))
        raise damaged(place, f"version {version} has no protocol or no metadata")
    has_mapping = _check_protocol(protocol)
    table_id, columns = _metadata(metadata, has_mapping)
    return Snapshot(version, table_id, columns, _sorted(files, log, version))


def _add(files: Files, action: Action, log: DeltaLog) -> None:
    found = file_action(action, log.root)
    files[found.identity] = found


def _sorted(files: Files, log: DeltaLog, version: int) -> list[FileAction]:
    found = sorted(files.values(), key=lambda one: one.key)
    for one, other in pairwise(found):
        if one.key == other.key:
            raise damaged(
                log.place(commit_name(version)),
                f"version {version} has the file {shown(one.key)} twice, with other deleted rows",
            )
    return found


def _check_there(log: DeltaLog, version: int, base: int | None) -> None:
    if version > log.newest or version < 0:
        raise JobError(
            f"the Delta table {log.root.location!r} has no version {version}; its newest is "
            f"{log.newest}"
        )
    first = 0 if base is None else base + 1
    missing = next((one for one in range(first, version + 1) if one not in log.commits), None)
    if missing is None:
        return
    oldest = log.oldest()
    if oldest is not None and version < oldest:
        raise JobError(
            f"the Delta table {log.root.location!r} no longer has version {version}: its log was "
            f"cleaned up\nThe oldest version that can be read is {oldest}."
        )
    raise damaged(log.place(commit_name(missing)), "the commit is missing")


def _check_protocol(action: Action) -> bool:
    """Check that everything a reader must know is known; return whether columns may be mapped."""
    found = action.fields
    version, features = found.get("minReaderVersion"), found.get("readerFeatures") or []
    if type(version) is not int or not isinstance(features, list):
        raise damaged(action.place, "expected the versions and features of the protocol")
    if version > _NEWEST_READER:
        raise _unknown(action, f"reader version {version}")
    unknown = sorted({str(one) for one in features} - _KNOWN) if version == _NEWEST_READER else []
    if unknown:
        names = listed([shown(one) for one in unknown], 5)
        raise _unknown(action, f"the table feature{'s' * (len(unknown) > 1)} {names}")
    return version == 2 or "columnMapping" in features


def _unknown(action: Action, what: str) -> DataError:
    return DataError(
        f"{action.place}: the Delta table needs {what}, which onepass does not know\n"
        "Train from a copy of the table without it, or read all Parquet files of the folder, "
        "removed ones included: --as-files."
    )


def _metadata(action: Action, has_mapping: bool) -> tuple[str, TableColumns]:
    found = action.fields
    table_id, configuration, form = map(found.get, ("id", "configuration", "format"))
    configuration = {} if configuration is None else configuration
    if not isinstance(table_id, str) or not isinstance(configuration, dict):
        raise damaged(action.place, "expected the id and the configuration of the table")
    if not isinstance(form, dict) or form.get("provider") != "parquet":
        raise damaged(action.place, f"expected files in Parquet, found {shown(form)}")
    try:
        mode = _mode(configuration.get("delta.columnMapping.mode")) if has_mapping else "none"
        schema, partition = found.get("schemaString"), found.get("partitionColumns")
        return table_id, table_columns(schema, partition, mode)
    except ValueError as error:
        raise damaged(action.place, f"found {error}") from None


def _mode(found: Any) -> ColumnMapping:
    if found is None:
        return "none"
    if found not in ("none", "name", "id"):
        raise ValueError(f"the mode of column mapping {shown(found)}, which is not known")
    return found  # type: ignore[no-any-return]
