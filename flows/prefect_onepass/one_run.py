"""One run of the train flow: the steps of one session of a model, each a task of Prefect.

The session holds the lock of the model from the plan to the end of training. The tasks are closures
over it, so Prefect has nothing to hash, store or copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.tasks import Task

from onepass.actions.evaluate import EvaluateReport
from onepass.actions.holdout import evaluate_holdout
from onepass.actions.publish import publish as publish_version
from onepass.errors import ModelConflict, VersionRefused
from onepass.lake.discover import Lake
from onepass.ledger.entries import TrainEntry
from onepass.model.predictor import Predictor
from onepass.training.progress import Notes, Together
from onepass.training.session import Session, open_session
from prefect_onepass.announce import (
    TrainedRounds,
    publishing,
    quarantined,
    refused,
    subject,
    updated,
)
from prefect_onepass.artifacts import publish as publish_pages
from prefect_onepass.background import Background
from prefect_onepass.live_progress import LiveProgress
from prefect_onepass.names import (
    after_training,
    before_training,
    evaluated_name,
    planned_name,
    published_name,
    rename_task_run,
)
from prefect_onepass.outcome import Group, Outcome
from prefect_onepass.run_log import RunLog
from prefect_onepass.sending import emit
from prefect_onepass.states import EXPECTED, may_pass, told

R = TypeVar("R")

_RETRIES: dict[str, Any] = {"retries": 2, "retry_delay_seconds": 5, "retry_condition_fn": may_pass}
"""Options of tasks that go on from the last commit after an error of a disk or a network."""


_MOST_PLANS = 10
"""Most plans of a run: a lake into which files land all the time must not keep it from its end."""


class LeftToAnother(Exception):
    """Raised when another writer holds the model, or has committed before this run.

    Parameters
    ----------
    conflict
        What the library has raised.
    committed
        Partitions that this run has committed before.
    """

    def __init__(self, conflict: ModelConflict, committed: int) -> None:
        self.conflict, self.committed = conflict, committed
        super().__init__(conflict, committed)


@dataclass(frozen=True, slots=True)
class _Judged:
    """The holdout and the weights by which a version is judged after the session."""

    lake: Lake | None
    """Holdout of the run; None if the job has none, or a quiet run needs none."""
    predictor: Predictor | None
    """Weights of the version; None without a holdout."""


class OneRun:
    """Plans, trains, evaluates and publishes one model, once.

    Parameters
    ----------
    given
        Fields of the job that the run gives.
    background
        Sends what only shows.
    page
        File or URL to write the report page to; None for none.
    """

    def __init__(
        self, given: dict[str, Any], background: Background, page: str | None = None
    ) -> None:
        self._given, self._background, self._page = given, background, page
        self._log = RunLog()
        self._groups: list[Group] = []

    def run(self) -> Outcome:
        """Do all steps; return what was done.

        Raises
        ------
        LeftToAnother
            If another run trains the model.
        VersionRefused
            If the guard of the job refuses the version.
        OnepassError, OSError
            If a step fails; what was committed before is kept.
        """
        try:
            outcome, judged = self._trained()
        except ModelConflict as conflict:
            raise LeftToAnother(conflict, self._n_committed()) from None
        # The end of the session has freed the lock of the model, and the memory of the learner.
        if outcome.is_quiet:
            # An earlier run may have died before it had published its version.
            self._let_predict(outcome, judged)
            return outcome
        error = self._evaluate(outcome, judged)
        publishing(outcome, lambda: self._publish(outcome, judged))()
        if error is not None:
            # The report has told what is trained and kept all the same.
            raise error
        return outcome

    def _n_committed(self) -> int:
        return sum(group.partitions for group in self._groups)

    def _trained(self) -> tuple[Outcome, _Judged]:
        """Hold a session and train; return also what the version is to be judged by."""
        steps = Together(self._log)
        with self._log, open_session(self._given, steps) as session:
            since = session.model.ledger.version
            rounds = TrainedRounds(subject(session.model, session.job), self._background)
            with LiveProgress(self._background, session.model) as ring, rounds:
                steps.add(ring)
                steps.add(rounds)
                self._train(session)
            outcome = Outcome(
                job=session.job,
                model=session.model,
                trained=session.report(),
                since=since,
                groups=[group for group in self._groups if group.entries],
            )
            is_guarded = session.job.max_loss_increase is not None
            lake = session.holdout() if is_guarded or not outcome.is_quiet else None
            has_predictor = lake is not None and not outcome.is_quiet
            return outcome, _Judged(lake, session.predictor() if has_predictor else None)

    def _train(self, session: Session) -> None:
        """Train what is new, and what arrives meanwhile."""
        # An event of a file that lands now starts a run that leaves the model to this one.
        for _ in range(_MOST_PLANS):
            if not self._plan(session):
                break
            self._train_groups(session)

    def _plan(self, session: Session) -> int:
        def planned() -> int:
            report = session.plan_report(session.plan())
            rename_task_run(planned_name(report))
            # Prefect keeps what a task returns, and a plan may be long.
            return report.partitions

        return _task("plan", planned, **_RETRIES)

    def _train_groups(self, session: Session) -> None:
        while pending := session.model.ledger.history.pending():
            name = before_training(self._n_committed(), pending)
            _task("train", partial(self._train_group, session), run_name=name, **_RETRIES)

    def _train_group(self, session: Session) -> None:
        history, began = session.model.ledger.history, time.perf_counter()
        since, n_done, pending = history.version, self._n_committed(), history.pending()
        try:
            session.train_pending(max_seconds=session.job.group_seconds)
        finally:
            # A task that fails has committed what it had learnt before.
            entries = [one for one in history.entries[since:] if isinstance(one, TrainEntry)]
            self._groups.append(Group(entries, time.perf_counter() - began))
            trained = [one for entry in entries for one in entry.partitions]
            rename_task_run(after_training(n_done, pending, trained, history.planned()))

    def _evaluate(self, outcome: Outcome, judged: _Judged) -> Exception | None:
        """Evaluate on the holdout, if there is one; return the error if it fails."""
        predictor, lake = judged.predictor, judged.lake
        if predictor is None or lake is None:
            return None

        def evaluated() -> EvaluateReport | None:
            store, notes = outcome.model.store, Notes(self._log)
            report = evaluate_holdout(predictor, lake, outcome.job, store=store, progress=notes)
            if report is not None:
                rename_task_run(evaluated_name(report))
            return report

        try:
            outcome.holdout = _task("evaluate", evaluated, **_RETRIES)
        except EXPECTED as error:
            outcome.holdout_error = told(error)
            return error
        return None

    def _publish(self, outcome: Outcome, judged: _Judged) -> str:
        """Let predictions use the version unless it is refused, and show the run in its pages."""
        rename_task_run(published_name(outcome.trained))
        error: VersionRefused | None = None
        try:
            self._let_predict(outcome, judged)
        except VersionRefused as refusal:
            error, outcome.refusal = refusal, told(refusal)
        if outcome.trained.quarantined:
            emit(quarantined(outcome), self._background)
        self._show(outcome)
        if error is not None:
            raise error
        return outcome.report or ""

    def _show(self, outcome: Outcome) -> None:
        """Make the pages of the run; what only shows is no reason to fail."""
        try:
            if self._page is not None:
                # Imported here: most runs write no page.
                from onepass.report.write import write_report

                outcome.page = write_report(outcome.model.path, self._page, version="newest")
        except Exception as error:
            self._log.noted(f"the report page was not written: {_in_short(error)}")
        try:
            outcome.report = publish_pages(self._background, outcome.finished())
        except Exception as error:
            self._log.noted(f"the run is not shown: {_in_short(error)}")

    def _let_predict(self, outcome: Outcome, judged: _Judged) -> None:
        """Let predictions use the newest version, unless the guard of the job refuses it."""
        job, trained = outcome.job, outcome.trained
        if job.max_loss_increase is not None and outcome.holdout_error is not None:
            return  # It cannot be judged; the next run tries again.
        try:
            outcome.publication = publish_version(
                outcome.model,
                job,
                newest=judged.predictor,
                lake=judged.lake,
                holdout=outcome.holdout,
            )
        except VersionRefused as error:
            emit(refused(outcome, error), self._background)
            raise
        how = outcome.publication.outcome
        if how == "published" or (how == "unchanged" and trained.partitions):
            emit(updated(outcome), self._background)


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {told(error)}".splitlines()[0]


def _task(name: str, call: Callable[[], R], *, run_name: str | None = None, **options: Any) -> R:
    """Run a call as a task, in this thread."""
    # Prefect would take braces in a text for parameters.
    named = None if run_name is None else lambda: run_name
    run = Task(call, name=name, task_run_name=named, cache_policy=NO_CACHE, **options)
    return run()
