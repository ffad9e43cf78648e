"""Publish the newest version of a model, or refuse it: the guard of scheduled training.

A version is published when the tag `current` names it, which predictions follow. With
``--max-loss-increase`` a version must first be about as good as the current one. If it is worse, it
is kept and tagged `refused`, and `current` stays.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from onepass.actions.evaluate import EvaluateReport
from onepass.actions.holdout import evaluate_holdout
from onepass.actions.judge import Judgement, by_bands, by_holdout
from onepass.errors import ModelConflict, VersionRefused
from onepass.job import Job
from onepass.job_holdout import RollingHoldout
from onepass.lake.discover import Lake
from onepass.ledger.entries import LearntEntry
from onepass.ledger.tag_entry import CURRENT, REFUSED, TagEntry
from onepass.ledger.tags import Tags
from onepass.model.directory import OpenModel
from onepass.model.predictor import Predictor
from onepass.model.versions import read_predictor
from onepass.training.progress import Progress


class Publication(BaseModel):
    """Which version predictions use after a run, and why."""

    outcome: Literal["published", "unchanged", "pinned", "superseded", "refused"]
    """Whether predictions use the newest version now.

    - published: predictions use it from now on
    - unchanged: predictions use it already, or nothing has been trained
    - pinned: somebody has set `current` by hand, and a run without a guard leaves it there
    - superseded: another run has committed a newer version meanwhile, and decides
    - refused: it is worse than the current version; predictions stay there
    """
    version: int | None
    """Newest version; None if nothing has been trained."""
    current: int | None
    """Version that predictions use."""
    why: str = ""
    """Reason in one sentence."""
    judgement: Judgement | None = None
    """The losses that were compared; None if nothing was."""


def publish(
    opened: OpenModel,
    job: Job,
    *,
    newest: Predictor | None = None,
    lake: Lake | None = None,
    holdout: EvaluateReport | None = None,
    progress: Progress | None = None,
) -> Publication:
    """Let `current` name the newest version, unless a guard refuses it.

    It may be called within the session that has trained or after it, and again after a failure.

    Parameters
    ----------
    opened
        The model, as the session has left it.
    job
        Job of the run, with its guard and its holdout.
    newest
        Weights of the newest version; read from its state by default.
    lake
        What `Session.holdout` has returned; by default the holdout of the job, if it is a lake of
        its own.
    holdout
        Evaluation of that version on this lake; made, or taken from the records, by default.
    progress
        Receives how far evaluations have come.

    Raises
    ------
    VersionRefused
        If the newest version is worse than the current one by more than the job allows. It is
        raised once; while nothing is trained, later runs report it as ``refused``.
    ModelConflict
        If somebody else has moved the tag meanwhile.
    DataError
        If the holdout lake cannot be used.
    """
    return _Publisher(opened, job, newest, lake, holdout, progress).run()


class _Publisher:
    """Decides on the newest version of one model."""

    def __init__(
        self,
        opened: OpenModel,
        job: Job,
        newest: Predictor | None,
        lake: Lake | None,
        holdout: EvaluateReport | None,
        progress: Progress | None,
    ) -> None:
        self._opened, self._job, self._progress = opened, job, progress
        self._newest, self._holdout = newest, holdout
        # A rolling holdout names no lake that could be read without the session.
        own = None if isinstance(job.holdout, RollingHoldout) else job.holdout
        self._lake = own if lake is None else lake
        self._own = opened.ledger.history.newest_states(1)
        # The session has ended, so another run may be in the middle of its work by now.
        opened.ledger.catch_up()
        self._tags: Tags = opened.ledger.tags
        self._tags.catch_up()
        self._before = self._tags.get(CURRENT)

    def run(self) -> Publication:
        """Decide, and move the tags."""
        learnt = self._opened.ledger.history.newest_states(1)
        if not learnt:
            return Publication(outcome="unchanged", version=None, current=None)
        if self._own and self._own[0].version != learnt[0].version:
            return self._done("superseded", learnt[0], "another run has trained meanwhile")
        if self._job.max_loss_increase is None:
            return self._unguarded(learnt[0])
        return self._guarded(learnt[0], self._job.max_loss_increase)

    def _unguarded(self, entry: LearntEntry) -> Publication:
        before = self._before
        if before is None or before.version == entry.version:
            return self._done("unchanged", entry)
        refused = self._tags.get(REFUSED)
        if refused is not None and refused.version == entry.version:
            return self._done("refused", entry, refused.reason)
        if before.by == "user":
            return self._done("pinned", entry, f"{CURRENT!r} was set by hand at {before.time[:16]}")
        return self._publish(entry, "trained without a guard")

    def _guarded(self, entry: LearntEntry, margin: float) -> Publication:
        if self._before is None:
            return self._publish(entry, "the first version")
        if self._before.version == entry.version:
            return self._done("unchanged", entry)
        refused = self._tags.get(REFUSED)
        if refused is not None and refused.version == entry.version:
            allowed = refused.max_loss_increase
            if allowed is not None and margin <= allowed:
                return self._done("refused", entry, refused.reason)
        judgement = self._judgement(entry, margin)
        if judgement.is_worse:
            self._refuse(entry, judgement, refused)
        return self._publish(entry, judgement.reason, judgement)

    @property
    def _current(self) -> int:
        assert self._before is not None
        assert self._before.version is not None
        return self._before.version

    def _judgement(self, entry: LearntEntry, margin: float) -> Judgement:
        new = self._holdout
        if new is None and self._lake is not None:
            newest = self._newest or read_predictor(self._opened, "newest")
            new = self._evaluated(newest)
        old = None if new is None else self._evaluated(read_predictor(self._opened, CURRENT))
        if new is None or old is None:
            history = self._opened.ledger.history
            return by_bands(history, self._current, entry.version, margin)
        return by_holdout(new, old, margin)

    def _evaluated(self, predictor: Predictor) -> EvaluateReport | None:
        if self._lake is None:
            return None
        store, progress = self._opened.store, self._progress
        return evaluate_holdout(predictor, self._lake, self._job, store=store, progress=progress)

    def _publish(
        self, entry: LearntEntry, why: str, judgement: Judgement | None = None
    ) -> Publication:
        before = self._before
        try:
            self._tags.move_kept(CURRENT, entry.version, by="run", reason=why, expect=before)
        except ModelConflict:
            moved = self._tags.get(CURRENT)
            if moved is None or moved.version != entry.version:
                raise
        if self._tags.get(REFUSED) is not None:
            # Its state need not be kept any longer.
            self._tags.move(REFUSED, None, by="run", reason=f"version {entry.version} is published")
        return self._done("published", entry, why, judgement)

    def _refuse(self, entry: LearntEntry, judgement: Judgement, before: TagEntry | None) -> None:
        current, path, why = self._current, self._opened.path, judgement.reason
        self._tags.move(
            REFUSED,
            entry.version,
            by="run",
            reason=why,
            expect=before,
            max_loss_increase=judgement.margin,
        )
        raise VersionRefused(
            f"version {entry.version} is kept but not published, and {CURRENT!r} stays on version "
            f"{current}: {why}\nLook: onepass log {path}; accept it: onepass tag "
            f"{path} {CURRENT} --version {entry.version}; or go back, without the files that are "
            f"to blame: onepass rewind {path} --to {current} --exclude FILE",
            version=entry.version,
            current=current,
            outcome=self._done("refused", entry, why, judgement),
        )

    def _done(
        self,
        outcome: Literal["published", "unchanged", "pinned", "superseded", "refused"],
        entry: LearntEntry,
        why: str = "",
        judgement: Judgement | None = None,
    ) -> Publication:
        tag = self._tags.get(CURRENT)
        return Publication(
            outcome=outcome,
            version=entry.version,
            current=entry.version if tag is None else tag.version,
            why=why,
            judgement=judgement,
        )
