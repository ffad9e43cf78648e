"""Restore the state of a version: read it, or learn it again from an older one.

Training, rewinding, refining and verifying use it. Training the recorded partitions again on the
same kind of machine gives the recorded bytes, so a lost state costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from onepass.errors import ForeignModel
from onepass.ledger.entries import LearntEntry, RefineEntry, TrainEntry, digest
from onepass.model.directory import OpenModel, warn_if_elsewhere
from onepass.model.state import ModelState
from onepass.stream.advised import advised
from onepass.training.groups import Pupil
from onepass.training.learn_group import GroupLearner
from onepass.training.learnt import Learnt
from onepass.training.report import finite, finite_values, last_tenth
from onepass.training.round import learn_groups_again


@dataclass(frozen=True, slots=True)
class Relearnt:
    """A version that has been learnt again."""

    entry: TrainEntry
    data: bytes
    """Content of its state file."""
    learnt: Learnt


class Restorer:
    """Restores states of one model.

    Parameters
    ----------
    model
        The model; its ledger is not changed, except that lost states are stored again.
    learner
        Reads and learns partitions of the model's lake.
    """

    def __init__(self, model: OpenModel, learner: GroupLearner) -> None:
        self._model, self._learner = model, learner
        self._has_warned = False

    def newest(self) -> ModelState:
        """Return the newest state, from which training continues.

        If the state is lost, learn it again from the newest usable one, and store the states that
        retention keeps. An older state alone is not enough: it lacks partitions that the log counts
        as trained.

        Raises
        ------
        ForeignModel
            If a lost state is of a refinement, or learning again does not give its bytes.
        BadPartition, ChangedPartition
            If a file to learn again is gone, unreadable, or has changed.
        """
        learnt = self._model.ledger.history.learnt()
        return self._restore(learnt, None, self._store_if_kept, note="is lost")

    def ensure(self, learnt: Sequence[LearntEntry]) -> list[int]:
        """Ensure that a version has a state; learn the state again if it is lost.

        Parameters
        ----------
        learnt
            Versions with a state that count up to this one, oldest first; this one comes last.

        Returns
        -------
        The versions that had to be learnt again.

        Raises as `newest`.
        """
        if not learnt:
            return []
        ledger, versions = self._model.ledger, list[int]()

        def take(relearnt: Relearnt) -> None:
            versions.append(relearnt.entry.version)
            # States of earlier versions only lead to this one, and are not stored.
            if relearnt.entry.version == learnt[-1].version:
                ledger.heal(relearnt.entry, relearnt.data)

        stored = [entry for entry in learnt if ledger.has_state(entry)]
        self._restore(learnt, stored, take, note="is gone")
        return versions

    def differences(self) -> list[str]:
        """Relearn the newest version and return the fields that differ from its log entry.

        No later entry seals the newest one, so nothing else can check its numbers.

        Raises as `newest`.
        """
        ledger, found = self._model.ledger, list[str]()
        learnt = ledger.history.learnt()
        if isinstance(learnt[-1], RefineEntry):
            raise ForeignModel("it is a refinement, and batch passes are not repeated by training")

        def take(relearnt: Relearnt) -> None:
            found[:] = _differences(relearnt)

        stored = [entry for entry in learnt[:-1] if ledger.has_state(entry)]
        self._restore(learnt, stored, take)
        return found

    def _restore(
        self,
        learnt: Sequence[LearntEntry],
        stored: Sequence[LearntEntry] | None,
        take: Callable[[Relearnt], None],
        *,
        note: str | None = None,
    ) -> ModelState:
        """Return the state of the last of `learnt`, restored from the newest usable of `stored`.

        Parameters
        ----------
        take
            Receives each version that is learnt again, oldest first.
        note
            End of the message "retraining version N, whose state ..."; None for no message.
        """
        sound, state = self._model.newest_usable(stored)
        lost = [entry for entry in learnt if sound is None or entry.version > sound.version]
        if state is None:
            # The recorded size bounds the memory that a stranger's model.json can ask for.
            state = self._model.file.new_state(learnt[-1].state.size if learnt else None)
        if stored is None or (lost and note):
            self._warn_once(sound)
        for entry in lost:
            if note and isinstance(entry, TrainEntry):
                text = f"retraining version {entry.version}, whose state {note}"
                self._learner.progress.noted(text)
            relearnt = self._learn_again(state, entry, sound)
            take(relearnt)
            # A resumed run restores this state from its file, so restore it here in the same way.
            state.restore(relearnt.data, entry.state.key)
        return state

    def _learn_again(
        self, state: ModelState, entry: LearntEntry, sound: LearntEntry | None
    ) -> Relearnt:
        path = self._model.path
        if isinstance(entry, RefineEntry):
            raise ForeignModel(
                f"{entry.state.key}, the state of version {entry.version}, is lost, and batch "
                "passes are not repeated by training; restore the file from a copy, or go back to "
                f"a version before: onepass rewind {path} --to {entry.version - 1}"
            )
        horizon = self._model.ledger.history.planned_rows(entry.version)
        with advised(
            f"The state of version {entry.version} is lost, and retrained from the files as "
            "they were: put the old file back, or go back for good: "
            f"onepass rewind {path} --to {sound.version if sound else 0}"
        ):
            learnt = learn_groups_again(Pupil(self._learner, state, horizon), entry.groups)
        return Relearnt(entry, state.dump(), learnt)

    def _store_if_kept(self, relearnt: Relearnt) -> None:
        # States that retention does not keep only lead to the next one.
        if self._model.ledger.retention.keeps(relearnt.entry):
            self._model.ledger.heal(relearnt.entry, relearnt.data)

    def _warn_once(self, sound: LearntEntry | None) -> None:
        if not self._has_warned:
            warn_if_elsewhere(sound)
        self._has_warned = True


def _differences(relearnt: Relearnt) -> Iterator[str]:
    entry, metrics = relearnt.entry, relearnt.learnt.metrics
    pairs = {
        "state sha256": (entry.state.sha256, digest(relearnt.data)),
        "rows": (entry.rows, metrics.n_rows),
        "loss": (entry.loss, finite(metrics.loss())),
        "metrics": (entry.metrics, finite_values(metrics)),
        "last tenth": (entry.last_tenth, last_tenth(relearnt.learnt.stretches.last())),
        "counts": (entry.counts, dict(relearnt.learnt.counts)),
    }
    for name, (was, now) in pairs.items():
        if was != now:
            yield f"says {name} {was}, but learning it again gives {now}"
