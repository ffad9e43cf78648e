"""Plan a run: compare the lake with the ledger, and freeze the order of what is new.

Nothing is trained before every file has been looked at: known files must still have the fingerprint
they were trained with, new ones must have the columns that the model reads.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from onepass.errors import BadPartition, ChangedPartition, first_line
from onepass.job import Job
from onepass.lake.discover import LakeFile, discover
from onepass.lake.footer import Footer, is_unchanged, partitions, read_footer
from onepass.lake.order import permutation
from onepass.ledger.entries import SkipEntry, TrainEntry
from onepass.model.directory import OpenModel
from onepass.partition import Fingerprint, Group, Partition, UnreadFile
from onepass.stream.check_columns import check_columns
from onepass.text import printable

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Scan:
    """What a look at the whole lake found."""

    new: list[Partition] = field(default_factory=list)
    """Partitions that the ledger does not know, in the order of their names."""
    skips: list[tuple[Partition | UnreadFile, str]] = field(default_factory=list)
    """Partitions to leave out, and why."""


def make_plan(model: OpenModel, job: Job) -> list[Group]:
    """What to train now: the rest of an unfinished plan, or else all that is new.

    New partitions are frozen in the ledger as a plan first.

    Raises
    ------
    ChangedPartition, BadPartition
        As the job says.
    """
    scan = _scan(model, job)
    for partition, reason in scan.skips:
        model.ledger.commit_skip(partition, reason)
    pending = model.ledger.history.pending()
    if pending or not scan.new:
        return pending
    # Counted in what counts: after a rewind, the order is that of a model that had never gone on.
    groups = _groups(scan.new, job, len(model.ledger.history.line()))
    model.ledger.commit_plan(groups)
    return groups


def gone(path: str) -> BadPartition:
    """The error for a planned file that has been removed."""
    return BadPartition(
        "planned, but no longer in the lake",
        path=path,
        advice="Put it back, or go on without it: --on-bad skip.",
    )


def _groups(new: list[Partition], job: Job, version: int) -> list[Group]:
    """Groups of evenly spaced partitions, once for each epoch.

    Neighbours are alike in a lake that is sorted across files, so each group takes partitions from
    all over it.
    """
    n_groups = -(-len(new) // job.interleave)
    found: list[Group] = []
    for epoch in range(1, job.epochs + 1):
        groups = [Group(epoch, new[first::n_groups]) for first in range(n_groups)]
        if job.order == "shuffled":
            order = permutation(n_groups, job.seed, "plan", version, epoch)
            groups = [groups[i] for i in order]
        found += groups
    return found


def _scan(model: OpenModel, job: Job) -> Scan:
    known = _Known(model)
    scan = Scan()
    found = discover(job.lake)
    for file in found:
        try:
            _look_at(file, known, model, job, scan)
        except BadPartition as error:
            if job.on_bad == "error":
                raise
            partition = UnreadFile(file.key)
            reason = first_line(error)
            if not known.is_skipped(partition, reason):
                scan.skips.append((partition, reason))
    _warn_of_copies(known, scan.new)
    _check_pending(known, {file.key for file in found}, job, scan)
    return scan


def _warn_of_copies(known: _Known, new: list[Partition]) -> None:
    for partition in new:
        trained_as = known.trained_as.get(partition.fingerprint.content, partition.path)
        if trained_as != partition.path:
            logger.warning(
                "%s looks like %s, which has been trained: renamed or copied?",
                printable(partition.path),
                printable(trained_as),
            )


def _look_at(file: LakeFile, known: _Known, model: OpenModel, job: Job, scan: Scan) -> None:
    trained = known.trained.get(file.key)
    newest = trained[-1] if trained else None
    if newest and known.is_settled(file.key, newest) and is_unchanged(file, newest):
        return
    footer = read_footer(file)
    is_changed = trained is not None and footer.fingerprint not in trained
    # Content that was left out as changed can still be asked for.
    settled_by = known.final if is_changed and job.on_changed == "retrain" else known.partitions
    new = [p for p in partitions(file, footer) if p not in settled_by]
    # What has been left out once as changed is settled, and not complained about for ever.
    settled = footer.fingerprint.rows and not new
    if trained is not None and is_changed and not settled:
        _changed(file, footer, trained[-1], known, job, scan)
        if job.on_changed == "skip":
            return
    if new:
        check_columns(file, footer, model.file.encoder, label=True)
        scan.new += new


def _changed(
    file: LakeFile, footer: Footer, was: Fingerprint, known: _Known, job: Job, scan: Scan
) -> None:
    difference = f"trained with {was.brief}; now {footer.fingerprint.brief}"
    if job.on_changed == "error":
        raise ChangedPartition(
            f"{printable(file.key)} has changed since it was trained ({difference})\n"
            "Put the old file back, or choose --on-changed skip or retrain.",
            path=file.key,
        )
    for partition in known.pending.get(file.key, []):
        reason = f"{file.key} changed before it was trained: {difference}"
        scan.skips.append((partition, reason))
    if job.on_changed == "skip":
        for partition in partitions(file, footer):
            if partition not in known.partitions:
                scan.skips.append((partition, f"{file.key} has changed: {difference}"))


def _check_pending(known: _Known, present: set[str], job: Job, scan: Scan) -> None:
    for path, waiting in known.pending.items():
        if path not in present:
            error = gone(path)
            if job.on_bad == "error":
                raise error
            scan.skips += [(partition, first_line(error)) for partition in waiting]


class _Known:
    """The ledger's view of the lake, folded for lookup."""

    def __init__(self, model: OpenModel) -> None:
        self.partitions: set[Partition] = set()
        self.trained: dict[str, list[Fingerprint]] = {}
        self.pending: dict[str, list[Partition]] = {}
        self.final: set[Partition] = set()
        """Learnt, or excluded by a rewind: not to be trained again, whatever is asked."""
        self.trained_as: dict[str, str] = {}
        self._skipped: set[tuple[str, str]] = set()
        self._rows: Counter[tuple[str, str]] = Counter()
        # What a rewind excludes is skipped by the versions right after it.
        self._exclusions = {
            version
            for entry in model.ledger.history.rewinds
            for version in range(entry.version + 1, entry.version + 1 + len(entry.excluded))
        }
        for entry in model.ledger.history.decided():
            self._fold(entry)
        pending = model.ledger.history.pending()
        for partition in dict.fromkeys(p for group in pending for p in group.partitions):
            self._add(partition)
            self.trained.setdefault(partition.path, []).append(partition.fingerprint)
            self.pending.setdefault(partition.path, []).append(partition)

    def is_skipped(self, partition: UnreadFile, reason: str) -> bool:
        return (partition.path, reason) in self._skipped

    def is_settled(self, path: str, content: Fingerprint) -> bool:
        """Whether all rows of a content of a file are trained, planned or left out."""
        return self._rows[path, content.content] == content.rows

    def _add(self, partition: Partition) -> None:
        if partition not in self.partitions:
            self.partitions.add(partition)
            self._rows[partition.path, partition.fingerprint.content] += partition.rows

    def _fold(self, entry: TrainEntry | SkipEntry) -> None:
        if isinstance(entry, SkipEntry):
            self._skipped.add((entry.partition.path, entry.reason))
            if isinstance(entry.partition, Partition):
                self._add(entry.partition)
                if entry.version in self._exclusions:
                    self.final.add(entry.partition)
            return
        for partition in entry.partitions:
            self._add(partition)
            self.final.add(partition)
            self.trained_as[partition.fingerprint.content] = partition.path
            self.trained.setdefault(partition.path, []).append(partition.fingerprint)
