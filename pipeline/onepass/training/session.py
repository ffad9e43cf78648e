"""A session holds a model as its only writer, and creates, plans, trains and commits.

Commands, flows, retries and schedules all open a session, which reads the model directory first. So
every run resumes where the last one stopped, and nobody resumes by hand.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import date
from typing import Any

from onepass.errors import Interrupted, ModelNotFound
from onepass.jit import telling_of_compilation
from onepass.job import Job
from onepass.job_fields import parse_job
from onepass.job_holdout import RollingHoldout
from onepass.lake.discover import LakeFile
from onepass.ledger.store import open_store
from onepass.model.cross_validated import CrossValidated, cross_validated
from onepass.model.directory import OpenModel, model_exists, open_model
from onepass.model.predictor import Predictor
from onepass.partition import Group
from onepass.stream.workers import Workers
from onepass.training.current import prepare
from onepass.training.learn_group import GroupLearner
from onepass.training.limits import LIMITS, Limits
from onepass.training.lockstep import Deadline, train_groups
from onepass.training.looks import in_quarantine
from onepass.training.opening import check_holdout, clear_up, create, kept, resumed
from onepass.training.plan import make_plan
from onepass.training.planned import Plan
from onepass.training.progress import Progress
from onepass.training.report import PlanReport, TrainReport, plan_report, train_report
from onepass.training.restore import Restorer
from onepass.training.rolling_holdout import Window, utc_today
from onepass.training.run import Run
from onepass.training.settled_looks import SettledLooks


class Session:
    """The work of the one writer of a model; `open_session` makes it."""

    def __init__(
        self,
        model: OpenModel,
        job: Job,
        workers: Workers,
        progress: Progress,
        *,
        created: bool,
        warnings: list[str],
        limits: Limits = LIMITS,
        today: date | None = None,
    ) -> None:
        self.model, self.job, self.limits = model, job, limits
        self._window = Window.of_job(job, today or utc_today())
        self._held_out: list[LakeFile] | None = None
        self._pruned = (0, 0)
        self.workers, self.progress = workers, progress
        self._created, self._warnings = created, warnings
        self.learner = GroupLearner(model.file, job, workers, progress, limits=limits.read)
        self.restorer = Restorer(model, self.learner)
        self.run = Run(model, job, self.learner, self.restorer)
        self._since = model.ledger.version
        self._began = time.perf_counter()
        self._has_failed = False

    def train(self) -> TrainReport:
        """Train everything in the lake that the model has not seen."""
        had_pending = bool(self.model.ledger.history.pending())
        self.train_pending(self.plan())
        if had_pending:
            # The first plan was the rest of an older one. Now plan the files that are new.
            self.train_pending(self.plan())
        return self.report()

    def plan(self, beside: Session | None = None) -> list[Group]:
        """Check the whole lake, commit a plan for new partitions, and return the pending groups.

        While an older plan is unfinished, return its rest and plan nothing. If no group is pending,
        ensure that the newest state can be read.

        Parameters
        ----------
        beside
            Session of another model of the same lake, which has just listed it.
        """
        with self.recovering():
            return self._plan(beside)

    def _plan(self, beside: Session | None) -> list[Group]:
        ledger = self.model.ledger
        plan = self._make_plan(beside)
        for partition, reason in plan.skips:
            ledger.commit_skip(partition, reason)
            self.progress.noted(f"left out: {reason}")
        for unit, reason, look in plan.quarantines:
            self.progress.noted(ledger.commit_skip(unit, reason, look).told)
        for message in plan.told:
            self.progress.told(message)
        for note in plan.notes:
            self.progress.noted(note)
        if plan.groups or plan.table is not None:
            ledger.commit_plan(plan.groups, plan.table)
        self._held_out = plan.held_out
        self._pruned = (plan.n_pruned, plan.n_files)
        pending = ledger.history.pending()
        if not pending and ledger.history.newest_states(1):
            self.run.state()
        return pending

    def train_pending(
        self, pending: list[Group] | None = None, max_seconds: float | None = None
    ) -> None:
        """Train planned groups; stop after the one in which `max_seconds` have passed.

        Parameters
        ----------
        pending
            Groups of the newest plan to train; those that the ledger says are left by default.
        """
        # After a failure the log may hold more than the caller knows.
        given = None if self._has_failed else pending
        with self.recovering():
            left = self.model.ledger.history.pending() if given is None else given
            train_groups(self.run, left, Deadline(max_seconds))

    @contextmanager
    def recovering(self) -> Iterator[None]:
        """Run a step; if the step before has failed, go back to the last commit first.

        A commit whose answer was lost may be in the log all the same, the state in memory may have
        learnt a part of a group, and a cluster may be another one by now. So the log is read on,
        the state forgotten, and the workers are connected again, as a new session would do.
        """
        if self._has_failed:
            self.model.ledger.catch_up()
            self.run.forget()
            self.learner.forget_lake()
            self.workers.renew()
            self._has_failed = False
        try:
            yield
        except BaseException:
            self._has_failed = True
            raise

    def predictor(self) -> Predictor:
        """Return the weights of the newest version, for predictions.

        Raises
        ------
        ModelNotFound
            If nothing has been trained.
        """
        newest = self.model.ledger.history.newest_states(1)
        if not newest:
            path = self.model.path
            raise ModelNotFound(f"the model in {path!r} has no usable version; train it first")
        return Predictor.of(self.model.file, newest[0], self.run.state().learner.best())

    def holdout(self) -> str | list[str] | list[LakeFile] | None:
        """Return what to evaluate the newest version on: another lake, or the files held out.

        None if the job has no holdout, or if a rolling holdout fits no file that is not trained,
        which is noted.
        """
        if self._window is None:
            assert not isinstance(self.job.holdout, RollingHoldout)
            return self.job.holdout
        if self._held_out is None:
            self._held_out = self._make_plan().held_out
        if not self._held_out:
            self.progress.noted(self._window.empty())
        return self._held_out or None

    def _make_plan(self, beside: Session | None = None) -> Plan:
        learner = self.learner
        files = learner.share_lake(beside.learner) if beside else learner.list_lake()
        return make_plan(
            self.model.ledger.history,
            files,
            self.job,
            self.learner.check,
            workers=self.workers,
            split_bytes=self.limits.read.split_bytes,
            window=self._window,
            table=self.learner.table,
            looks=SettledLooks(self.model.store, trusts=self.job.check == "look"),
            advanced=self.progress.compared,
        )

    def report(self) -> TrainReport:
        """Report what this session has trained so far."""
        return train_report(
            self.model.path,
            self.model.ledger.history,
            parallel=self.model.file.job.n_parallel,
            since=self._since,
            held_out=[one.key for one in self._held_out or []],
            in_quarantine=self._n_in_quarantine(),
            pruned=self._pruned,
            cross_validation=self._cross_validated(),
            total=self.run.total,
            recent=self.run.stretches.last(),
            seconds=time.perf_counter() - self._began,
        )

    def _cross_validated(self) -> list[CrossValidated]:
        file = self.model.file
        if not file.job.folds or not self.model.ledger.history.newest_states(1):
            return []
        return cross_validated(file, self.run.state().learner)

    def plan_report(self, pending: list[Group]) -> PlanReport:
        """Report the groups that are still to be trained."""
        return plan_report(
            self.model.path,
            self.model.ledger.history,
            pending,
            created=self._created,
            warnings=self._warnings,
            in_quarantine=self._n_in_quarantine(),
        )

    def _n_in_quarantine(self) -> int:
        history = self.model.ledger.history
        # Without a quarantine a report needs no lake.
        return len(in_quarantine(history, self.learner.files)) if history.quarantined() else 0


@contextmanager
def open_session(
    job: Job | Mapping[str, Any],
    progress: Progress | None = None,
    *,
    creates: bool = True,
    limits: Limits = LIMITS,
    workers: Workers | None = None,
    today: date | None = None,
) -> Iterator[Session]:
    """Open a session, which is the only writer of a model until the context ends.

    Parameters
    ----------
    job
        The job, or its fields; for an existing model ``{"model": directory}`` is enough.
    progress
        Receives each step; silent by default.
    creates
        Whether to create a model that does not exist.
    limits
        Sizes of blocks and partitions; only tests change them.
    workers
        Those of another session that trains beside this one; by default workers of its own.
    today
        Date by which a rolling holdout moves; by default that in UTC.

    Raises
    ------
    JobError
        If the job is incomplete, unsuited to the lake, or contradicts the model; `ModelNotFound` if
        there is no model and `creates` is False.
    DataError
        If a model is to be created and its lake cannot be used, or the holdout lake is empty.
    ModelConflict
        If another process holds the model.
    ForeignModel
        If the model directory is damaged.
    Interrupted
        If the user interrupts the session.
    """
    given = job.model_dump(include=job.model_fields_set) if isinstance(job, Job) else dict(job)
    store = open_store(str(given.get("model") or parse_job(given).model))
    progress, today = progress or Progress(), today or utc_today()
    session: Session | None = None
    try:
        created = not model_exists(store)
        warnings = []
        if created:
            warnings = create(given, store, limits, progress, today, creates=creates)
        # A session beside another one leaves it to that one to tell.
        telling = nullcontext() if workers else telling_of_compilation(progress.compiling)
        with telling, store.exclusive():
            model = open_model(store)
            clear_up(model)
            for warning in warnings:
                progress.noted(warning)
            complete = resumed(model, given)
            check_holdout(complete)
            prepare(model.ledger, complete)
            own = None if workers else Workers(complete.dask, mixed=complete.mixed_workers)
            with own or nullcontext(workers) as shared:
                assert shared is not None
                session = Session(
                    model,
                    complete,
                    shared,
                    progress,
                    created=created,
                    warnings=warnings,
                    limits=limits,
                    today=today,
                )
                yield session
    except KeyboardInterrupt:
        raise Interrupted(kept(store, session.run.newest_version if session else 0)) from None
