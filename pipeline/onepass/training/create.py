"""Create a model: survey the lake, resolve every automatic choice, freeze the result."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime

from onepass.encode.schema import Hashed, OneHot, Schema
from onepass.errors import DataError, JobError
from onepass.job import Job
from onepass.ledger.entries import FORMAT
from onepass.ledger.store import Store
from onepass.model.file import MODEL_KEY, ModelFile
from onepass.model.memory import MAX_BATCH_ROWS, fit_batch_rows
from onepass.survey.profile import Choice
from onepass.survey.survey import Survey, survey
from onepass.training.resolve import DEFAULT_HASH_BITS, implied_loss, resolve

MOST_LISTED = 8
"""Maximum levels of a category that newton keeps as 0/1 features where other columns are hashed."""

logger = logging.getLogger(__name__)


def create_model(job: Job, store: Store, *, max_batch_rows: int = MAX_BATCH_ROWS) -> list[str]:
    """Create the model of a job.

    If another process creates the model meanwhile, that model is kept.

    Parameters
    ----------
    store
        The model directory.
    max_batch_rows
        Upper bound of rows in a block.

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
        batch_rows=fit_batch_rows(resolved, schema, max_batch_rows=max_batch_rows),
    )
    data = content.model_dump_json(indent=2).encode() + b"\n"
    if not store.create(MODEL_KEY, data):
        logger.warning("another process has created %s meanwhile; going on with it", job.model)
    return found.warnings


def _hashed(schema: Schema, solver: str) -> Schema:
    """Hash one-hot categories of many levels as well, if other columns are hashed anyway.

    A hashed column costs one slot for each row. A one-hot column costs a dense feature for each
    level, although most of these are 0 in any row. Newton is more exact on one-hot levels, but its
    cost grows with the square of their number.
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
    """Survey the lake of a job."""
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
        tails=job.tails,
    )


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
