"""Interpret the entries of a log: which versions count, what is trained, what is pending.

A rewind deletes nothing from the log. It is an entry that names the version that counts again. The
versions that count, oldest first, are the *line*; all other results follow from it. This module
does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable

from onepass.ledger.entries import (
    AnyEntry,
    LearntEntry,
    PlanEntry,
    RewindEntry,
    SkipEntry,
    TrainEntry,
)
from onepass.ledger.table_mark import FileName, TableMark
from onepass.partition import Group, Partition, UnreadFile


class History:
    """Entries of one log, with the line of the newest version.

    Appending is O(1). The first question after a rewind takes time in proportion to the log.

    Parameters
    ----------
    entries
        Entries of versions 1, 2, and so on.
    """

    def __init__(self, entries: Iterable[AnyEntry] = ()) -> None:
        self.entries: list[AnyEntry] = []
        """Every version, oldest first, including those that a rewind has undone."""
        self.rewinds: list[RewindEntry] = []
        """Every rewind, oldest first."""
        self._newest_learnt = [0]
        self._line: list[AnyEntry] = []
        self._learnt: list[LearntEntry] = []
        self._is_folded = True
        self._planned: dict[Partition, Partition] = {}
        for entry in entries:
            self.append(entry)

    @property
    def version(self) -> int:
        """Number of the newest version; 0 before the first."""
        return len(self.entries)

    def append(self, entry: AnyEntry) -> None:
        """Add the entry of the next version."""
        self.entries.append(entry)
        self._share(entry)
        if isinstance(entry, RewindEntry):
            self.rewinds.append(entry)
            self._newest_learnt.append(self._newest_learnt[entry.to])
            # A log may have many rewinds in a row, so compute the line when it is asked for.
            self._is_folded = False
            return
        is_learnt = isinstance(entry, LearntEntry)
        self._newest_learnt.append(entry.version if is_learnt else self._newest_learnt[-1])
        if self._is_folded:
            self._line.append(entry)
            if isinstance(entry, LearntEntry):
                self._learnt.append(entry)

    def _share(self, entry: AnyEntry) -> None:
        """Let an entry name the very partitions of the newest plan, which halves their memory."""
        if isinstance(entry, PlanEntry) and entry.groups:
            self._planned = {one: one for one in entry.all_partitions()}
        elif isinstance(entry, TrainEntry):
            entry.partitions[:] = [self._planned.get(one, one) for one in entry.partitions]

    def line(self, version: int | None = None) -> list[AnyEntry]:
        """Return the entries that count as of a version (default: the newest), oldest first.

        They are the entries up to that version, without rewinds and without those that a rewind
        had undone by then.
        """
        if version is not None:
            return self._line_at(version)
        self._fold()
        return list(self._line)

    def learnt(self) -> list[LearntEntry]:
        """Return the entries that count and have a state, oldest first."""
        self._fold()
        return list(self._learnt)

    def newest_states(self, n: int) -> list[LearntEntry]:
        """Return the last `n` entries of `learnt`, without copying the others."""
        self._fold()
        return self._learnt[-n:]

    def newest_learnt(self, version: int) -> int:
        """Return the newest version with a state that counted as of a version; 0 for none."""
        return self._newest_learnt[version]

    def trained(self, version: int | None = None) -> list[TrainEntry]:
        """Return the entries that count as of a version and have learnt a group, oldest first."""
        counting = self.learnt() if version is None else self.line(version)
        return [entry for entry in counting if isinstance(entry, TrainEntry)]

    def decided(self) -> list[TrainEntry | SkipEntry]:
        """Return the entries that count and have trained or skipped partitions, oldest first."""
        return [entry for entry in self.line() if isinstance(entry, TrainEntry | SkipEntry)]

    def pending(self, version: int | None = None) -> list[Group]:
        """Return the rest of the newest plan, in its order, as of a version (default: the newest).

        A partition is pending until it is trained in its epoch, or skipped. Training follows the
        order of the plan, but this method relies only on the recorded partitions.
        """
        plan, after = self._newest_plan(version)
        trained: set[tuple[int, Partition]] = set()
        skipped: set[Partition | UnreadFile] = set()
        for entry in after:
            if isinstance(entry, TrainEntry):
                trained |= {(entry.epoch, partition) for partition in entry.partitions}
            elif isinstance(entry, SkipEntry):
                skipped.add(entry.partition)
        left = []
        for group in plan:
            waiting = [
                partition
                for partition in dict.fromkeys(group.partitions)
                if partition not in skipped and (group.epoch, partition) not in trained
            ]
            if waiting:
                left.append(Group(group.epoch, waiting))
        return left

    def planned(self) -> list[Group]:
        """Return all groups of the newest plan, in its order."""
        return self._newest_plan()[0]

    def table_marks(self) -> list[TableMark]:
        """Return the versions of a table that plans which count have settled, oldest first."""
        plans = (entry for entry in self.line() if isinstance(entry, PlanEntry))
        return [entry.table for entry in plans if entry.table is not None]

    def planned_rows(self, version: int | None = None) -> tuple[int, int]:
        """Return the rows learnt before the newest plan as of a version, and the rows of that plan.

        Both follow from the log alone, so every resumed run has the same numbers.
        """
        learnt = before = planned = 0
        for entry in self.line(version):
            if isinstance(entry, TrainEntry):
                learnt += entry.rows
            elif isinstance(entry, PlanEntry):
                before, planned = learnt, sum(group.rows for group in entry.groups)
        return before, planned

    def repeats(self, version: int | None = None) -> float:
        """Return how often the state of a version (default: the newest) counts each row.

        It is an average over the rows. Every epoch counts them again; batch passes count each of
        them once.
        """
        counted = once = 0
        for entry in self.learnt() if version is None else self.line(version):
            if isinstance(entry, TrainEntry):
                counted += entry.rows
                once += entry.rows if entry.epoch == 1 else 0
            elif isinstance(entry, LearntEntry):
                counted = once = entry.rows
        return counted / once if once else 1.0

    def n_left_out(self) -> int:
        """Return the number of partitions that are left out and have not been trained since.

        A file that a table's commit has changed counts as one, until it is trained or gone.
        """
        out: dict[tuple[str, int], Partition | UnreadFile | FileName] = {}
        for entry in self.line():
            if isinstance(entry, PlanEntry) and entry.table is not None:
                for name in entry.table.no_longer_left_out:
                    if out.get((name[0], 0)) == name:
                        del out[name[0], 0]
                out |= {(name[0], 0): name for name in entry.table.left_out}
            if not isinstance(entry, TrainEntry | SkipEntry):
                continue
            for one in entry.all_partitions():
                place = (one.path, one.first_row_group if isinstance(one, Partition) else 0)
                if isinstance(entry, SkipEntry):
                    out[place] = one
                else:
                    out.pop(place, None)
        return len(out)

    def quarantined(self) -> dict[str, dict[Partition | UnreadFile, SkipEntry]]:
        """Return the newest quarantine of each partition or unread file, by path.

        Training a partition ends its quarantine, and so does a skip for good. Whether the file is
        still there, and still the same, only the lake can tell.
        """
        found: dict[str, dict[Partition | UnreadFile, SkipEntry]] = {}
        for entry in self.decided():
            if isinstance(entry, SkipEntry) and entry.quarantine is not None:
                kept = found.setdefault(entry.partition.path, {})
                kept.pop(entry.partition, None)
                kept[entry.partition] = entry
                continue
            # A log has many trained paths, and few in quarantine.
            for one in entry.all_partitions():
                if kept := found.get(one.path, {}):
                    kept.pop(one, None)
                if kept and isinstance(entry, TrainEntry):
                    kept.pop(UnreadFile(one.path), None)
        return {path: kept for path, kept in found.items() if kept}

    def unwritten_skips(self) -> list[tuple[RewindEntry, Partition]]:
        """Return the newest rewind with each partition that it excludes and that has no skip yet.

        A run that is killed between the rewind and its skips leaves them to the next run.
        """
        if not self.rewinds:
            return []
        rewind = self.rewinds[-1]
        after = self.entries[rewind.version :]
        skipped = {entry.partition for entry in after if isinstance(entry, SkipEntry)}
        return [(rewind, one) for one in rewind.excluded if one not in skipped]

    def undone(self) -> dict[int, int]:
        """Return the versions that do not count, each with the last rewind that undid it.

        A rewind never counts itself, so it is among them once another rewind follows.
        """
        found: dict[int, int] = {}
        for rewind in self.rewinds:
            kept = {entry.version for entry in self.line(rewind.version)}
            before = range(1, rewind.version)
            found |= {version: rewind.version for version in before if version not in kept}
        counting = {entry.version for entry in self.line()}
        return {version: by for version, by in found.items() if version not in counting}

    def _newest_plan(self, version: int | None = None) -> tuple[list[Group], list[AnyEntry]]:
        """Return the groups of the newest plan as of a version, and the entries that follow it."""
        line = self.line(version)
        for place in reversed(range(len(line))):
            entry = line[place]
            if isinstance(entry, PlanEntry):
                return entry.groups, line[place + 1 :]
        return [], []

    def _fold(self) -> None:
        if not self._is_folded:
            self._line = self._line_at(self.version)
            self._learnt = [entry for entry in self._line if isinstance(entry, LearntEntry)]
            self._is_folded = True

    def _line_at(self, version: int) -> list[AnyEntry]:
        found: list[AnyEntry] = []
        while version:
            entry = self.entries[version - 1]
            if isinstance(entry, RewindEntry):
                version = entry.to
            else:
                found.append(entry)
                version -= 1
        return found[::-1]
