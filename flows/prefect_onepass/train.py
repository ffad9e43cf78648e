"""The train flow: plan, train in groups of partitions, evaluate, publish.

Prefect schedules runs and shows their progress. It never decides what has been trained: a run is
one session of the model, which reads the model directory first and holds its lock to the end of
training. So a retried task, a retried run and the next run all continue from the last commit, and
the lock of a dead run is free at once.

``python -m prefect_onepass.train --config job.yaml`` runs the flow in this process.
"""

# Prefect loads a served flow from its path and cannot resolve postponed annotations there
# ("TrainModel is not fully defined"), so annotations are evaluated at once.
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click
from prefect import flow, get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.tasks import Task

from onepass.actions.evaluate import EvaluateReport, evaluate_version
from onepass.errors import Interrupted, ModelConflict
from onepass.ledger.entries import TrainEntry
from onepass.model.predictor import Predictor
from onepass.terminal.options import given_job, job_options
from onepass.terminal.printing import say
from onepass.training.progress import Together
from onepass.training.report import PlanReport
from onepass.training.session import Session, open_session
from prefect_onepass.artifacts import publish
from prefect_onepass.background import Background
from prefect_onepass.console import outlive_console
from prefect_onepass.credentials import lent
from prefect_onepass.form import TrainJob, filled
from prefect_onepass.live_progress import LiveProgress
from prefect_onepass.names import after_training, before_training, rename_task_run, run_name
from prefect_onepass.outcome import Group, Outcome
from prefect_onepass.run_log import RunLog
from prefect_onepass.run_report import FinishedRun
from prefect_onepass.states import (
    EXPECTED,
    another,
    ended,
    exit_code_of,
    failed,
    may_pass,
    tell_errors_once,
    told,
)

tell_errors_once()

R = TypeVar("R")

_RETRIES: dict[str, Any] = {"retries": 2, "retry_delay_seconds": 5, "retry_condition_fn": may_pass}
"""Options of tasks that go on from the last commit after an error of a disk or a network."""


def _run_name() -> str:
    # A job that was refused is still what the caller gave.
    job = flow_run.parameters.get("job")
    model = job.get("model", "") if isinstance(job, dict) else getattr(job, "model", "")
    return run_name("train", str(model))


@flow(name="train", flow_run_name=_run_name)
def train(job: TrainJob, credentials: str | None = None) -> Any:  # type: ignore[valid-type]
    """Train a model on everything in its lake that it has not seen.

    Args:
        job: The model, and for a new one its lake, label and options.
        credentials: Prefect block for object stores, such as aws-credentials/lakes.

    Returns:
        The state of the run. Its result is a dict: sums over the run, the newest version, the
        metrics on the holdout lake. A call in Python gives the result, and raises the error of a
        run that has failed. A run that leaves the model to another one has a result as well.
    """
    outlive_console()
    logger, given = get_run_logger(), job.given()  # type: ignore[attr-defined]
    training = _Training(given)
    try:
        with lent(credentials), Background() as background:
            outcome = training.run(background)
    except ModelConflict as error:
        state = another(error, given["model"], training.n_committed())
        logger.info(state.message)
    except EXPECTED as error:
        state = failed(error)
        logger.error(told(error))
    else:
        state = ended(outcome)
        logger.info(state.message)
    return state


class _Training:
    """The steps of one run; each is a task of Prefect, and a closure over the session."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given, self._groups = given, list[Group]()

    def n_committed(self) -> int:
        """Return the number of partitions that the run has committed."""
        return sum(group.partitions for group in self._groups)

    def run(self, background: Background) -> Outcome:
        """Plan, train, evaluate and publish."""
        log = RunLog()
        steps = Together(log)
        with log, open_session(self._given, steps) as session:
            since = session.model.ledger.version
            with LiveProgress(background, session.model) as ring:
                steps.add(ring)
                planned = self._train(session)
            outcome = self._outcome(session, planned, since)
            predictor = None
            if not outcome.is_quiet and session.job.holdout is not None:
                predictor = session.predictor()
        # The end of the session has freed the model's lock, and the memory of the learner.
        error = None
        if predictor is not None:
            error = self._evaluate(outcome, predictor)
        if not outcome.is_quiet:
            outcome.report = _task("publish", lambda: _published(outcome, background))
        if error is not None:
            # The report has told what is trained and kept all the same.
            raise error
        return outcome

    def _evaluate(self, outcome: Outcome, predictor: Predictor) -> Exception | None:
        """Evaluate on the holdout lake; return the error if it fails."""
        try:
            outcome.holdout = _task("evaluate", lambda: _evaluated(outcome, predictor), **_RETRIES)
        except EXPECTED as error:
            outcome.holdout_error = told(error)
            return error
        return None

    def _train(self, session: Session) -> PlanReport:
        """Train the plan, and then what has arrived meanwhile; return the first plan."""
        planned = self._plan(session)
        self._train_groups(session)
        if planned.partitions:
            # The first plan may have been the rest of an earlier run's.
            self._plan(session)
            self._train_groups(session)
        return planned

    def _plan(self, session: Session) -> PlanReport:
        return _task("plan", lambda: session.plan_report(session.plan()), **_RETRIES)

    def _train_groups(self, session: Session) -> None:
        while pending := session.model.ledger.history.pending():
            name = before_training(self.n_committed(), pending)
            _task("train", lambda: self._train_group(session), run_name=name, **_RETRIES)

    def _train_group(self, session: Session) -> None:
        history, began = session.model.ledger.history, time.perf_counter()
        since, n_done, pending = history.version, self.n_committed(), history.pending()
        try:
            session.train_pending(max_seconds=session.job.group_seconds)
        finally:
            # A task that fails has committed what it had learnt before.
            entries = [one for one in history.entries[since:] if isinstance(one, TrainEntry)]
            self._groups.append(Group(entries, time.perf_counter() - began))
            trained = [one for entry in entries for one in entry.partitions]
            rename_task_run(after_training(n_done, pending, trained, history.planned()))

    def _outcome(self, session: Session, planned: PlanReport, since: int) -> Outcome:
        trained = session.model.ledger.history.trained()
        return Outcome(
            job=session.job,
            model_id=session.model.file.id,
            planned=planned,
            trained=session.report(),
            newest=trained[-1].time if trained else None,
            history=session.model.ledger.history,
            since=since,
            groups=[group for group in self._groups if group.entries],
        )


def _task(name: str, call: Callable[[], R], *, run_name: str | None = None, **options: Any) -> R:
    """Run a call as a task, in this thread.

    A closure has no parameters that Prefect could hash or store, and the session has no copy.
    """
    # Prefect would take braces in a text for parameters.
    named = None if run_name is None else lambda: run_name
    run = Task(call, name=name, task_run_name=named, cache_policy=NO_CACHE, **options)
    return run()


def _evaluated(outcome: Outcome, predictor: Predictor) -> EvaluateReport:
    job = outcome.job
    assert job.holdout is not None
    return evaluate_version(predictor, job.holdout, job.model, dask=job.dask)


def _published(outcome: Outcome, background: Background) -> str:
    # The pages of a run come here: artifacts, events, the asset.
    run = FinishedRun(
        job=outcome.job,
        model_id=outcome.model_id,
        history=outcome.history,
        since=outcome.since,
        trained=outcome.trained,
        holdout=outcome.holdout,
        holdout_error=outcome.holdout_error,
    )
    return publish(background, run)


credentials_option = click.option(
    "--credentials", metavar="BLOCK", help="Prefect block with the credentials of object stores."
)


@click.command("train")
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
    say(f"\nLog: onepass log {job.model}\nPredict: onepass score LAKE --model {job.model}")


if __name__ == "__main__":
    from onepass.terminal.exits import exit_with

    exit_with(main)
