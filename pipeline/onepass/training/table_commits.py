"""Words about the commits of a table that several modules of planning share."""

from __future__ import annotations

from dataclasses import dataclass, field

from onepass.lake.tables.table import Commit, FileOfTable
from onepass.ledger.table_mark import Exchange, FileName


@dataclass(frozen=True, slots=True)
class Change:
    """A commit that has removed or changed settled rows."""

    commit: Commit
    changed: tuple[FileName, ...]
    """Settled files that the commit has removed."""
    added: tuple[FileName, ...]
    """Files that it has put in their place, or added beside them."""


@dataclass(slots=True)
class Settled:
    """What a model has settled of a table, and which files wait."""

    files: set[FileName] = field(default_factory=set)
    """Files of which anything is trained, and those of which nothing is to be."""
    left_out: set[FileName] = field(default_factory=set)
    """Files of commits that changed trained rows, which were left out at some time."""
    still_left_out: set[FileName] = field(default_factory=set)
    """Those of them that still are."""
    planned: set[FileName] = field(default_factory=set)
    """Files of an unfinished plan of which nothing has been trained."""
    waiting: list[FileName] = field(default_factory=list)
    """Files that are held out of the training, oldest first."""
    exchanges: list[Exchange] = field(default_factory=list)
    """What earlier commits have written from which files, oldest first."""
    rewritten: set[FileName] = field(default_factory=set)
    """Files whose rows were settled or planned as they were, when they were written."""
    is_marked: bool = True
    """Whether the model has settled a version of the table before the commits."""


def exchanged(
    commit: Commit,
) -> tuple[dict[FileName, FileOfTable], dict[FileName, FileOfTable]]:
    """Return what a commit removes and adds, without files that it only names again."""
    added = {one.identity: one for one in commit.added}
    removed = {one.identity: one for one in commit.removed}
    return (
        {name: one for name, one in removed.items() if name not in added},
        {name: one for name, one in added.items() if name not in removed},
    )


def is_return(commit: Commit) -> bool:
    """Return whether a commit brings back an older version."""
    return commit.operation.upper() in {"RESTORE", "ROLLBACK"}


def has_same_rows(commit: Commit) -> bool:
    """Return whether the rows of the table are the same after a commit."""
    # A RESTORE may call itself a commit without new data, but the rows are others after it.
    return commit.is_rewrite and not is_return(commit)


def named(commit: Commit) -> str:
    """Return the label and the operation of a commit."""
    return f"{commit.label} {commit.operation}"
