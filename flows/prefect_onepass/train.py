"""The train flow: plan, train in groups of partitions, evaluate, publish.

Prefect schedules and shows; it never decides what has been trained. Every task looks into the model
directory, so a retried task, a retried run and tomorrow's run all go on from the last commit.

``python -m prefect_onepass.train --config job.yaml`` runs it in this process.
"""

# Annotations stay evaluated here: a served flow is loaded from its path, where Prefect cannot look
# up the names in postponed ones ("TrainModel is not fully defined").
from typing import Any

import click
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from onepass.actions.evaluate import EvaluateReport, evaluate
from onepass.cli.display import say
from onepass.cli.options import given_job, job_options
from onepass.errors import OnepassError, StoreUnavailable
from onepass.job import Job, parse_job, resume_job
from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry, SkipEntry, TrainEntry
from onepass.model.directory import model_exists, open_model
from onepass.text import printable
from onepass.training.progress import Progress
from onepass.training.report import PlanReport, TrainReport
from onepass.training.session import plan, train_pending
from prefect_onepass.artifacts import describe_run, move_progress, publish, start_progress
from prefect_onepass.credentials import lent


class _RunLog(Progress):
    """Hands the steps of a run to the log of the Prefect run."""

    def __init__(self) -> None:
        self._logger = get_run_logger()

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        match entry:
            case TrainEntry():
                path = ", ".join(printable(p.path) for p in entry.partitions)
                self._logger.debug("version %d: %s, %d rows", entry.version, path, entry.rows)
            case SkipEntry():
                self._logger.warning("left out: %s", printable(entry.reason))

    def noted(self, message: str) -> None:
        self._logger.warning(printable(message))


def _is_passing(task: Any, task_run: Any, state: Any) -> bool:
    """Whether a failure may pass by itself: a disk or network error, not a bad job or bad data."""
    error = state.result(raise_on_failure=False)
    is_of_the_system = isinstance(error, OSError) and not isinstance(error, OnepassError)
    return is_of_the_system or isinstance(error, StoreUnavailable)


@task(name="plan", cache_policy=NO_CACHE)
def plan_partitions(job: Job) -> PlanReport:
    """Create the model if need be, and freeze what is to be trained."""
    return plan(job, progress=_RunLog())


@task(
    name="train-group",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_is_passing,
)
def train_group(job: Job) -> TrainReport:
    """Train planned partitions for about `job.group_seconds`."""
    return train_pending(job, max_seconds=job.group_seconds, progress=_RunLog())


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate_holdout(job: Job) -> EvaluateReport:
    """Evaluate the model on the holdout lake."""
    assert job.holdout is not None
    return evaluate(job.holdout, job.model, dask=job.dask)


@task(name="publish", cache_policy=NO_CACHE)
def publish_report(job: Job, groups: list[TrainReport], holdout: EvaluateReport | None) -> None:
    """Publish the report and the table of groups as artifacts."""
    publish(job, groups, holdout)


@flow(name="train", flow_run_name="train-{job.label}")
def train(job: Job, credentials: str | None = None) -> dict[str, Any]:
    """Train a model on everything in its lake that it has not seen.

    Args:
        job: What to train, from where, and where to keep it.
        credentials: Prefect block for object stores, such as aws-credentials/lakes.

    Returns:
        What the run has done: the sums over its groups, the newest version, the holdout's metrics.
    """
    with lent(credentials):
        return _train(job)


def _train(job: Job) -> dict[str, Any]:
    logger = get_run_logger()
    progress = start_progress(job)
    groups: list[TrainReport] = []
    # An unfinished plan of an earlier run comes first; what is new is planned after it.
    for planned in (plan_partitions(job), None):
        planned = planned or plan_partitions(job)
        logger.info("%d partitions to train, %d rows", planned.partitions, planned.rows)
        if not planned.partitions:
            break
        groups += _train_groups(job, planned.partitions, progress)
    move_progress(progress, 1, 1)
    holdout = evaluate_holdout(job) if job.holdout is not None else None
    publish_report(job, groups, holdout)
    logger.info("\n%s", describe_run(job, groups, holdout))
    return _outcome(job, groups, holdout)


def _train_groups(job: Job, n_partitions: int, progress: Any) -> list[TrainReport]:
    groups: list[TrainReport] = []
    while not groups or groups[-1].pending:
        groups.append(train_group(job))
        move_progress(progress, n_partitions - groups[-1].pending, n_partitions)
    return groups


def _outcome(job: Job, groups: list[TrainReport], holdout: EvaluateReport | None) -> dict[str, Any]:
    ledger = open_model(job.model).ledger
    newest = ledger.history.learnt()[-1:]
    return {
        "model": job.model,
        "version": ledger.version,
        "partitions": sum(group.partitions for group in groups),
        "rows": sum(group.rows for group in groups),
        "skipped": sum(group.skipped for group in groups),
        "state_sha256": newest[0].state.sha256 if newest else None,
        "groups": [group.model_dump() for group in groups],
        "holdout": None if holdout is None else holdout.model_dump(),
    }


credentials_option = click.option(
    "--credentials", metavar="BLOCK", help="Prefect block with the credentials of object stores."
)


def complete_job(given: dict[str, Any], credentials: str | None = None) -> Job:
    """A job as a flow parameter: the model's frozen one where it exists, else the given one.

    Raises
    ------
    JobError
        If the job is incomplete, or contradicts its model.
    """
    with lent(credentials):
        if "model" in given and model_exists(given["model"]):
            return resume_job(open_model(given["model"]).file.job, given)
    return parse_job(given)


@click.command("train")
@credentials_option
@job_options
def main(lake: tuple[str, ...], config: str | None, credentials: str | None, **flags: Any) -> None:
    """Run the train flow in this process; options as in `onepass train`."""
    job = complete_job(given_job(lake, config, flags), credentials)
    outcome = train(job, credentials)
    groups = [TrainReport.model_validate(group) for group in outcome["groups"]]
    holdout = outcome["holdout"] and EvaluateReport.model_validate(outcome["holdout"])
    with lent(credentials):
        say(describe_run(job, groups, holdout))
    say(f"\nLog: onepass log {job.model}\nPredict: onepass score LAKE --model {job.model}")


if __name__ == "__main__":
    from onepass.cli import exit_with

    exit_with(main)
