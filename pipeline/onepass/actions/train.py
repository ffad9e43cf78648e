"""Train a model, plan its training, or train a part of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onepass.actions.evaluate import EvaluateReport, evaluate_version
from onepass.actions.publish import Publication, publish
from onepass.errors import VersionRefused
from onepass.job import Job
from onepass.model.directory import OpenModel
from onepass.model.predictor import Predictor
from onepass.training.progress import Progress
from onepass.training.report import PlanReport, TrainReport
from onepass.training.session import open_session


class TrainOutcome(TrainReport):
    """Outcome of training a whole lake."""

    holdout: EvaluateReport | None = None
    """Metrics on the holdout lake, if the job names one."""
    published: Publication | None = None
    """Version that predictions use now."""


def train(job: Job | Mapping[str, Any], *, progress: Progress | None = None) -> TrainOutcome:
    """Train a model on everything in its lake that it has not seen.

    If the job names a holdout lake, the newest version is evaluated on it afterwards, and recorded
    in the model directory. Then predictions use the newest version, unless ``max_loss_increase``
    refuses it; see `onepass.actions.publish`.

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
    outcome, trained, predictor, model = _train(job, progress)
    if trained.holdout is not None and predictor is not None:
        lake, dask = trained.holdout, trained.dask
        outcome.holdout = evaluate_version(
            predictor, lake, outcome.model, store=model.store, dask=dask
        )
    try:
        outcome.published = publish(model, trained, newest=predictor, holdout=outcome.holdout)
    except VersionRefused as refused:
        if isinstance(refused.outcome, Publication):
            outcome.published = refused.outcome
        refused.outcome = outcome
        raise
    return outcome


def _train(
    job: Job | Mapping[str, Any], progress: Progress | None
) -> tuple[TrainOutcome, Job, Predictor | None, OpenModel]:
    # The end of the session frees the learner, so that the evaluation keeps its weights only.
    with open_session(job, progress) as session:
        outcome = TrainOutcome(**dict(session.train()))
        predictor = session.predictor() if session.job.holdout is not None else None
        return outcome, session.job, predictor, session.model


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
