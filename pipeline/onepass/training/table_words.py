"""Say what commits of a table have changed, and what becomes of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from onepass.errors import ChangedPartition, DataError
from onepass.lake.tables.table import Commit, Table
from onepass.ledger.table_mark import FileName, TableMark
from onepass.text import counted, listed, printable
from onepass.training.table_commits import Change, named

MOST_NAMED = 3
"""Most files that a message names."""


def gone_before(name: FileName, commit: Commit | None) -> str:
    """Return what has become of a file that is to be read as it was, and is gone."""
    by = "a later commit" if commit is None else named(commit)
    return f"{printable(name[0])} was not trained before {by} merged its rows with trained ones"


def changed_rows(changes: Sequence[Change]) -> ChangedPartition:
    """Return the error of commits that have changed settled rows."""
    first = changes[0]
    names = listed([printable(key) for key, _ in first.changed or first.added], MOST_NAMED)
    more = f"; so did {counted(len(changes) - 1, 'later commit')}" if len(changes) > 1 else ""
    return ChangedPartition(
        f"{_what(first)}: {names}{more}\nTo train only what other commits have added, choose "
        "--on-changed skip; to learn the files of such commits whole, --on-changed retrain.",
        path=(first.changed or first.added)[0][0],
    )


def _what(change: Change) -> str:
    if not change.changed:
        files = counted(len(change.added), "file")
        return f"{named(change.commit)} brought back {files}, whose rows may be trained already"
    return f"{named(change.commit)} changed {counted(len(change.changed), 'trained file')}"


def told_change(change: Change, files_left_out: Collection[FileName]) -> str:
    """Return what a change was, and what becomes of it."""
    left_out = sum(one in files_left_out for one in change.added)
    whole = len(change.added) - left_out
    found = [f"{counted(left_out, 'file')} left out"] if left_out else []
    found += [f"{counted(whole, 'file')} trained whole"] if whole else []
    return f"{_what(change)}: {', '.join(found) or 'their rows stay learnt'}"


def another_table(mark: TableMark, table: Table) -> DataError:
    """Return the error of a lake that is another table than the one of a mark."""
    return DataError(
        f"the lake holds another table than the one that the model has learnt: expected the "
        f"{mark.format} table {mark.id}, found the {table.format} table {table.id}\n"
        "Put the old table back, or create a new model with another --model."
    )
