"""Create a model: survey the lake, resolve every automatic choice, freeze the result."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime

from pipeline.cloud.url import is_url
from pipeline.directory import MODEL_KEY, ModelFile
from pipeline.encode.profile import Choice
from pipeline.encode.schema import Hashed, OneHot, Schema
from pipeline.errors import DataError, JobError
from pipeline.job import Job
from pipeline.lake.cursors import GROUP_READER_BYTES, READER_BYTES
from pipeline.lake.read import REMOTE_BYTES
from pipeline.learn.memory import learner_bytes
from pipeline.ledger.entries import FORMAT
from pipeline.ledger.store import open_store
from pipeline.resolve import DEFAULT_HASH_BITS, candidate_settings, implied_loss, resolve
from pipeline.stream import memory_per_row
from pipeline.survey import Survey, survey

BASE_BYTES = 400 << 20
"""Resident memory of the interpreter and its libraries, Prefect included."""

MAX_BATCH_ROWS = 32_768
MIN_BATCH_ROWS = 1024

MOST_LISTED = 8
"""Levels of a category that newton has as features of their own, in a lake with hashed columns."""

logger = logging.getLogger(__name__)


def create_model(job: Job) -> list[str]:
    """Create the model directory of a job.

    Returns
    -------
    Warnings about the lake.

    Raises
    ------
    JobError
        If the job does not suit the lake, or the memory limit is too low for its width.
    DataError
        If the lake has files that cannot be used, or labels that are null.
    """
    found = survey_job(job)
    schema = _schema(job, found)
    assert found.label is not None
    resolved = resolve(job, found.label, schema)
    schema = _hashed(schema, resolved.solver).model_copy(update={"hash_bits": resolved.hash_bits})
    content = ModelFile(
        format=FORMAT,
        id=uuid.uuid4().hex,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        job=resolved,
        encoder=schema,
        batch_rows=fit_batch_rows(resolved, schema),
    )
    data = content.model_dump_json(indent=2).encode() + b"\n"
    if not open_store(job.model).create(MODEL_KEY, data):
        logger.warning("another process has created %s meanwhile; going on with it", job.model)
    return found.warnings


def _hashed(schema: Schema, solver: str) -> Schema:
    """Hash listed categories, too, where some are hashed anyway and a listed one is dear.

    To the first-order solvers a level is a slot or a column full of zeros, which costs as much as
    the number of levels. Newton is more exact on listed levels, but takes their number squared.
    """
    most = MOST_LISTED if solver == "newton" else 2
    if not schema.n_hashed:
        return schema
    columns = [
        Hashed(name=column.name, family=column.family)
        if isinstance(column, OneHot) and column.family != "bool" and len(column.levels) > most
        else column
        for column in schema.columns
    ]
    return schema.model_copy(update={"columns": columns})


def survey_job(job: Job) -> Survey:
    """The survey that a job asks for."""
    choice = Choice(
        tuple(job.features), tuple(job.exclude), tuple(job.numeric), tuple(job.categorical)
    )
    return survey(
        job.lake,
        label=job.label,
        weight=job.weight,
        choice=choice,
        loss=implied_loss(job),
        classes=job.classes,
        seed=job.seed,
        skip_bad=job.on_bad == "skip",
        interleaves=job.interleave > 1,
    )


def fit_batch_rows(job: Job, schema: Schema) -> int:
    """Rows per block, as many as the memory limit allows.

    Raises
    ------
    JobError
        If not even small blocks fit.
    """
    per_row = memory_per_row(len(schema.names(label=True)), schema.n_dense, schema.n_hashed)
    readers = GROUP_READER_BYTES if job.interleave > 1 else READER_BYTES
    if any(map(is_url, [job.lake] if isinstance(job.lake, str) else job.lake)):
        readers += REMOTE_BYTES
    free = job.memory_limit_bytes - BASE_BYTES - readers - _learners_bytes(job, schema)
    rows = free // per_row
    if rows < MIN_BATCH_ROWS:
        needed = job.memory_limit_bytes - free + MIN_BATCH_ROWS * per_row
        raise JobError(
            f"--memory-limit {job.memory_limit} is too low for {schema.n_dense} dense and "
            f"{schema.n_hashed} hashed features: at least {needed / 2**20:.0f} MiB are needed"
        )
    return min(MAX_BATCH_ROWS, 1 << (int(rows).bit_length() - 1))


def _schema(job: Job, found: Survey) -> Schema:
    label = found.label
    assert label is not None
    if label.null_share and job.on_null_label == "error":
        raise DataError(
            f"{label.null_share:.1%} of the sampled labels ({job.label!r}) are null or NaN\n"
            "Drop such rows with --on-null-label drop (they are counted), or repair the lake."
        )
    columns = [column.use for column in found.columns if column.use is not None]
    if not columns:
        raise JobError("no column is left to learn from; see: onepass inspect LAKE --label COLUMN")
    used = {column.name for column in columns} | {job.weight}
    return Schema(
        columns=columns,
        label=label.label,
        weight=job.weight,
        hash_bits=job.hash_bits or DEFAULT_HASH_BITS,
        hive={name: kind for name, kind in found.hive.items() if name in used},
    )


def _learners_bytes(job: Job, schema: Schema) -> int:
    return sum(learner_bytes(settings) for settings in candidate_settings(job, schema))
