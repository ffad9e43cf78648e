"""Find the version of a Delta table that was the newest one at a given time."""

from __future__ import annotations

from datetime import UTC, datetime

from onepass.errors import JobError
from onepass.lake.tables.delta_actions import actions
from onepass.lake.tables.delta_log import DeltaLog, commit_name, damaged
from onepass.text import shown

_MOST_MS = 253_402_300_800_000
"""Start of the year 10000 in ms since 1970."""


def version_at(log: DeltaLog, timestamp: str) -> int:
    """Return the newest version that was committed at a time or before it.

    The time of a commit is the one it holds for this purpose ("in-commit timestamp"), else the
    writer's clock in it, else the time of its file. The times are searched by halves, so they must
    not go back.

    Parameters
    ----------
    timestamp
        Time in ISO 8601, in UTC unless it has a zone.

    Raises
    ------
    JobError
        If it is no time, or before the oldest commit that is left.
    DataError
        If a commit is damaged.
    """
    wanted = _milliseconds(timestamp)
    oldest, newest = log.oldest(), log.newest
    first = max(log.first_of_commits(newest), 0 if oldest is None else oldest)
    low, high = first, newest + 1
    while low < high:
        middle = (low + high) // 2
        if committed_ms(log, middle) <= wanted:
            low = middle + 1
        else:
            high = middle
    if low == first:
        raise JobError(
            f"--lake-timestamp {timestamp}: expected a time at which the Delta table had a version "
            f"that its log still has\nThe oldest is version {first}"
            + (f", of {_shown(committed_ms(log, first))}." if first <= newest else ".")
        )
    return low - 1


def committed_ms(log: DeltaLog, version: int) -> int:
    """Return when a version was committed, in ms since 1970."""
    found = None
    for action in actions(log, commit_name(version)):
        if action.kind == "commitInfo":
            found = action.fields.get("inCommitTimestamp", action.fields.get("timestamp"))
            break
    if found is None:
        found = log.changed_ms(version)
    if type(found) is not int or not 0 <= found < _MOST_MS:
        raise damaged(log.place(commit_name(version)), "expected a commit with a time")
    return found


def _milliseconds(timestamp: str) -> int:
    try:
        found = datetime.fromisoformat(timestamp)
    except ValueError:
        raise JobError(
            f"--lake-timestamp: expected a time such as 2026-01-31T12:00:00Z, found "
            f"{shown(timestamp)}"
        ) from None
    zoned = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    # A commit within the same millisecond is not after the time.
    return int(zoned.timestamp() * 1000)


def _shown(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
