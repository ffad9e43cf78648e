"""Plan a run: compare the lake with the log, and decide what to train, in which order.

Planning checks every file before any file is trained. A known file must still have the fingerprint
that it was trained with, and a new one must have the columns that the model reads. This module
commits nothing: a session commits the plan.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onepass.errors import BadPartition, ChangedPartition, first_line
from onepass.job import Job
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer, is_unchanged, partitions, read_footer
from onepass.lake.look import ABSENT, look_at
from onepass.lake.order import permutation
from onepass.lake.pruning import may_match, row_groups
from onepass.ledger.history import History
from onepass.partition import Fingerprint, Group, Look, Partition, UnreadFile
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.sources import gone
from onepass.text import printable
from onepass.training.known import Known
from onepass.training.rolling_holdout import Window

logger = logging.getLogger(__name__)


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


def make_plan(
    history: History,
    files: Mapping[str, LakeFile],
    job: Job,
    check: ColumnCheck,
    *,
    split_bytes: int,
    window: Window | None = None,
) -> Plan:
    """Decide which partitions to skip, and which new ones to train.

    Parameters
    ----------
    files
        All files of the lake, by key.
    check
        Compares the columns of new files with those that the model reads.
    split_bytes
        Size at which files are cut; see `onepass.lake.footer.partitions`.
    window
        Files of a rolling holdout, which are checked but not planned.

    Raises
    ------
    ChangedPartition, BadPartition
        If a file has changed or is bad, and the job does not say to skip or retrain it.
    JobError
        If the holdout does not suit the lake, or leaves nothing to train.
    """
    if window is not None:
        window.check(files.values())
    planner = _Planner(Known(history), job, check, split_bytes)
    for file in files.values():
        planner.take(file)
    planner.warn_of_copies()
    planner.skip_removed(files)
    held_out = [] if window is None else planner.hold_out(window)
    plan = Plan(planner.skips, planner.quarantines, held_out, len(files), planner.n_pruned)
    if planner.new and not _is_unfinished(history, plan):
        # The number of entries that count seeds the order. So after a rewind the order is that of a
        # model which was never trained beyond the version to which it was rewound.
        version = len(history.line()) + len(plan.skips) + len(plan.quarantines)
        plan.groups = _groups(planner.new, job, version)
    return plan


def _is_unfinished(history: History, plan: Plan) -> bool:
    """Return whether the newest plan has partitions left that the new plan does not skip."""
    skipped = {partition for partition, *_ in (*plan.skips, *plan.quarantines)}
    return any(one not in skipped for group in history.pending() for one in group.partitions)


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


class _Planner:
    """Decides file by file which partitions are new and which are skipped."""

    def __init__(self, known: Known, job: Job, check: ColumnCheck, split_bytes: int) -> None:
        self._known, self._job, self._check = known, job, check
        self._split_bytes = split_bytes
        self._files: list[LakeFile] = []
        self.new: list[Partition] = []
        """Partitions that the log does not know, in the order of the files."""
        self.skips: list[tuple[Partition | UnreadFile, str]] = []
        """Partitions to skip, each with the reason."""
        self.quarantines: list[tuple[Partition | UnreadFile, str, Look]] = []
        """Partitions to put in quarantine, each with the reason and the look of its file."""
        self.n_pruned = 0
        """Files that the log does not know, and of which no row can meet the job's condition."""
        self._node = None if check.selection is None else check.selection.node

    def take(self, file: LakeFile) -> None:
        """Add the new partitions of a file, or leave it out if it is bad or has changed."""
        self._files.append(file)
        on_bad, look = self._job.on_bad, self._look_at(file)
        if on_bad != "error" and self._known.is_kept(file.key, look):
            return
        self._known.release(file.key, look)
        try:
            self._compare(file)
        except BadPartition as error:
            if on_bad == "error":
                raise
            self._leave_out(file, first_line(error), look)

    def _look_at(self, file: LakeFile) -> Look:
        """Look at a file before it is read, if the look is of use: a lake may have 100,000."""
        is_of_use = self._job.on_bad == "quarantine" or file.key in self._known.quarantined
        return look_at(file) if is_of_use else ABSENT

    def _leave_out(self, file: LakeFile, reason: str, look: Look) -> None:
        """Leave a bad file out, unless the log says so already."""
        if self._job.on_bad == "quarantine":
            if not self._known.is_noted(file.key, reason, look):
                self.quarantines.append((UnreadFile(file.key), reason, look))
        elif not self._known.is_skipped(file.key, reason):
            self.skips.append((UnreadFile(file.key), reason))

    def hold_out(self, window: Window) -> list[LakeFile]:
        """Take the files in the window out of the new ones, and return them.

        Files of which anything was trained or planned before stay: the model knows their rows.
        """
        trained, new = self._known.trained, {one.path for one in self.new}
        usable = trained.keys() | new
        in_window = window.keys([one for one in self._files if one.key in usable])
        held = (in_window & new) - trained.keys()
        self.new = [one for one in self.new if one.path not in held]
        if held and not self.new and not trained:
            raise window.nothing_left(len(held))
        return [one for one in self._files if one.key in held]

    def skip_removed(self, present: Mapping[str, LakeFile]) -> None:
        """Skip the planned partitions whose files are no longer in the lake."""
        for path, waiting in self._known.pending.items():
            if path not in present:
                error = gone(path)
                if self._job.on_bad == "error":
                    raise error
                reason = first_line(error)
                if self._job.on_bad == "quarantine":
                    self.quarantines += [(partition, reason, ABSENT) for partition in waiting]
                else:
                    self.skips += [(partition, reason) for partition in waiting]

    def warn_of_copies(self) -> None:
        """Log a warning for each new partition whose content was trained under another path."""
        for partition in self.new:
            trained_as = self._known.trained_as.get(partition.fingerprint, partition.path)
            if trained_as != partition.path:
                logger.warning(
                    "%s looks like %s, which has been trained: renamed or copied?",
                    printable(partition.path),
                    printable(trained_as),
                )

    def _compare(self, file: LakeFile) -> None:
        known, job = self._known, self._job
        trained = known.trained.get(file.key)
        newest = trained[-1] if trained else None
        if newest and known.is_settled(file.key, newest) and is_unchanged(file, newest):
            return
        if trained is None and not may_match(self._node, file):
            # Path or table alone tell it, so not even the footer is read.
            self.n_pruned += 1
            return
        footer = read_footer(file)
        is_changed = trained is not None and footer.fingerprint not in trained
        # With on_changed "retrain", a changed file is trained even if an earlier run skipped it.
        settled = known.final if is_changed and job.on_changed == "retrain" else known.partitions
        new = [one for one in self._partitions(file, footer) if one not in settled]
        # A change that an earlier run has skipped leaves nothing new, and is not reported again.
        if newest and is_changed and (new or not footer.fingerprint.rows):
            self._take_change(file, footer, newest)
            if job.on_changed == "skip":
                return
        matching = [one for one in new if row_groups(self._node, file, footer, one)]
        self.n_pruned += bool(new) and not matching and trained is None
        if matching:
            self._check(file, footer)
            self.new += matching

    def _take_change(self, file: LakeFile, footer: Footer, was: Fingerprint) -> None:
        """Raise the error for a changed file, or skip its planned partitions.

        With on_changed "skip", skip the partitions of its new content as well.
        """
        difference = f"trained with {was.brief}; now {footer.fingerprint.brief}"
        if self._job.on_changed == "error":
            advice = "Put the old file back, or choose --on-changed skip or retrain."
            if file.key in self._known.quarantined:
                advice = (
                    "A part of it was trained, the rest is in quarantine: --on-changed retrain "
                    "learns the whole new file, --on-changed skip leaves it out."
                )
            raise ChangedPartition(
                f"{printable(file.key)} has changed since it was trained ({difference})\n{advice}",
                path=file.key,
            )
        for partition in self._known.pending.get(file.key, []):
            reason = f"{file.key} changed before it was trained: {difference}"
            self.skips.append((partition, reason))
        if self._job.on_changed == "skip":
            reason = f"{file.key} has changed: {difference}"
            found = self._partitions(file, footer)
            self.skips += [(one, reason) for one in found if one not in self._known.partitions]

    def _partitions(self, file: LakeFile, footer: Footer) -> list[Partition]:
        return list(partitions(file, footer, self._split_bytes))
