"""Train: the entries that everybody comes in by - command, flow, retry, schedule.

Each looks into the model directory first, so there is nothing to resume by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_limits

from onepass.errors import JobError, ModelNotFound
from onepass.job import Job, parse_job, resume_job
from onepass.lake.discover import discover
from onepass.ledger.entries import RewindEntry
from onepass.ledger.leftovers import sweep
from onepass.ledger.store import open_store
from onepass.model.directory import OpenModel, model_exists, open_model
from onepass.partition import Group, Partition
from onepass.stream.workers import Workers
from onepass.training.create import create_model
from onepass.training.progress import Progress
from onepass.training.report import PlanReport, TrainReport
from onepass.training.run import Run


def train(
    job: Job | Mapping[str, Any],
    *,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a model on everything in its lake that it has not seen.

    Parameters
    ----------
    job
        The job, or its fields; for an existing model ``{"model": directory}`` is enough.
    progress
        Told about each step; silent by default.

    Raises
    ------
    JobError
        If the job is incomplete, unsuited to the lake, or contradicts the model.
    DataError
        If a file is bad or has changed, and the job does not say to go on.
    ModelConflict
        If another process trains the same model.

    Notes
    -----
    What has been committed stays, whatever happens afterwards. A partition is committed while the
    next one is learnt, so a run that fails or is interrupted loses the partition that it was
    learning, and one that is killed perhaps the one before as well.
    """
    with opened(job, progress or Progress()) as run:
        had_pending = bool(run.model.ledger.history.pending())
        run.plan()
        run.train_pending()
        if had_pending:
            # The unfinished plan came first, so that its order is the one it was frozen with.
            run.plan()
            run.train_pending()
        return run.report()


def plan(job: Job | Mapping[str, Any], *, progress: Progress | None = None) -> PlanReport:
    """Create the model if need be, look at the whole lake, and freeze what is to be trained.

    Raises as `train` does.
    """
    with opened(job, progress or Progress()) as run:
        pending = run.plan()
        return PlanReport(
            model=run.model.path,
            version=run.model.ledger.version,
            partitions=sum(len(group.partitions) for group in pending),
            rows=sum(group.rows for group in pending),
            bytes=sum({p.path: p.fingerprint.size for p in _all_partitions(pending)}.values()),
            created=run.created,
            warnings=run.warnings,
        )


def train_pending(
    job: Job | Mapping[str, Any],
    *,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> TrainReport:
    """Train planned partitions, stopping after the one in which `max_seconds` have passed.

    Raises as `train` does.
    """
    with opened(job, progress or Progress()) as run:
        run.train_pending(max_seconds)
        return run.report()


@contextmanager
def opened(
    job: Job | Mapping[str, Any], progress: Progress, *, creates: bool = True
) -> Iterator[Run]:
    """Hold a model for one run, as its only writer.

    Parameters
    ----------
    creates
        Whether a model that is not there yet is created.

    Raises as `train` does.
    """
    given = job.model_dump(include=job.model_fields_set) if isinstance(job, Job) else dict(job)
    directory = str(given.get("model") or parse_job(given).model)
    created, warnings = False, []
    if not model_exists(directory):
        _refuse_headless_log(directory)
        if "lake" not in given or not creates:
            raise ModelNotFound(f"no model in {directory!r}; to create one, give LAKE and --label")
        complete = parse_job(given)
        _check_holdout(complete)
        warnings = create_model(complete)
        created = True
    with open_store(directory).exclusive():
        model = open_model(directory)
        sweep(model.store, model.ledger)
        for rewound, partition in model.ledger.history.unwritten_skips():
            model.ledger.commit_skip(partition, exclusion(rewound))
        for warning in warnings:
            progress.noted(warning)
        resumed = _resumed(model, given)
        _check_holdout(resumed)
        with Workers(resumed.dask) as workers, threadpool_limits(1, "blas"):
            yield Run(model, resumed, workers, progress, created, warnings)


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
    # Before hours of training, not after.
    if job.holdout is not None:
        discover(job.holdout)


def _refuse_headless_log(directory: str) -> None:
    if open_store(directory).list("log"):
        open_model(directory)


def exclusion(entry: RewindEntry) -> str:
    """The reason that the log gives for partitions which a rewind has excluded."""
    return f"excluded by the rewind to version {entry.to}: {', '.join(entry.exclude)}"


def _all_partitions(groups: list[Group]) -> list[Partition]:
    return [partition for group in groups for partition in group.partitions]
