"""Find the partitions that a rewind leaves out, by name or pattern."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from onepass.errors import BadPartition, EmptyLake, JobError, StoreRefused
from onepass.lake.footer import partitions, read_footer
from onepass.ledger.entries import AnyEntry, SkipEntry, TrainEntry
from onepass.partition import Fingerprint, Partition
from onepass.training.session import Session

logger = logging.getLogger(__name__)


class Excluder:
    """Finds partitions that patterns match, among those of the ledger and those of the lake.

    Parameters
    ----------
    session
        Session of the model, which gives the ledger and the lake.
    line
        Entries that count as of the version to rewind to, oldest first.
    to
        The version to rewind to.
    """

    def __init__(self, session: Session, line: Sequence[AnyEntry], to: int) -> None:
        self._session, self._line, self._to = session, line, to

    def find(self, patterns: Sequence[str]) -> list[Partition]:
        """Return the matching partitions that are not skipped yet, sorted by name.

        Raises
        ------
        JobError
            If a pattern matches no partition, or one that the version has learnt.
        """
        if not patterns:
            return []
        known = [one for one in self._known() if _matches_any(one, patterns)]
        found = dict.fromkeys([*known, *self._in_lake(patterns)])
        for pattern in patterns:
            if not any(_matches(partition, pattern) for partition in found):
                raise JobError(
                    f"--exclude {pattern!r} fits no partition of the ledger or the lake; names are "
                    f"as in: onepass log {self._session.model.path}"
                )
        # A file in quarantine would be taken up again once it is replaced.
        skipped = {
            entry.partition
            for entry in self._line
            if isinstance(entry, SkipEntry) and entry.quarantine is None
        }
        left = [one for one in self._not_learnt(list(found)) if one not in skipped]
        return sorted(left, key=lambda one: (one.name, one.fingerprint.content))

    def _known(self) -> list[Partition]:
        entries = self._session.model.ledger.history.entries
        named = (one for entry in entries for one in entry.all_partitions())
        return [one for one in named if isinstance(one, Partition)]

    def _in_lake(self, patterns: Sequence[str]) -> list[Partition]:
        try:
            files = self._session.learner.files
        except (EmptyLake, JobError, StoreRefused) as error:
            logger.warning("only what the ledger knows can be excluded: %s", error)
            return []
        found: list[Partition] = []
        for file in files.values():
            if any(_may_match(file.key, pattern) for pattern in patterns):
                try:
                    split_bytes = self._session.limits.read.split_bytes
                    found += partitions(file, read_footer(file), split_bytes)
                except BadPartition as error:
                    logger.warning("%s", error)
        return [one for one in found if _matches_any(one, patterns)]

    def _not_learnt(self, found: Sequence[Partition]) -> list[Partition]:
        """Return the partitions that the version has not learnt.

        If a file has changed since it was learnt, its new content can be left out.

        Raises
        ------
        JobError
            If a partition has been learnt, and its file has no other content to leave out.
        """
        learnt: dict[Partition, int] = {}
        for entry in self._line:
            if isinstance(entry, TrainEntry):
                for partition in entry.partitions:
                    learnt.setdefault(partition, entry.version)
        left = [partition for partition in found if partition not in learnt]
        contents: dict[str, set[Fingerprint]] = {}
        for partition in left:
            contents.setdefault(partition.path, set()).add(partition.fingerprint)
        for partition in found:
            others = contents.get(partition.path, set())
            if partition in learnt and (not others or partition.fingerprint in others):
                raise self._too_late(partition, learnt[partition])
        return left

    def _too_late(self, partition: Partition, learnt: int) -> JobError:
        return JobError(
            f"version {self._to} has learnt {partition.name} already (in version {learnt}), so it "
            f"cannot be excluded; rewind to version {learnt - 1} or before"
        )


def _matches_any(partition: Partition, patterns: Sequence[str]) -> bool:
    return any(_matches(partition, pattern) for pattern in patterns)


def _matches(partition: Partition, pattern: str) -> bool:
    return any(
        name == pattern or fnmatchcase(name, pattern) for name in (partition.name, partition.path)
    )


def _may_match(path: str, pattern: str) -> bool:
    # A pattern may name a range of a file, as path[first:end].
    return path == pattern or fnmatchcase(path, pattern) or pattern.startswith(f"{path}[")
