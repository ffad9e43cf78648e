"""Rewind: let an earlier version of a model count again, such as the one before a bad day's data.

Nothing is taken out of the log. The state of that version is seen to be there first, retrained from
an older one if it has been let go; then one entry makes it the newest; then each excluded partition
is skipped by an entry of its own, which the next run makes up for if this one is killed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel

from onepass.errors import (
    BadPartition,
    DataError,
    EmptyLake,
    JobError,
    StoreRefused,
    first_line,
)
from onepass.lake.discover import LakeFile, discover
from onepass.lake.footer import partitions, read_footer
from onepass.ledger.entries import AnyEntry, LearntEntry, RewindEntry, SkipEntry, TrainEntry
from onepass.model.directory import warn_if_elsewhere
from onepass.model.state import Trainee
from onepass.partition import Partition
from onepass.training.progress import Progress
from onepass.training.run import Run
from onepass.training.session import exclusion, opened

logger = logging.getLogger(__name__)


class RewindReport(BaseModel):
    """What a rewind has done."""

    model: str
    version: int
    """Newest version of the ledger, this rewind and its skips included."""
    to: int
    """The version that counts again."""
    partitions: int
    """Partitions that the model has learnt now, once for each epoch."""
    rows: int
    """Rows that it has learnt now."""
    undone_versions: int
    """Versions that have counted until now and no longer do."""
    undone_partitions: int
    undone_rows: int
    pending: int
    """Partitions of the plan as of that version that are still to be trained."""
    excluded: list[str]
    """Partitions that are left out from now on."""
    retrained: list[int]
    """Versions that had to be retrained because their states were gone."""
    state_sha256: str | None
    """Digest of the state that counts now; None before the first partition."""


def rewind(
    model: str | Path,
    to: int,
    *,
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> RewindReport:
    """Let an earlier version count again: its state, its trained partitions, its pending plan.

    Parameters
    ----------
    model
        Model directory.
    to
        The version; 0 is the model as it was created. One that an earlier rewind has undone will
        do as well.
    exclude
        Partitions to leave out when training goes on, by name (as `onepass log` shows it) or by
        pattern (``*`` matches anything, ``/`` as well), among those that the ledger knows and those
        that are in the lake now. A file that is repaired later has other content and is trained; of
        one that has changed since it was learnt, the new content is left out.
    progress
        Told about partitions that are retrained or left out.

    Raises
    ------
    ModelNotFound
        If there is no model.
    JobError
        If there is no such version, a pattern fits no partition, one that it fits has been learnt
        by that version, or its state has been let go and the lake is gone.
    DataError
        If the state of that version has been let go, and a file to retrain it from is bad, gone or
        has changed.
    ForeignModel
        If retraining does not give the very bytes that were committed, or is not possible.
    ModelConflict
        If another process writes the model.
    """
    with opened({"model": str(model)}, progress or Progress(), creates=False) as run:
        return _Rewind(run, to, exclude).run()


class _Rewind:
    """One rewind of a model that is held."""

    def __init__(self, run: Run, to: int, exclude: Sequence[str]) -> None:
        self._run, self._ledger = run, run.model.ledger
        self._to, self._exclude = to, list(exclude)
        self._check_version()
        self._line = self._ledger.history.line(to)
        self._files: dict[str, LakeFile] | None = None

    def run(self) -> RewindReport:
        excluded = self._excluded() if self._exclude else []
        before = self._ledger.history.line()
        retrained = self._secure_state()
        ledger = self._ledger
        entry = ledger.commit_rewind(self._to, self._exclude, excluded)
        for partition in excluded:
            ledger.commit_skip(partition, exclusion(entry))
        kept = {one.version for one in self._line}
        undone = [one for one in before if one.version not in kept]
        newest = ledger.history.learnt()[-1:]
        return RewindReport(
            model=self._run.model.path,
            version=ledger.version,
            to=self._to,
            partitions=_n_partitions(self._line),
            rows=_n_rows(self._line),
            undone_versions=len(undone),
            undone_partitions=_n_partitions(undone),
            undone_rows=_n_rows(undone),
            pending=sum(len(group.partitions) for group in ledger.history.pending()),
            excluded=[partition.name for partition in excluded],
            retrained=retrained,
            state_sha256=newest[0].state.sha256 if newest else None,
        )

    def _check_version(self) -> None:
        ledger, to = self._ledger, self._to
        if not ledger.version:
            raise JobError(
                f"nothing has been planned or trained in {self._run.model.path!r} yet, so there is "
                "no version to go back to"
            )
        if not 0 <= to < ledger.version:
            raise JobError(
                f"--to must be a version from 0 to {ledger.version - 1}, before the newest, "
                f"{ledger.version}; found {to} (onepass log {self._run.model.path} lists them)"
            )
        for entry in ledger.entries:
            if isinstance(entry, RewindEntry):
                last = entry.version + len(entry.excluded)
                if entry.version <= to < last:
                    # Going back into the middle would forget what was to be left out.
                    raise JobError(
                        f"versions {entry.version} to {last} are one rewind with what it leaves "
                        f"out: rewind to {last}, or to {entry.version - 1} and before"
                    )

    def _lake(self) -> dict[str, LakeFile]:
        if self._files is None:
            self._files = {file.key: file for file in discover(self._run.job.lake)}
        return self._files

    def _secure_state(self) -> list[int]:
        """Make sure that the state to go on from is there; return the versions retrained for it."""
        learnt = [entry for entry in self._line if isinstance(entry, LearntEntry)]
        if not learnt:
            return []
        ledger, target = self._ledger, learnt[-1]
        kept = [entry for entry in learnt if ledger.has_state(entry)]
        sound, trainee = self._run.model.newest_usable(kept)
        lost = [e for e in learnt if sound is None or e.version > sound.version]
        if not lost:
            return []
        trainee = trainee or self._run.model.file.trainee(target.state.size)
        warn_if_elsewhere(sound)
        for entry in lost:
            self._run.progress.noted(f"retraining version {entry.version}, whose state is gone")
            self._retrain(trainee, entry)
            trainee.restore(trainee.dump(), entry.state.key)
        ledger.heal(target, trainee.dump())
        return [entry.version for entry in lost]

    def _retrain(self, trainee: Trainee, entry: LearntEntry) -> None:
        try:
            self._run.retrain(trainee, entry, self._lake())
        except (DataError, JobError) as error:
            kind = DataError if isinstance(error, DataError) else JobError
            raise kind(
                f"nothing has been rewound: the state of version {self._to} is gone, and cannot be "
                f"retrained: {first_line(error)}\nPut the lake back as it was then, or rewind to "
                f"one of {self._others()}, which need no retraining."
            ) from None

    def _others(self) -> str:
        """Versions that can be gone back to without the lake."""
        besides = {self._to, self._ledger.version}
        versions = [e.version for e in self._ledger.retention.stored() if e.version not in besides]
        return ", ".join(map(str, [0, *versions]))

    def _excluded(self) -> list[Partition]:
        """Partitions that the patterns fit: those of the ledger, and those of the lake."""
        found = {p for p in [*self._known(), *self._in_lake()] if self._fits(p)}
        for pattern in self._exclude:
            if not any(_matches(partition, pattern) for partition in found):
                raise JobError(
                    f"--exclude {pattern!r} fits no partition of the ledger or the lake; names are "
                    f"as in: onepass log {self._run.model.path}"
                )
        found = self._not_learnt(found)
        skipped = {e.partition for e in self._line if isinstance(e, SkipEntry)}
        return sorted(found - skipped, key=lambda one: (one.name, one.fingerprint.content))

    def _known(self) -> list[Partition]:
        return [
            p for e in self._ledger.entries for p in e.all_partitions() if isinstance(p, Partition)
        ]

    def _in_lake(self) -> list[Partition]:
        try:
            files = self._lake()
        except (EmptyLake, JobError, StoreRefused) as error:
            logger.warning("only what the ledger knows can be excluded: %s", error)
            return []
        found = []
        for file in files.values():
            if any(_path_may_match(file.key, pattern) for pattern in self._exclude):
                try:
                    found += list(partitions(file, read_footer(file)))
                except BadPartition as error:
                    logger.warning("%s", error)
        return found

    def _fits(self, partition: Partition) -> bool:
        return any(_matches(partition, pattern) for pattern in self._exclude)

    def _not_learnt(self, found: set[Partition]) -> set[Partition]:
        """Those that the version has not learnt.

        Of a file that has changed since, the new content can be left out; of all others it is too
        late.
        """
        learnt: dict[Partition, int] = {}
        for entry in self._line:
            if isinstance(entry, TrainEntry):
                for partition in entry.partitions:
                    learnt.setdefault(partition, entry.version)
        left = found - learnt.keys()
        contents: dict[str, set[str]] = {}
        for partition in left:
            contents.setdefault(partition.path, set()).add(partition.fingerprint.content)
        for partition in (one for one in learnt if one in found):
            others = contents.get(partition.path, set())
            if not others or partition.fingerprint.content in others:
                raise _too_late(partition, learnt[partition], self._to)
        return left


def _too_late(partition: Partition, learnt: int, to: int) -> JobError:
    return JobError(
        f"version {to} has learnt {partition.name} already (in version {learnt}), so it cannot be "
        f"excluded; rewind to version {learnt - 1} or before"
    )


def _matches(partition: Partition, pattern: str) -> bool:
    return any(
        name == pattern or fnmatchcase(name, pattern) for name in (partition.name, partition.path)
    )


def _path_may_match(path: str, pattern: str) -> bool:
    # A pattern may name a range of a file, as path[first:end].
    return path == pattern or fnmatchcase(path, pattern) or pattern.startswith(f"{path}[")


def _n_partitions(entries: Sequence[AnyEntry]) -> int:
    return sum(len(entry.partitions) for entry in entries if isinstance(entry, TrainEntry))


def _n_rows(entries: Sequence[AnyEntry]) -> int:
    return sum(entry.rows for entry in entries if isinstance(entry, TrainEntry))
