"""A session holds a model as its only writer, and creates, plans, trains and commits.

Commands, flows, retries and schedules all open a session, which reads the model directory first. So
every run resumes where the last one stopped, and nobody resumes by hand.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from onepass.errors import Interrupted, JobError, ModelNotFound
from onepass.jit import telling_of_compilation
from onepass.job import Job
from onepass.job_fields import parse_job, resume_job
from onepass.lake.discover import discover
from onepass.ledger.entries import RewindEntry
from onepass.ledger.leftovers import sweep
from onepass.ledger.store import Store, open_store
from onepass.model.directory import OpenModel, model_exists, open_model
from onepass.model.predictor import Predictor
from onepass.partition import Group
from onepass.stream.workers import Workers
from onepass.training.create import create_model
from onepass.training.learn_group import GroupLearner
from onepass.training.limits import LIMITS, Limits
from onepass.training.plan import make_plan
from onepass.training.progress import Progress
from onepass.training.report import PlanReport, TrainReport, plan_report, train_report
from onepass.training.restore import Restorer
from onepass.training.run import Run


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
    ) -> None:
        self.model, self.job, self.limits = model, job, limits
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

    def plan(self) -> list[Group]:
        """Check the whole lake, commit a plan for new partitions, and return the pending groups.

        While an older plan is unfinished, return its rest and plan nothing. If no group is pending,
        ensure that the newest state can be read.
        """
        with self._recovering():
            return self._plan()

    def _plan(self) -> list[Group]:
        ledger = self.model.ledger
        files = self.learner.list_lake()
        plan = make_plan(
            ledger.history,
            files,
            self.job,
            self.learner.check,
            split_bytes=self.limits.read.split_bytes,
        )
        for partition, reason in plan.skips:
            ledger.commit_skip(partition, reason)
            self.progress.noted(f"left out: {reason}")
        if plan.groups:
            ledger.commit_plan(plan.groups)
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
        with self._recovering():
            left = self.model.ledger.history.pending() if given is None else given
            self.run.train(left, max_seconds)

    @contextmanager
    def _recovering(self) -> Iterator[None]:
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

    def report(self) -> TrainReport:
        """Report what this session has trained so far."""
        return train_report(
            self.model.path,
            self.model.ledger.history,
            parallel=self.model.file.job.n_parallel,
            since=self._since,
            total=self.run.total,
            recent=self.run.stretches.last(),
            seconds=time.perf_counter() - self._began,
        )

    def plan_report(self, pending: list[Group]) -> PlanReport:
        """Report the groups that are still to be trained."""
        return plan_report(
            self.model.path,
            self.model.ledger.history,
            pending,
            created=self._created,
            warnings=self._warnings,
        )


@contextmanager
def open_session(
    job: Job | Mapping[str, Any],
    progress: Progress | None = None,
    *,
    creates: bool = True,
    limits: Limits = LIMITS,
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
    progress = progress or Progress()
    session: Session | None = None
    try:
        created = not model_exists(store)
        warnings = _create(given, store, limits, progress, creates=creates) if created else []
        with telling_of_compilation(progress.compiling), store.exclusive():
            model = open_model(store)
            _clear_up(model)
            for warning in warnings:
                progress.noted(warning)
            resumed = _resumed(model, given)
            _check_holdout(resumed)
            with Workers(resumed.dask, mixed=resumed.mixed_workers) as workers:
                session = Session(
                    model,
                    resumed,
                    workers,
                    progress,
                    created=created,
                    warnings=warnings,
                    limits=limits,
                )
                yield session
    except KeyboardInterrupt:
        raise Interrupted(_kept(store, session.run.newest_version if session else 0)) from None


def exclusion(entry: RewindEntry) -> str:
    """Return the reason of the skips of partitions that a rewind excludes."""
    return f"excluded by the rewind to version {entry.to}: {', '.join(entry.exclude)}"


def _create(
    given: Mapping[str, Any], store: Store, limits: Limits, progress: Progress, *, creates: bool
) -> list[str]:
    if "lake" not in given or not creates:
        raise ModelNotFound(f"no model in {store.place!r}; to create one, give LAKE and --label")
    complete = parse_job(given)
    _check_holdout(complete)
    return create_model(complete, store, max_batch_rows=limits.max_batch_rows, progress=progress)


def _kept(store: Store, version: int) -> str:
    """Return the message of an interrupt.

    Parameters
    ----------
    version
        Newest version that the session has committed; 0 for none.
    """
    if not model_exists(store):
        return "interrupted before the model was created: nothing is kept"
    kept = f"version {version} is kept" if version else "what was committed before is kept"
    return f"interrupted: {kept}; go on with: onepass train --model {store.place}"


def _clear_up(model: OpenModel) -> None:
    """Remove old leftovers of killed runs, and commit the skips that a killed rewind has left."""
    sweep(model.store, model.ledger)
    for rewind, partition in model.ledger.history.unwritten_skips():
        model.ledger.commit_skip(partition, exclusion(rewind))


def _resumed(model: OpenModel, given: Mapping[str, Any]) -> Job:
    try:
        return resume_job(model.file.job, given)
    except JobError as error:
        if model.ledger.history.trained():
            raise
        raise JobError(
            f"{error}\nNothing has been trained yet: removing {model.path} loses nothing."
        ) from None


def _check_holdout(job: Job) -> None:
    # Report a missing holdout lake before hours of training, not after.
    if job.holdout is not None:
        discover(job.holdout)
