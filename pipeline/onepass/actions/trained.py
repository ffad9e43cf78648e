"""The end of a training: evaluate the newest version on the holdout, and publish it."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.actions.evaluate import EvaluateReport
from onepass.actions.holdout import evaluate_holdout
from onepass.actions.publish import Publication, publish
from onepass.errors import VersionRefused
from onepass.job import Job
from onepass.lake.discover import Lake
from onepass.model.directory import OpenModel
from onepass.model.predictor import Predictor
from onepass.training.progress import Notes, Progress
from onepass.training.report import TrainReport
from onepass.training.session import Session


class TrainOutcome(TrainReport):
    """Outcome of training a whole lake."""

    holdout: EvaluateReport | None = None
    """Metrics on the holdout, if the job has one and it has rows that are not trained."""
    published: Publication | None = None
    """Version that predictions use now."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model after its training, without the learner: an evaluation needs its weights only."""

    outcome: TrainOutcome
    job: Job
    lake: Lake | None
    """The holdout."""
    predictor: Predictor | None
    model: OpenModel

    @staticmethod
    def of(session: Session, report: TrainReport) -> Trained:
        """Return what is left of a session that has trained."""
        lake = session.holdout()
        predictor = session.predictor() if lake is not None else None
        outcome = TrainOutcome(**dict(report))
        return Trained(outcome, session.job, lake, predictor, session.model)

    def finish(self, progress: Progress | None) -> TrainOutcome:
        """Evaluate and publish the newest version.

        Raises
        ------
        VersionRefused
            If it is worse than the current one by more than the job allows; it holds the outcome.
        """
        outcome = self.outcome
        if self.lake is not None and self.predictor is not None:
            notes = Notes(progress)
            outcome.holdout = evaluate_holdout(
                self.predictor, self.lake, self.job, store=self.model.store, progress=notes
            )
        try:
            outcome.published = publish(
                self.model,
                self.job,
                newest=self.predictor,
                lake=self.lake,
                holdout=outcome.holdout,
            )
        except VersionRefused as refused:
            if isinstance(refused.outcome, Publication):
                outcome.published = refused.outcome
            refused.outcome = outcome
            raise
        return outcome
