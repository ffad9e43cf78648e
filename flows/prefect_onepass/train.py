"""The train flow: plan, train in groups of partitions, evaluate, publish; for one label or several.

Prefect schedules runs and shows their progress. It never decides what has been trained: a run is
one session of each model, which reads the model directory first and holds its lock to the end of
training. So a retried task, a retried run and the next run all continue from the last commit, and
the lock of a dead run is free at once.

``python -m prefect_onepass.train --config job.yaml`` runs the flow in this process.
"""

# Prefect loads a served flow from its path and cannot resolve postponed annotations there
# ("TrainModel is not fully defined"), so annotations are evaluated at once.
import logging
import sys
from typing import Any

import click
from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from onepass.errors import Interrupted, ModelConflict
from onepass.ledger.store import open_store
from onepass.model.labels import read_labels
from onepass.terminal.options import JobCommand, given_job, job_options
from onepass.terminal.printing import say
from prefect_onepass.background import Background
from prefect_onepass.console import outlive_console
from prefect_onepass.credentials import credentials_option, lent
from prefect_onepass.engine import adapt_engine
from prefect_onepass.form import TrainJob, filled
from prefect_onepass.hooks import on_cancellation, on_crashed, on_failure
from prefect_onepass.names import run_name
from prefect_onepass.one_run import OneRun
from prefect_onepass.paths import Place
from prefect_onepass.states import EXPECTED, another, ended, exit_code_of, failed

adapt_engine()


def _run_name() -> str:
    # A job that was refused is still what the caller gave.
    job = flow_run.parameters.get("job")
    model = job.get("model", "") if isinstance(job, dict) else getattr(job, "model", "")
    return run_name("train", str(model))


@flow(
    name="train",
    flow_run_name=_run_name,
    on_failure=[on_failure],
    on_crashed=[on_crashed],
    on_cancellation=[on_cancellation],
)
def train(
    job: TrainJob,  # type: ignore[valid-type]
    credentials: str | None = None,
    report: Place | None = None,
) -> Any:
    """Train a model, or those of several labels, on everything in the lake that is new to them.

    Args:
        job: The model, and for a new one its lake, label or labels, and options.
        credentials: Prefect block for object stores, such as aws-credentials/lakes.
        report: File or URL to write the report page to, an absolute path such as
            /srv/reports/clicks.html; empty for none. With several labels each has a page, such as
            /srv/reports/clicks-paid.html.

    Returns:
        The state of the run. Its result is a dict: sums over the run, the newest version, the
        metrics on the holdout lake; with several labels, models is a list of such dicts, each with
        its label. A call in Python gives the result, and raises the error of a run that has failed.
        A run that leaves models to another one has a result as well.
    """
    outlive_console()
    logger, given = get_run_logger(), job.given()  # type: ignore[attr-defined]
    try:
        with lent(credentials), Background() as background:
            state = _run(given, background, report)
    except EXPECTED as error:
        state = failed(error)
    logger.log(logging.ERROR if state.is_failed() else logging.INFO, "%s", state.message)
    return state


def _run(given: dict[str, Any], background: Background, report: str | None) -> State[Any]:
    try:
        return ended(OneRun(given, background, report).run())
    except ModelConflict as conflict:
        return another(conflict, given["model"], _places(given["model"]))


def _places(model: str) -> dict[str, str] | None:
    """Return the model directories by label; None if the model is of one label."""
    several = read_labels(open_store(model))
    return (
        None if several is None else dict(zip(several.labels, several.places(model), strict=True))
    )


@click.command("train", cls=JobCommand)
@credentials_option
@job_options
def main(lake: tuple[str, ...], config: str | None, credentials: str | None, **flags: Any) -> None:
    """Run the train flow in this process; options as in `onepass train`."""
    job = filled(given_job(lake, config, flags))
    try:
        state: Any = train(job, credentials, return_state=True)
    except Interrupted as interrupted:
        say(str(interrupted), err=True)
        raise
    # The log of the run, on stderr, has shown the message of an error.
    if code := exit_code_of(state):
        sys.exit(code)
    say(state.result()["report"] or str(state.message))
    with lent(credentials):
        places = _places(job.model)
    for model in [job.model] if places is None else places.values():
        say(f"\nLog: onepass log {model}\nPredict: onepass score LAKE --model {model}")


if __name__ == "__main__":
    from onepass.terminal.exits import exit_with

    exit_with(main)
