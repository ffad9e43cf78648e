"""How the memory limit of a job is shared out: libraries, learners, blocks, decoded row groups."""

from __future__ import annotations

from onepass.cloud.url import is_url
from onepass.encode.schema import Schema
from onepass.errors import JobError
from onepass.job import Job
from onepass.lake.limits import DEFAULT_LIMITS
from onepass.learn.learner import learner_bytes
from onepass.stream.workers import WINDOW
from onepass.training.resolve import candidate_settings

BASE_BYTES = 400 << 20
"""Resident memory of the interpreter and its libraries, Prefect included."""

MAX_BATCH_ROWS = 65_536
MIN_BATCH_ROWS = 1024

_BLOCKS = WINDOW + 2
"""Blocks at once: of each task under way, the one being waited for and the one being learnt."""


def fit_batch_rows(job: Job, schema: Schema) -> int:
    """Rows per block, as many as the memory limit allows.

    Parameters
    ----------
    job
        With every automatic choice made.

    Raises
    ------
    JobError
        If not even small blocks fit.
    """
    per_row = _decoded_bytes(schema) + _encoded_bytes(schema)
    free = _free_bytes(job, schema)
    rows = free // per_row
    if rows < MIN_BATCH_ROWS:
        needed = job.memory_limit_bytes - free + MIN_BATCH_ROWS * per_row
        raise JobError(
            f"--memory-limit {job.memory_limit} is too low for {schema.n_dense} dense and "
            f"{schema.n_hashed} hashed features: at least {needed / 2**20:.0f} MiB are needed"
        )
    return min(MAX_BATCH_ROWS, 1 << (int(rows).bit_length() - 1))


def whole_bytes(job: Job, schema: Schema, batch_rows: int) -> int:
    """Bytes that large row groups may take when they are decoded as a whole.

    Slices of them are views, so that blocks need no decoded rows of their own.
    """
    return max(0, _free_bytes(job, schema) - batch_rows * _encoded_bytes(schema))


def _free_bytes(job: Job, schema: Schema) -> int:
    limits = DEFAULT_LIMITS
    readers = limits.group_reader_bytes if job.interleave > 1 else limits.reader_bytes
    if any(map(is_url, [job.lake] if isinstance(job.lake, str) else job.lake)):
        readers += limits.remote_bytes
    learners = sum(learner_bytes(settings) for settings in candidate_settings(job, schema))
    return job.memory_limit_bytes - BASE_BYTES - readers - learners


def _decoded_bytes(schema: Schema) -> int:
    return _BLOCKS * 24 * len(schema.names(label=True))


def _encoded_bytes(schema: Schema) -> int:
    """Bytes of a row of the blocks under way, with what is needed to make them."""
    return _BLOCKS * (12 * schema.n_dense + 8 * schema.n_hashed + 48)
