"""Decide file by file which partitions of a lake are new, skipped or in quarantine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import closing

from onepass.errors import BadPartition, ChangedPartition, first_line
from onepass.job import Job
from onepass.lake.discover import LakeFile
from onepass.lake.look import ABSENT, look_at
from onepass.lake.pruning import may_match
from onepass.partition import Fingerprint, Look, Partition, UnreadFile
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.each_file import each_file
from onepass.stream.sources import gone
from onepass.stream.workers import Workers
from onepass.text import printable
from onepass.training.compared import Asked, Comparison, Found, compared, is_fault
from onepass.training.known import Known
from onepass.training.rolling_holdout import Window
from onepass.training.settled_looks import SettledLooks

logger = logging.getLogger(__name__)


def _ignore(_: int) -> None:
    return None


class Planner:
    """Decides file by file which partitions are new and which are skipped."""

    def __init__(
        self,
        known: Known,
        job: Job,
        check: ColumnCheck,
        split_bytes: int,
        looks: SettledLooks | None = None,
    ) -> None:
        self.known, self.job, self.check = known, job, check
        self.looks = looks or SettledLooks(None)
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

    def take(
        self, files: Iterable[LakeFile], workers: Workers, advanced: Callable[[int], None] = _ignore
    ) -> None:
        """Add the new partitions of files, and leave out those that are bad or have changed.

        Parameters
        ----------
        files
            Files in the order of the plan.
        workers
            Threads or a cluster to read footers with.
        advanced
            Called after each footer that has been read, with the number of footers to read.
        """
        asked = [one for file in files if (one := self._ask(file)) is not None]
        compare = Comparison(self.check, self._split_bytes)
        each = each_file(compared, compare, asked, workers, lambda one: one.file, is_bad=is_fault)
        with closing(each) as found:
            for one, comparison in zip(asked, found, strict=True):
                try:
                    self._settle(one, comparison)
                except BadPartition as error:
                    if self.job.on_bad == "error":
                        raise self._bad(error, one) from error
                    self._leave_out(one.file, first_line(error), one.look)
                advanced(len(asked))

    def _ask(self, file: LakeFile) -> Asked | None:
        """Return what to ask of a file's footer; None if its look or the log tells all."""
        self._files.append(file)
        look = look_at(file)
        if self.job.on_bad != "error" and self.known.is_kept(file.key, look):
            return None
        self.known.release(file.key, look)
        settled = self.settled_content(file)
        if settled is not None and self.looks.tell(file, look, settled):
            return None
        if file.key not in self.known.trained and not may_match(self._node, file):
            # Path or table alone tell it, so not even the footer is read.
            self.n_pruned += 1
            return None
        return Asked(file, look, settled)

    def settled_content(self, file: LakeFile) -> Fingerprint | None:
        """Return the content of a file of which everything is trained, planned or skipped."""
        newest = next(reversed(self.known.trained.get(file.key, [])), None)
        is_settled = newest is not None and self.known.is_settled(file.key, newest)
        return newest if is_settled else None

    def _settle(self, asked: Asked, found: Found | BadPartition | None) -> None:
        """Decide about a file whose footer was asked; None if its content is settled."""
        if isinstance(found, BadPartition):
            raise found
        content = asked.settled if found is None else found.content
        assert content is not None
        self.looks.note(asked.file, asked.look, content)
        if found is not None:
            self.decide(asked.file, found)

    def _bad(self, error: BadPartition, asked: Asked) -> BadPartition:
        """Return the error of a bad file, which says so if an earlier run has set the file aside.

        A run that is to fail for bad files reads one in quarantine again, as it may be repaired.
        """
        if not self.known.is_kept(asked.file.key, asked.look):
            return error
        version = max(one.version for one in self.known.quarantined[asked.file.key].values())
        return BadPartition(
            error.reason,
            path=error.path,
            row_group=error.row_group,
            column=error.column,
            advice=f"The file is in quarantine since version {version}, and is as it was. Go on "
            "with --on-bad quarantine until it is replaced, or repair or remove it.",
        )

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

    def decide(self, file: LakeFile, found: Found) -> None:
        """Compare the content of a file with what the log knows of it, and add what is new."""
        known, job = self.known, self.job
        trained = known.trained.get(file.key)
        is_changed = trained is not None and found.content not in trained
        # With on_changed "retrain", a changed file is trained even if an earlier run skipped it.
        settled = known.final if is_changed and job.on_changed == "retrain" else known.partitions
        new = [one for one in found.partitions if one not in settled]
        # A change that an earlier run has skipped leaves nothing new, and is not reported again.
        if trained and is_changed and (new or not found.content.rows):
            self._take_change(file, found, trained[-1])
            if job.on_changed == "skip":
                return
        self.add(new, found, is_known=trained is not None)

    def add(self, new: list[Partition], found: Found, *, is_known: bool) -> None:
        """Add the new partitions of a file that may have rows to learn.

        Its columns must be those that the model reads.
        """
        matching = [one for one in new if one in found.matching]
        self.n_pruned += bool(new) and not matching and not is_known
        if matching:
            if found.fault is not None:
                raise found.fault
            self.check.warn(found.renamed)
            self.new += matching

    def _take_change(self, file: LakeFile, found: Found, was: Fingerprint) -> None:
        """Raise the error for a changed file, or skip its planned partitions.

        With on_changed "skip", skip the partitions of its new content as well.
        """
        difference = f"trained with {was.brief}; now {found.content.brief}"
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
            new = [one for one in found.partitions if one not in self.known.partitions]
            self.skips += [(one, reason) for one in new]
