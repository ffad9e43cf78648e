"""What the log knows of the partitions and files of a lake, indexed for planning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from onepass.ledger.entries import RewindEntry, SkipEntry, TrainEntry
from onepass.ledger.history import History
from onepass.ledger.table_mark import FileName, file_of
from onepass.partition import Fingerprint, Look, Partition, UnreadFile


class Known:
    """Partitions and fingerprints in the log, indexed for lookup."""

    def __init__(self, history: History) -> None:
        self.partitions: set[Partition] = set()
        """Partitions that are trained, planned or skipped."""
        self.final: set[Partition] = set()
        """Partitions that are learnt, or excluded by a rewind: never to be trained again."""
        self.trained: dict[str, list[Fingerprint]] = {}
        """Fingerprints that are trained or planned, by path, the newest last."""
        self.pending: dict[str, list[Partition]] = {}
        """Partitions that are planned and not yet trained or skipped, by path."""
        self.trained_as: dict[Fingerprint, str] = {}
        """Path under which each fingerprint was trained last."""
        self.quarantined = history.quarantined()
        """Partitions and unread files that wait for their files to be replaced, by path."""
        self._skipped: set[tuple[str, str]] = set()
        self._rows: Counter[tuple[str, Fingerprint]] = Counter()
        # A rewind skips what it excludes in the versions right after it.
        self._exclusions = {
            version
            for entry in history.entries
            if isinstance(entry, RewindEntry)
            for version in range(entry.version + 1, entry.version + 1 + len(entry.excluded))
        }
        for entry in history.decided():
            self._fold(entry)
        waiting = {one: None for group in history.pending() for one in group.partitions}
        for partition in waiting:
            self._add(partition)
            self.trained.setdefault(partition.path, []).append(partition.fingerprint)
            self.pending.setdefault(partition.path, []).append(partition)

    def settled_files(self) -> set[FileName]:
        """Return the names of files that are trained, or planned, or left out for good.

        A file of a table is named by its path and the identity of its deleted rows.
        """
        found = {file_of(one) for one in self.partitions}
        return found | {(path, None) for path, _ in self._skipped if path not in self.quarantined}

    def waiting_files(self) -> set[FileName]:
        """Return the names of planned files of which nothing has been trained."""
        planned = {file_of(one) for waiting in self.pending.values() for one in waiting}
        return planned - {file_of(one) for one in self.final}

    def forget(self, files: Collection[FileName]) -> None:
        """Forget the partitions of files that are planned and not yet trained or skipped."""
        for path in {path for path, _ in files} & self.pending.keys():
            for one in [one for one in self.pending[path] if file_of(one) in files]:
                self.pending[path].remove(one)
                self.trained[path].remove(one.fingerprint)
                if one not in self.final:
                    self.partitions.discard(one)
                    self._rows[path, one.fingerprint] -= one.rows
            if not self.pending[path]:
                del self.pending[path]
            if not self.trained[path]:
                del self.trained[path]

    def is_skipped(self, path: str, reason: str) -> bool:
        """Return whether the log has a skip of this file for the same reason."""
        return (path, reason) in self._skipped

    def is_kept(self, path: str, now: Look) -> bool:
        """Return whether a file is in quarantine as a whole or in part, and certainly the same."""
        kept = self.quarantined.get(path, {}).values()
        return bool(kept) and all(_look(entry).is_same(now) for entry in kept)

    def is_noted(self, path: str, reason: str, now: Look) -> bool:
        """Return whether the log has a quarantine of an unread file that looks as it does now."""
        entry = self.quarantined.get(path, {}).get(UnreadFile(path))
        if entry is None:
            return False
        return _look(entry).is_same(now) or (_look(entry), entry.reason) == (now, reason)

    def release(self, path: str, now: Look) -> None:
        """Forget the partitions in quarantine of a file that has been replaced.

        A partition that an earlier epoch has learnt stays known, or it would be learnt twice.
        """
        for one, entry in self.quarantined.get(path, {}).items():
            if isinstance(one, UnreadFile) or one in self.final or _look(entry).is_same(now):
                continue
            if one in self.partitions:
                self.partitions.remove(one)
                self._rows[path, one.fingerprint] -= one.rows

    def is_settled(self, path: str, content: Fingerprint) -> bool:
        """Return whether all rows of a file's content are trained, planned or skipped."""
        return self._rows[path, content] == content.rows

    def _fold(self, entry: TrainEntry | SkipEntry) -> None:
        if isinstance(entry, TrainEntry):
            for partition in entry.partitions:
                self._add(partition)
                self.final.add(partition)
                self.trained_as[partition.fingerprint] = partition.path
                self.trained.setdefault(partition.path, []).append(partition.fingerprint)
            return
        self._skipped.add((entry.partition.path, entry.reason))
        if isinstance(entry.partition, Partition):
            self._add(entry.partition)
            if entry.version in self._exclusions:
                self.final.add(entry.partition)

    def _add(self, partition: Partition) -> None:
        if partition not in self.partitions:
            self.partitions.add(partition)
            self._rows[partition.path, partition.fingerprint] += partition.rows


def _look(entry: SkipEntry) -> Look:
    assert entry.quarantine is not None
    return entry.quarantine
