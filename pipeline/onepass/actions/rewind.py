"""Rewind a model: make an earlier version count again, such as the one before a bad day's data.

1. Ensure that the state of that version exists, retraining it if needed.
2. Commit the rewind, which makes the version the newest that counts.
3. Let the tag `current` follow, if it has been set; the next run does it if this one is killed.
4. Commit one skip for each excluded partition; the next run completes interrupted skips.

Nothing is deleted from the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from onepass.actions.exclude import Excluder
from onepass.errors import DataError, JobError, first_line
from onepass.ledger.entries import AnyEntry, LearntEntry, TrainEntry
from onepass.training.current import follow_rewind
from onepass.training.opening import exclusion
from onepass.training.progress import Progress
from onepass.training.report import newest_sha256
from onepass.training.session import Session, open_session


class RewindReport(BaseModel):
    """Outcome of a rewind."""

    model: str
    """Model directory."""
    version: int
    """Number of the newest entry of the log, after this rewind and its skips."""
    to: int
    """Version that counts again."""
    partitions: int
    """Partitions that the model has learnt now, once for each epoch."""
    rows: int
    """Rows that the model has learnt now."""
    undone_versions: int
    """Number of versions that counted before this rewind and no longer do."""
    undone_partitions: int
    """Partitions that these versions learnt."""
    undone_rows: int
    """Rows that these versions learnt."""
    pending: int
    """Partitions still to be trained of the plan that counts again."""
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
    """Make an earlier version count again: its state, its trained partitions, its pending plan.

    Parameters
    ----------
    model
        Model directory.
    to
        The version; 0 is the model as it was created. It may be a version that an earlier rewind
        has undone.
    exclude
        Partitions to leave out when training goes on, by name (as `onepass log` shows it) or by
        pattern (``*`` matches anything, ``/`` included). They are looked for in the ledger and in
        the lake. A file that is repaired later has other content and is trained; if a file has
        changed since it was learnt, its new content is left out.
    progress
        Receives partitions that are retrained or left out.

    Raises
    ------
    ModelNotFound
        If there is no model.
    JobError
        If there is no such version; if a pattern matches no partition, or one that the version has
        learnt; if the state of the version is gone and the lake is gone as well.
    DataError
        If the state of the version is gone, and a file to retrain it from is bad, gone or has
        changed.
    ForeignModel
        If retraining does not give the bytes that were committed, or is not possible.
    ModelConflict
        If another process writes the model.
    """
    with open_session({"model": str(model)}, progress, creates=False) as session:
        return _Rewind(session, to, list(exclude)).run()


class _Rewind:
    """One rewind of a model that a session holds."""

    def __init__(self, session: Session, to: int, exclude: list[str]) -> None:
        self._session, self._ledger = session, session.model.ledger
        self._to, self._exclude = to, exclude
        self._check_version()
        self._line = self._ledger.history.line(to)

    def run(self) -> RewindReport:
        """Ensure that the state exists, commit the rewind and its skips, and report."""
        excluded = Excluder(self._session, self._line, self._to).find(self._exclude)
        before = self._ledger.history.line()
        retrained = self._ensure_state()
        entry = self._ledger.commit_rewind(self._to, self._exclude, excluded)
        follow_rewind(self._ledger)
        for partition in excluded:
            self._ledger.commit_skip(partition, exclusion(entry))
        kept = {one.version for one in self._line}
        undone = [one for one in before if one.version not in kept]
        history = self._ledger.history
        return RewindReport(
            model=self._session.model.path,
            version=history.version,
            to=self._to,
            partitions=_n_partitions(self._line),
            rows=_n_rows(self._line),
            undone_versions=len(undone),
            undone_partitions=_n_partitions(undone),
            undone_rows=_n_rows(undone),
            pending=sum(len(group.partitions) for group in history.pending()),
            excluded=[partition.name for partition in excluded],
            retrained=retrained,
            state_sha256=newest_sha256(history),
        )

    def _check_version(self) -> None:
        history, path, to = self._ledger.history, self._session.model.path, self._to
        if not history.version:
            raise JobError(
                f"nothing has been planned or trained in {path!r} yet, so there is "
                "no version to go back to"
            )
        if not 0 <= to < history.version:
            raise JobError(
                f"--to must be a version from 0 to {history.version - 1}, before the newest, "
                f"{history.version}; found {to} (onepass log {path} lists them)"
            )
        for entry in history.rewinds:
            last = entry.version + len(entry.excluded)
            if entry.version <= to < last:
                # A rewind to the middle of this one would undo some of its skips and not others.
                raise JobError(
                    f"versions {entry.version} to {last} are one rewind with what it leaves "
                    f"out: rewind to {last}, or to {entry.version - 1} and before"
                )

    def _ensure_state(self) -> list[int]:
        """Ensure that the state exists; return the versions that were retrained for it."""
        learnt = [entry for entry in self._line if isinstance(entry, LearntEntry)]
        try:
            return self._session.restorer.ensure(learnt)
        except (DataError, JobError) as error:
            kind = DataError if isinstance(error, DataError) else JobError
            raise kind(
                f"nothing has been rewound: the state of version {self._to} is gone, and cannot be "
                f"retrained: {first_line(error)}\nPut the lake back as it was then, or rewind to "
                f"one of {self._versions_with_states()}, which need no retraining."
            ) from None

    def _versions_with_states(self) -> str:
        besides = {self._to, self._ledger.version}
        stored = self._ledger.retention.stored()
        versions = [entry.version for entry in stored if entry.version not in besides]
        return ", ".join(map(str, [0, *versions]))


def _n_partitions(entries: Sequence[AnyEntry]) -> int:
    return sum(len(entry.partitions) for entry in entries if isinstance(entry, TrainEntry))


def _n_rows(entries: Sequence[AnyEntry]) -> int:
    return sum(entry.rows for entry in entries if isinstance(entry, TrainEntry))
