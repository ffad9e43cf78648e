"""Decide file by file which partitions of a lake are new, skipped or in quarantine."""

from __future__ import annotations

import logging
from collections.abc import Collection

from onepass.errors import BadPartition, ChangedPartition, first_line
from onepass.job import Job
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer, is_unchanged, partitions, read_footer
from onepass.lake.look import ABSENT, look_at
from onepass.lake.pruning import may_match, row_groups
from onepass.partition import Fingerprint, Look, Partition, UnreadFile
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.sources import gone
from onepass.text import printable
from onepass.training.known import Known
from onepass.training.rolling_holdout import Window

logger = logging.getLogger(__name__)


class Planner:
    """Decides file by file which partitions are new and which are skipped."""

    def __init__(self, known: Known, job: Job, check: ColumnCheck, split_bytes: int) -> None:
        self.known, self.job, self.check = known, job, check
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
        self.node = None if check.selection is None else check.selection.node

    def take(self, file: LakeFile) -> None:
        """Add the new partitions of a file, or leave it out if it is bad or has changed."""
        self._files.append(file)
        on_bad, look = self.job.on_bad, self._look_at(file)
        if on_bad != "error" and self.known.is_kept(file.key, look):
            return
        self.known.release(file.key, look)
        try:
            self.compare(file)
        except BadPartition as error:
            if on_bad == "error":
                raise
            self._leave_out(file, first_line(error), look)

    def _look_at(self, file: LakeFile) -> Look:
        """Look at a file before it is read, if the look is of use: a lake may have 100,000."""
        is_of_use = self.job.on_bad == "quarantine" or file.key in self.known.quarantined
        return look_at(file) if is_of_use else ABSENT

    def _leave_out(self, file: LakeFile, reason: str, look: Look) -> None:
        """Leave a bad file out, unless the log says so already."""
        if self.job.on_bad == "quarantine":
            if not self.known.is_noted(file.key, reason, look):
                self.quarantines.append((UnreadFile(file.key), reason, look))
        elif not self.known.is_skipped(file.key, reason):
            self.skips.append((UnreadFile(file.key), reason))

    def hold_out(self, window: Window, *, is_ordered: bool = False) -> list[LakeFile]:
        """Take the files in the window out of the new ones, and return them.

        Files of which anything was trained or planned before stay: the model knows their rows.

        Parameters
        ----------
        is_ordered
            Whether the files were taken in the order in which they were added to the lake.
        """
        trained, new = self.known.trained, {one.path for one in self.new}
        usable = trained.keys() | new
        in_window = window.keys(
            [one for one in self._files if one.key in usable], is_ordered=is_ordered
        )
        held = (in_window & new) - trained.keys()
        self.new = [one for one in self.new if one.path not in held]
        if held and not self.new and not trained:
            raise window.nothing_left(len(held))
        return [one for one in self._files if one.key in held]

    def skip_removed(self, present: Collection[str]) -> None:
        """Skip the planned partitions whose files are no longer in the lake."""
        for path, waiting in self.known.pending.items():
            if path not in present:
                error = gone(path)
                if self.job.on_bad == "error":
                    raise error
                reason = first_line(error)
                if self.job.on_bad == "quarantine":
                    self.quarantines += [(partition, reason, ABSENT) for partition in waiting]
                else:
                    self.skips += [(partition, reason) for partition in waiting]

    def warn_of_copies(self) -> None:
        """Log a warning for each new partition whose content was trained under another path."""
        for partition in self.new:
            trained_as = self.known.trained_as.get(partition.fingerprint, partition.path)
            if trained_as != partition.path:
                logger.warning(
                    "%s looks like %s, which has been trained: renamed or copied?",
                    printable(partition.path),
                    printable(trained_as),
                )

    def compare(self, file: LakeFile) -> None:
        """Compare a file with what the log knows of it, and add its new partitions."""
        known, job = self.known, self.job
        trained = known.trained.get(file.key)
        newest = trained[-1] if trained else None
        if newest and known.is_settled(file.key, newest) and is_unchanged(file, newest):
            return
        if trained is None and not may_match(self.node, file):
            # Path or table alone tell it, so not even the footer is read.
            self.n_pruned += 1
            return
        footer = read_footer(file)
        is_changed = trained is not None and footer.fingerprint not in trained
        # With on_changed "retrain", a changed file is trained even if an earlier run skipped it.
        settled = known.final if is_changed and job.on_changed == "retrain" else known.partitions
        new = [one for one in self.partitions_of(file, footer) if one not in settled]
        # A change that an earlier run has skipped leaves nothing new, and is not reported again.
        if newest and is_changed and (new or not footer.fingerprint.rows):
            self._take_change(file, footer, newest)
            if job.on_changed == "skip":
                return
        self.add(file, footer, new, is_known=trained is not None)

    def add(self, file: LakeFile, footer: Footer, new: list[Partition], *, is_known: bool) -> None:
        """Add new partitions of a file, if a row of them can meet the job's condition."""
        matching = [one for one in new if row_groups(self.node, file, footer, one)]
        self.n_pruned += bool(new) and not matching and not is_known
        if matching:
            self.check(file, footer)
            self.new += matching

    def _take_change(self, file: LakeFile, footer: Footer, was: Fingerprint) -> None:
        """Raise the error for a changed file, or skip its planned partitions.

        With on_changed "skip", skip the partitions of its new content as well.
        """
        difference = f"trained with {was.brief}; now {footer.fingerprint.brief}"
        if self.job.on_changed == "error":
            advice = "Put the old file back, or choose --on-changed skip or retrain."
            if file.key in self.known.quarantined:
                advice = (
                    "A part of it was trained, the rest is in quarantine: --on-changed retrain "
                    "learns the whole new file, --on-changed skip leaves it out."
                )
            raise ChangedPartition(
                f"{printable(file.key)} has changed since it was trained ({difference})\n{advice}",
                path=file.key,
            )
        for partition in self.known.pending.get(file.key, []):
            reason = f"{file.key} changed before it was trained: {difference}"
            self.skips.append((partition, reason))
        if self.job.on_changed == "skip":
            reason = f"{file.key} has changed: {difference}"
            found = self.partitions_of(file, footer)
            self.skips += [(one, reason) for one in found if one not in self.known.partitions]

    def partitions_of(self, file: LakeFile, footer: Footer) -> list[Partition]:
        """Return the partitions of a file."""
        return list(partitions(file, footer, self._split_bytes))
