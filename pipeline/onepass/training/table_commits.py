"""Words about the commits of a table that several modules of planning share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from onepass.lake.tables.table import Commit, FileOfTable
from onepass.ledger.table_mark import FileName


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
    """Names of files whose rows a model has settled or planned, and of those that wait."""

    files: set[FileName] = field(default_factory=set)
    """Files that are trained, left out, or written from such files."""
    left_out: set[FileName] = field(default_factory=set)
    """Those of them that commits which changed trained rows have added, and that were left out."""
    planned: set[FileName] = field(default_factory=set)
    """Files of an unfinished plan of which nothing has been trained."""
    waiting: list[FileName] = field(default_factory=list)
    """Files that are held out of the training, oldest first."""
    past: list[FileName] = field(default_factory=list)
    """Those of them that the table no longer has: it has merged them with settled ones."""


def reached(name: FileName, step: Callable[[FileName], Iterable[FileName]]) -> list[FileName]:
    """Return what steps from a file lead to, each once: a RESTORE may lead back."""
    found: dict[FileName, None] = {}
    left = [name]
    while left:
        for one in step(left.pop()):
            if one not in found:
                found[one] = None
                left.append(one)
    return list(found)


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


def named(commit: Commit) -> str:
    """Return the label and the operation of a commit."""
    return f"{commit.label} {commit.operation}"
