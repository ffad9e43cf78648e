"""Train a model, plan its training, or train a part of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onepass.actions.evaluate import EvaluateReport
from onepass.actions.holdout import evaluate_holdout
from onepass.actions.publish import Publication, publish
from onepass.errors import VersionRefused
from onepass.job import Job
from onepass.lake.discover import Lake
from onepass.model.directory import OpenModel
from onepass.model.predictor import Predictor
from onepass.training.progress import Notes, Progress
from onepass.training.report import PlanReport, TrainReport
from onepass.training.session import open_session


class TrainOutcome(TrainReport):
    """Outcome of training a whole lake."""

    holdout: EvaluateReport | None = None
    """Metrics on the holdout, if the job has one and it has rows that are not trained."""
    published: Publication | None = None
    """Version that predictions use now."""


def train(job: Job | Mapping[str, Any], *, progress: Progress | None = None) -> TrainOutcome:
    """Train a model on everything in its lake that it has not seen.

    If the job has a holdout, the newest version is evaluated on it afterwards, and recorded in the
    model directory. Then predictions use the newest version, unless ``max_loss_increase`` refuses
    it; see `onepass.actions.publish`.

    Parameters
    ----------
    job
        The job, or its fields; for an existing model ``{"model": directory}`` is enough.
    progress
        Receives each step; silent by default.

    Raises
    ------
    JobError
        If the job is incomplete, unsuited to the lake, or contradicts the model; if it names a
        holdout lake and nothing has been trained (`ModelNotFound`).
    DataError
        If a file is bad or has changed, and the job does not say to skip or retrain it.
    ModelConflict
        If another process trains the same model.
    VersionRefused
        If the newest version is worse than the current one by more than the job allows; it holds
        the outcome.

    Notes
    -----
    A group of partitions is committed while the next one is learnt. A run that fails or is
    interrupted loses the group that it was learning; a run that is killed may also lose the group
    before. Nothing that has been committed is ever lost.
    """
    outcome, trained, lake, predictor, model = _train(job, progress)
    if lake is not None and predictor is not None:
        notes = Notes(progress)
        outcome.holdout = evaluate_holdout(
            predictor, lake, trained, store=model.store, progress=notes
        )
    try:
        outcome.published = publish(
            model, trained, newest=predictor, lake=lake, holdout=outcome.holdout
        )
    except VersionRefused as refused:
        if isinstance(refused.outcome, Publication):
            outcome.published = refused.outcome
        refused.outcome = outcome
        raise
    return outcome


def _train(
    job: Job | Mapping[str, Any], progress: Progress | None
) -> tuple[TrainOutcome, Job, Lake | None, Predictor | None, OpenModel]:
    # The end of the session frees the learner, so that the evaluation keeps its weights only.
    with open_session(job, progress) as session:
        outcome = TrainOutcome(**dict(session.train()))
        lake = session.holdout()
        predictor = session.predictor() if lake is not None else None
        return outcome, session.job, lake, predictor, session.model


def plan(job: Job | Mapping[str, Any], *, progress: Progress | None = None) -> PlanReport:
    """Create the model if it does not exist, check the whole lake, and commit a plan.

    Raises as `train` does.
    """
    with open_session(job, progress) as session:
        return session.plan_report(session.plan())


def train_pending(
    job: Job | Mapping[str, Any],
    *,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train planned partitions; stop after the group in which `max_seconds` have passed.

    Raises as `train` does.
    """
    with open_session(job, progress) as session:
        session.train_pending(max_seconds=max_seconds)
        return session.report()
