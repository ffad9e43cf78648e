"""Which version of a table a job or an action reads."""

from __future__ import annotations

from onepass.job import Job
from onepass.lake.tables.table import TableChoice


def table_choice(
    job: Job,
    *,
    version: int | None = None,
    timestamp: str | None = None,
    as_files: bool | None = None,
) -> TableChoice:
    """Return the version of a table to read, for an action on a model.

    Parameters
    ----------
    job
        The frozen job of the model.
    version, timestamp
        As the fields of a job, `lake_version` and `lake_timestamp`; those of training do not count.
    as_files
        Whether to read bare files; as the job does, by default.
    """
    return TableChoice(version, timestamp, job.as_files if as_files is None else as_files)


def trained_choice(job: Job) -> TableChoice:
    """Return the version of a table that a run of training reads."""
    return TableChoice(job.lake_version, job.lake_timestamp, job.as_files)
