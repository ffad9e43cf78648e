"""Train a model, plan its training, or train a part of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from onepass.actions.train_several import LabelsOutcome, train_several
from onepass.actions.trained import Trained, TrainOutcome
from onepass.job import Job
from onepass.training.progress import Progress
from onepass.training.report import PlanReport, TrainReport
from onepass.training.session import open_session
from onepass.training.several import names_several, of_one_label


@overload
def train(job: Job, *, progress: Progress | None = None) -> TrainOutcome: ...


@overload
def train(
    job: Mapping[str, Any], *, progress: Progress | None = None
) -> TrainOutcome | LabelsOutcome: ...


def train(
    job: Job | Mapping[str, Any], *, progress: Progress | None = None
) -> TrainOutcome | LabelsOutcome:
    """Train a model on everything in its lake that it has not seen.

    If the job has a holdout, the newest version is evaluated on it afterwards, and recorded in the
    model directory. Then predictions use the newest version, unless ``max_loss_increase`` refuses
    it; see `onepass.actions.publish`.

    Parameters
    ----------
    job
        The job, or its fields; for an existing model ``{"model": directory}`` is enough. With
        several labels, ``{"label": ["paid", "churned"], ...}``, one pass over the lake trains a
        model for each, ``model/paid`` and ``model/churned``; later ``{"model": directory}`` is
        enough here, too.
    progress
        Receives each step; silent by default.

    Returns
    -------
    The outcome of the model; for several labels a `LabelsOutcome`, which has that of each.

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

    Of several labels, an error of one, such as a bad value in its column, stops the model of this
    label alone. The others are trained to the end, and then the error is raised.
    """
    given = job.model_dump(include=job.model_fields_set) if isinstance(job, Job) else dict(job)
    if names_several(given):
        return train_several(given, progress)
    with open_session(of_one_label(given), progress) as session:
        trained = Trained.of(session, session.train())
    return trained.finish(progress)


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
