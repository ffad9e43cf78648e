"""What opening a session does: create or resume a model, and clear up after killed runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from onepass.errors import JobError, ModelNotFound
from onepass.job import Job
from onepass.job_fields import parse_job, resume_job
from onepass.job_holdout import RollingHoldout
from onepass.lake.tables.open import list_lake
from onepass.lake.tables.table import TableChoice
from onepass.ledger.entries import RewindEntry
from onepass.ledger.leftovers import sweep
from onepass.ledger.store import Store
from onepass.model.directory import OpenModel, model_exists, no_model
from onepass.model.labels import read_labels
from onepass.training.limits import Limits
from onepass.training.progress import Progress
from onepass.training.rolling_holdout import Window


def exclusion(entry: RewindEntry) -> str:
    """Return the reason of the skips of partitions that a rewind excludes."""
    return f"excluded by the rewind to version {entry.to}: {', '.join(entry.exclude)}"


def create(
    given: Mapping[str, Any],
    store: Store,
    limits: Limits,
    progress: Progress,
    today: date,
    *,
    creates: bool,
) -> list[str]:
    """Create the model of a complete job, and return the warnings about its lake.

    Raises
    ------
    ModelNotFound
        If the job has no lake, or the caller creates no models.
    """
    if not creates:
        raise no_model(store)
    if (several := read_labels(store)) is not None:
        raise ModelNotFound(f"{several.told(store.place)}; name one of them, or another directory")
    if "lake" not in given:
        raise ModelNotFound(f"no model in {store.place!r}; to create one, give LAKE and --label")
    # Imported here: the run of a model that exists needs no survey, whose modules take 0.1 s.
    from onepass.training.new_models import create_model

    complete = parse_job(given)
    check_holdout(complete)
    return create_model(
        complete,
        store,
        max_batch_rows=limits.max_batch_rows,
        progress=progress,
        window=Window.of_job(complete, today),
    )


def kept(store: Store, version: int) -> str:
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


def clear_up(model: OpenModel) -> None:
    """Remove old leftovers of killed runs, and commit the skips that a killed rewind has left."""
    sweep(model.store, model.ledger)
    for rewind, partition in model.ledger.history.unwritten_skips():
        model.ledger.commit_skip(partition, exclusion(rewind))


def resumed(model: OpenModel, given: Mapping[str, Any]) -> Job:
    """Return the job of a run of an existing model; see `resume_job`."""
    try:
        return resume_job(model.file.job, given)
    except JobError as error:
        if model.ledger.history.trained():
            raise
        raise JobError(
            f"{error}\nNothing has been trained yet: removing {model.path} loses nothing."
        ) from None


def check_holdout(job: Job) -> None:
    """Report a missing holdout lake before hours of training, not after."""
    if job.holdout is not None and not isinstance(job.holdout, RollingHoldout):
        list_lake(job.holdout, TableChoice(as_files=job.as_files))
