"""Validate the fields of a job, and combine those of a run with the frozen job of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from onepass.errors import JobError
from onepass.job import Job
from onepass.job_faults import as_written, explained
from onepass.jobfile import unfolded
from onepass.text import clipped

PER_RUN = frozenset(
    {
        "model",
        "holdout",
        "lake_version",
        "lake_timestamp",
        "memory_limit",
        "on_bad",
        "on_changed",
        "check",
        "max_loss_increase",
        "keep_states",
        "dask",
        "mixed_workers",
        "group_seconds",
    }
)
"""Fields that steer a single run. All other fields define the model and are frozen with it."""

_AUTOMATIC = frozenset({"learning_rate", "classes"})
"""Fields in which an empty list asks for the choice that creating the model makes."""


def parse_job(values: Mapping[str, Any]) -> Job:
    """Validate fields as a job.

    Raises
    ------
    JobError
        If a field is missing, unknown or unusable; the message names each such field in one line.
    """
    try:
        return Job.model_validate(_unfolded(values))
    except ValidationError as error:
        raise JobError(explained(error, field_names())) from None


def resume_job(frozen: Job, given: Mapping[str, Any]) -> Job:
    """Combine the frozen job of a model with the fields that a run gives.

    Returns
    -------
    The frozen job with the fields of `given` that steer a single run.

    Raises
    ------
    JobError
        If a given field contradicts the frozen job; the message shows both values. A field that is
        left out or left to an automatic choice does not contradict. A list of files may be another
        list, because the ledger identifies files by their paths.

    Notes
    -----
    The address of a Dask scheduler is never taken from the model: workers run the code that a
    scheduler sends them, and the directory may be a stranger's. What its workers may be is not
    either. The version of a table is that of one run: the next run reads the newest again.
    """
    given = _unfolded(given)
    own = {"dask": None, "mixed_workers": False, "lake_version": None, "lake_timestamp": None}
    asked = parse_job(frozen.model_dump() | own | given)
    lines = []
    for name in sorted(set(given) - PER_RUN):
        ours, theirs = getattr(frozen, name), getattr(asked, name)
        automatic = theirs is None or theirs == "auto" or (theirs == [] and name in _AUTOMATIC)
        grows = name == "lake" and isinstance(ours, list) and isinstance(theirs, list)
        if not (automatic or grows or ours == theirs):
            lines.append(
                f"  {name}: the model has {_shown(ours)}, this run asks for {_shown(theirs)}"
            )
    if lines:
        raise JobError(
            f"the model in {asked.model} was created by a different job:\n"
            + "\n".join(lines)
            + "\nLeave these out to go on with the model, or create a new one with another --model."
        )
    automatic_fields = {n: getattr(frozen, n) for n in given if n not in PER_RUN | {"lake"}}
    return asked.model_copy(update=automatic_fields)


def _unfolded(values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return unfolded(values)
    except ValueError as error:
        raise JobError(clipped(str(error))) from None


def _shown(value: Any) -> str:
    return as_written(value[0] if isinstance(value, list) and len(value) == 1 else value)


def field_names() -> Iterable[str]:
    """Return the names of all job fields, in the order of their definition."""
    return Job.model_fields
