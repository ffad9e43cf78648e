"""Tell what each commit of a Delta table has done, from the log."""

from __future__ import annotations

from onepass.errors import HistoryGone
from onepass.lake.tables.delta_actions import FileAction, actions, file_action
from onepass.lake.tables.delta_log import DeltaLog, commit_name
from onepass.lake.tables.table import Commit
from onepass.text import clipped, printable


def commits_between(log: DeltaLog, since: int | None, version: int) -> list[Commit]:
    """Return the commits after a version, up to another one, oldest first.

    Parameters
    ----------
    since
        The version before the first commit; None for all commits.
    version
        The version after the last commit.

    Raises
    ------
    HistoryGone
        If commits are no longer there, or the table never had the version `since`.
    DataError
        If a commit is damaged.
    """
    first = 0 if since is None else since + 1
    if first > log.newest + 1:
        raise HistoryGone(
            f"the Delta table {log.root.location!r} has no version {since}: its newest is "
            f"{log.newest}\nThe table was probably written anew. Train another model, or the bare "
            "files: --as-files."
        )
    missing = next((one for one in range(first, version + 1) if one not in log.commits), None)
    if missing is not None:
        raise _gone(log, since, missing, version)
    return [_commit(log, one) for one in range(first, version + 1)]


def _gone(log: DeltaLog, since: int | None, missing: int, version: int) -> HistoryGone:
    left = log.first_of_commits(version)
    kept = f"commits {left} to {version}" if left <= version else f"no commit before {version + 1}"
    known = "its first version" if since is None else f"version {since}"
    return HistoryGone(
        f"the Delta table {log.root.location!r} no longer tells what has changed since {known}: "
        f"commit {missing} was cleaned up; its log has {kept}\n"
        "Keep the log for longer than the time between two runs (delta.logRetentionDuration)."
    )


def _commit(log: DeltaLog, version: int) -> Commit:
    added: list[FileAction] = []
    removed: list[FileAction] = []
    operation = "unknown"
    for action in actions(log, commit_name(version)):
        if action.kind == "commitInfo":
            told = action.fields.get("operation")
            operation = clipped(printable(told)) if isinstance(told, str) else operation
        elif action.kind == "add":
            added.append(file_action(action, log.root, count_rows=True))
        elif action.kind == "remove":
            removed.append(file_action(action, log.root, count_rows=True))
    return Commit(
        version=version,
        label=f"version {version}",
        operation=operation,
        is_rewrite=not any(one.changes_data for one in (*added, *removed)),
        added=tuple(one.of_table() for one in added),
        removed=tuple(one.of_table() for one in removed),
    )
