"""The train flow: plan, train in groups of partitions, evaluate, publish.

Prefect schedules runs and shows their progress. It never decides what has been trained: every task
reads the model directory. So a retried task, a retried run and the next run all continue from the
last commit.

``python -m prefect_onepass.train --config job.yaml`` runs the flow in this process.
"""

# Prefect loads a served flow from its path and cannot resolve postponed annotations there
# ("TrainModel is not fully defined"), so annotations are evaluated at once.
from typing import Any

import click
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from onepass.actions.evaluate import EvaluateReport, evaluate
from onepass.actions.train import plan, train_pending
from onepass.errors import ClusterUnavailable, OnepassError, StoreUnavailable
from onepass.job import Job
from onepass.job_fields import parse_job, resume_job
from onepass.learn.metrics import Metrics
from onepass.ledger.entries import AnyEntry, SkipEntry, TrainEntry
from onepass.model.directory import model_exists, open_model
from onepass.terminal.options import given_job, job_options
from onepass.terminal.printing import say
from onepass.text import listed, printable
from onepass.training.progress import Progress
from onepass.training.report import PlanReport, TrainReport
from prefect_onepass.artifacts import move_progress, newest, publish, start_progress
from prefect_onepass.credentials import credentials_option, lent

_MOST_NAMED = 8
"""Most partitions that a line of the run's log names."""


class _RunLog(Progress):
    """Writes the steps of a run to the log of the Prefect run."""

    def __init__(self) -> None:
        self._logger = get_run_logger()

    def committed(self, entry: AnyEntry, total: Metrics) -> None:
        match entry:
            case TrainEntry():
                paths = listed([printable(one.path) for one in entry.partitions], _MOST_NAMED)
                self._logger.debug("version %d: %s, %d rows", entry.version, paths, entry.rows)
            case SkipEntry():
                self._logger.warning("left out: %s", printable(entry.reason))

    def noted(self, message: str) -> None:
        self._logger.warning(printable(message))


def _may_pass(task: Any, task_run: Any, state: Any) -> bool:
    """Return whether a retry may succeed, as after an error of a disk, a network or a cluster."""
    error = state.result(raise_on_failure=False)
    is_of_the_system = isinstance(error, OSError) and not isinstance(error, OnepassError)
    return is_of_the_system or isinstance(error, StoreUnavailable | ClusterUnavailable)


@task(name="plan", cache_policy=NO_CACHE)
def plan_partitions(job: Job) -> PlanReport:
    """Create the model if it does not exist, and commit a plan for what is new."""
    return plan(job, progress=_RunLog())


@task(
    name="train-group",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_may_pass,
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
def publish_report(
    job: Job, planned: PlanReport, groups: list[TrainReport], holdout: EvaluateReport | None
) -> str:
    """Publish the report and the table of groups as artifacts; return the report."""
    return publish(job, planned, groups, holdout)


@flow(name="train", flow_run_name="train-{job.label}")
def train(job: Job, credentials: str | None = None) -> dict[str, Any]:
    """Train a model on everything in its lake that it has not seen.

    Args:
        job: The lake, the label, the options, and the model directory.
        credentials: Prefect block for object stores, such as aws-credentials/lakes.

    Returns:
        Sums over the groups of this run, the newest version, and the metrics on the holdout lake.
    """
    with lent(credentials):
        return _train(job)


def _train(job: Job) -> dict[str, Any]:
    logger = get_run_logger()
    progress = start_progress(job)
    groups: list[TrainReport] = []
    planned = plan_partitions(job)
    # The first plan may be the rest of an earlier run's; the second plan has the new files.
    for is_last in (False, True):
        logger.info("%d partitions to train, %d rows", planned.partitions, planned.rows)
        if not planned.partitions:
            break
        groups += _train_groups(job, planned.partitions, progress)
        if not is_last:
            planned = plan_partitions(job)
    move_progress(progress, 1, 1)
    holdout = evaluate_holdout(job) if job.holdout is not None else None
    report = publish_report(job, planned, groups, holdout)
    logger.info("\n%s", report)
    return _outcome(job, planned, groups, holdout) | {"report": report}


def _train_groups(job: Job, n_partitions: int, progress: Any) -> list[TrainReport]:
    groups: list[TrainReport] = []
    while not groups or groups[-1].pending:
        groups.append(train_group(job))
        move_progress(progress, n_partitions - groups[-1].pending, n_partitions)
    return groups


def _outcome(
    job: Job, planned: PlanReport, groups: list[TrainReport], holdout: EvaluateReport | None
) -> dict[str, Any]:
    last = newest(planned, groups)
    return {
        "model": job.model,
        "version": last.version,
        "partitions": sum(group.partitions for group in groups),
        "rows": sum(group.rows for group in groups),
        "skipped": sum(group.skipped for group in groups),
        "state_sha256": last.state_sha256,
        "groups": [group.model_dump() for group in groups],
        "holdout": None if holdout is None else holdout.model_dump(),
    }


def complete_job(given: dict[str, Any], credentials: str | None = None) -> Job:
    """Return a complete job, as the flow takes it.

    If the model exists, its frozen job fills in the fields that are not given.

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
    say(outcome["report"])
    say(f"\nLog: onepass log {job.model}\nPredict: onepass score LAKE --model {job.model}")


if __name__ == "__main__":
    from onepass.terminal.exits import exit_with

    exit_with(main)
