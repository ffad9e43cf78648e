"""Share out the memory limit of a job: libraries, learners, blocks, decoded row groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import TypeAlias

from onepass.cloud.url import is_url
from onepass.encode.schema import Schema
from onepass.errors import JobError
from onepass.job import Job
from onepass.lake.limits import DEFAULT_LIMITS
from onepass.learn.heads import learner_bytes
from onepass.model.settings import candidate_settings
from onepass.partition import Fingerprint
from onepass.stream.threads import WINDOW

Models: TypeAlias = "Sequence[tuple[Job, Schema]]"
"""Jobs and schemas of the models that learn the same rows beside a model: all of them are in memory
at the same time."""

BASE_BYTES = 400 << 20
"""Resident memory of the interpreter and its libraries, Prefect included."""

MAX_BATCH_ROWS = 65_536
"""Maximum number of rows in a block."""

SPREAD_BYTES = 256 << 20
"""Maximum bytes of row groups whose rows are spread over blocks where the label does not drift.

The bound is below what the default memory limit allows, so most limits lead to the same order."""

MIN_BATCH_ROWS = 1024
"""Minimum number of rows in a block that the memory limit must allow."""

MIN_SPARSE_ROWS = 64
"""The same for rows with entries: there may be thousands of them in a row."""

_BLOCKS = WINDOW + 2
"""Blocks in memory at once: those of the tasks in the window, the one that the consumer waits for,
and the one that is being learnt."""

_SHARE_BLOCKS = 2
"""Blocks in memory at once in a task that reads a whole partition: the one that is made, and the
one before it."""

_DECODED = 8
"""Bytes of decoded rows for each byte of a file, at most, unless few distinct values repeat."""

_COLUMN_BYTES = 24
"""Minimum bytes of a decoded value: a number and its copies, or a short text."""

_ENTRY_BYTES = 32
"""Bytes of an entry of a sparse row: its code, slot and value as they are encoded and gathered."""


def fit_batch_rows(
    job: Job,
    schema: Schema,
    *,
    max_batch_rows: int = MAX_BATCH_ROWS,
    widths: Mapping[str, float] | None = None,
    beside: Models = (),
) -> int:
    """Return the number of rows in a block: as many as the memory limit allows.

    Parameters
    ----------
    job
        A job in which every automatic choice has been made.
    widths
        Mean bytes of a value of each column in the lake; texts may be long.
    max_batch_rows
        Upper bound; the result is a power of two unless it is this bound.
    beside
        See `Models`.

    Raises
    ------
    JobError
        If not even small blocks fit.
    """
    schemas = _schemas(schema, beside)
    per_row = _decoded_bytes(schemas, widths or {}) + sum(map(_encoded_bytes, schemas))
    free = _free_bytes(job, schema, beside)
    rows = free // per_row
    least = MIN_SPARSE_ROWS if schema.has_entries else MIN_BATCH_ROWS
    if rows < least:
        needed = job.memory_limit - free + least * per_row
        each = f" of each of {len(schemas)} models" if beside else ""
        raise JobError(
            f"--memory-limit {job.memory_limit.human_readable()} is too low for {schema.n_dense} "
            f"dense and {schema.n_selected} hashed features{each}: at least "
            f"{ceil(needed / 2**20)} MiB are needed"
        )
    return min(max_batch_rows, 1 << (int(rows).bit_length() - 1))


def fit_spread_bytes(job: Job, schema: Schema, batch_rows: int, beside: Models = ()) -> int:
    """Return the bytes of row groups up to which their rows are spread over blocks.

    Spreading the rows of row groups that fit into memory costs next to nothing. Others need a
    temporary file of the size of their decoded rows.
    """
    return min(SPREAD_BYTES, whole_bytes(job, schema, batch_rows, beside))


def whole_bytes(job: Job, schema: Schema, batch_rows: int, beside: Models = ()) -> int:
    """Return the bytes in which large row groups may be decoded as a whole.

    Blocks of such a row group are views of it, so they need no decoded rows of their own.
    """
    encoded = sum(map(_encoded_bytes, _schemas(schema, beside)))
    return max(0, _free_bytes(job, schema, beside) - batch_rows * encoded)


def partitions_at_once(
    job: Job,
    schema: Schema,
    batch_rows: int,
    files: Iterable[Fingerprint],
    *,
    is_remote: bool = False,
    result_bytes: int = 0,
) -> int:
    """Return the number of partitions that tasks may read at once, at least 1.

    It changes no block, so it may depend on the lake as it is now.

    Parameters
    ----------
    files
        Files to read.
    is_remote
        Whether a file is in an object store.
    result_bytes
        Size of the result of a task.
    """
    limits = DEFAULT_LIMITS
    per_row = (_decoded_bytes([schema], {}) + _encoded_bytes(schema)) // _BLOCKS
    block = max((_block_bytes(one, batch_rows, per_row) for one in files), default=0)
    # A task adds the value of one block to that of the blocks before.
    task = _SHARE_BLOCKS * block + limits.reader_bytes + 2 * result_bytes
    task += limits.remote_bytes // 2 if is_remote else 0
    return max(1, _free_bytes(job, schema) // task)


def _block_bytes(file: Fingerprint, batch_rows: int, per_row: int) -> int:
    """Return the bytes of the largest block of a file."""
    stored = _DECODED * file.size // max(1, file.rows)
    return min(batch_rows, file.rows) * max(per_row, stored)


def fit_shares(
    job: Job, schema: Schema, batch_rows: int, n_threads: int, beside: Models = ()
) -> tuple[int, int]:
    """Return how many shares of a round fit into memory at once, and `whole_bytes` of each.

    Each share has a learner, open decoders and blocks of its own, beside the learner from which the
    round begins. There is one share at least. Neither number changes the bytes of a model.

    Parameters
    ----------
    n_threads
        Most shares at once.
    beside
        See `Models`; each share learns with all of them.
    """
    schemas = _schemas(schema, beside)
    per_row = _decoded_bytes(schemas, {}) + sum(map(_encoded_bytes, schemas))
    learners = _learners_bytes(job, schema, beside)
    one = learners + _reader_bytes(job) + batch_rows * per_row * _SHARE_BLOCKS // _BLOCKS
    # A share opens no decoders of a next group, which half of these bytes are for.
    one += _remote_bytes(job) // 2
    free = job.memory_limit - BASE_BYTES - learners
    n_shares = max(1, min(n_threads, free // one))
    return n_shares, max(0, free // n_shares - one)


def _free_bytes(job: Job, schema: Schema, beside: Models = ()) -> int:
    taken = _reader_bytes(job) + _remote_bytes(job) + _learners_bytes(job, schema, beside)
    return job.memory_limit - BASE_BYTES - taken


def _reader_bytes(job: Job) -> int:
    """Return the memory for the open decoders of one group."""
    limits = DEFAULT_LIMITS
    return limits.group_reader_bytes if job.interleave > 1 else limits.reader_bytes


def _remote_bytes(job: Job) -> int:
    """Return the memory for what all decoders buffer from an object store."""
    lakes = [job.lake] if isinstance(job.lake, str) else job.lake
    return DEFAULT_LIMITS.remote_bytes if any(map(is_url, lakes)) else 0


def _learners_bytes(job: Job, schema: Schema, beside: Models = ()) -> int:
    models = [(job, schema), *beside]
    return sum(learner_bytes(settings) for one in models for settings in candidate_settings(*one))


def _schemas(schema: Schema, beside: Models) -> list[Schema]:
    return [schema, *(other for _, other in beside)]


def _decoded_bytes(schemas: Iterable[Schema], widths: Mapping[str, float]) -> int:
    """Return the bytes of one decoded row in all blocks that are in memory at once."""
    names = {name for schema in schemas for name in schema.names(label=True)}
    return int(_BLOCKS * sum(max(_COLUMN_BYTES, widths.get(name, 0.0)) for name in names))


def _encoded_bytes(schema: Schema) -> int:
    """Return the bytes of one encoded row in all blocks, temporary arrays included."""
    entries = ceil(sum(column.entries_per_row for column in schema.columns))
    return _BLOCKS * (12 * schema.n_dense + 8 * schema.n_hashed + _ENTRY_BYTES * entries + 48)
