"""What a run has found to do: partitions to skip, and groups to train in their order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from onepass.job import Job
from onepass.lake.discover import LakeFile
from onepass.lake.order import permutation
from onepass.ledger.history import History
from onepass.ledger.table_mark import FileName, TableMark, file_of
from onepass.partition import Group, Look, Partition, UnreadFile


@dataclass(slots=True)
class Plan:
    """Partitions of a lake to skip, and groups of new partitions to train."""

    skips: list[tuple[Partition | UnreadFile, str]] = field(default_factory=list)
    """Partitions to leave out for good, each with the reason."""
    quarantines: list[tuple[Partition | UnreadFile, str, Look]] = field(default_factory=list)
    """Partitions to leave out until their files look different, with reason and present look."""
    held_out: list[LakeFile] = field(default_factory=list)
    """Files that are left for the evaluation, and trained once they leave the window."""
    n_files: int = field(default=0, compare=False)
    """Number of files of the lake."""
    n_pruned: int = 0
    """Number of files that are left out because no row of them can meet the job's condition."""
    groups: list[Group] = field(default_factory=list)
    """New groups in the order of training; empty while an older plan is unfinished."""
    table: TableMark | None = None
    """What the plan settles of a table; None if nothing is to be committed about it."""
    notes: list[str] = field(default_factory=list)
    """Warnings about what commits of a table have changed."""
    told: list[str] = field(default_factory=list)
    """What commits of a table were that have changed no row."""


def rest_of(history: History, plan: Plan, replanned: Collection[FileName] = ()) -> list[Group]:
    """Return what is left of the newest plan.

    Parameters
    ----------
    plan
        The new plan; what it skips is not left.
    replanned
        Files whose partitions are not left either.
    """
    skipped = {partition for partition, *_ in (*plan.skips, *plan.quarantines)}
    found = []
    for group in history.pending():
        out = [one for one in group.partitions if one in skipped or file_of(one) in replanned]
        left = group.without(out)
        if left.partitions:
            found.append(left)
    return found


def new_groups(history: History, plan: Plan, new: Sequence[Partition], job: Job) -> list[Group]:
    """Arrange new partitions in the groups of a plan."""
    # The number of entries that count seeds the order. So after a rewind the order is that of a
    # model which was never trained beyond the version to which it was rewound.
    version = len(history.line()) + len(plan.skips) + len(plan.quarantines)
    return _groups(new, job, version)


def _groups(new: Sequence[Partition], job: Job, version: int) -> list[Group]:
    """Arrange partitions in groups, once for each epoch.

    A group takes evenly spaced partitions: neighbours are alike in a lake that is sorted across
    files.
    """
    n_groups = -(-len(new) // job.interleave)
    found: list[Group] = []
    for epoch in range(1, job.epochs + 1):
        groups = [Group(epoch, list(new[first::n_groups])) for first in range(n_groups)]
        if job.order == "shuffled":
            order = permutation(n_groups, job.seed, "plan", version, epoch)
            groups = [groups[i] for i in order]
        found += groups
    return found
