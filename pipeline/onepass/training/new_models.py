"""Create models: survey the lake for each, agree on the size of blocks, freeze the results."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from onepass.encode.schema import Schema
from onepass.errors import JobError
from onepass.job import Job
from onepass.lake.rotation import Counted
from onepass.learn.losses import PROBABILITY, SEVERAL
from onepass.learn.newton.slots_prior import SlotPrior
from onepass.ledger.entries import FORMAT
from onepass.ledger.store import Store
from onepass.model.file import MODEL_KEY, ModelFile
from onepass.model.memory import MAX_BATCH_ROWS, fit_batch_rows, fit_spread_bytes
from onepass.model.prior import prior_of
from onepass.survey.survey import Survey
from onepass.text import shown
from onepass.training.create import decide, survey_job
from onepass.training.progress import Progress
from onepass.training.resolve import width_warnings
from onepass.training.rolling_holdout import Window
from onepass.wording import spoken

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decided:
    """A model that is to be created."""

    asked: Job
    """The job as it was given."""
    survey: Survey
    job: Job
    """The job with every automatic choice made."""
    schema: Schema


@dataclass(frozen=True, slots=True)
class Blocks:
    """The settings of models that decide on their blocks."""

    batch_rows: int
    spread_bytes: int | None


def create_model(
    job: Job,
    store: Store,
    *,
    max_batch_rows: int = MAX_BATCH_ROWS,
    progress: Progress | None = None,
    window: Window | None = None,
) -> list[str]:
    """Create the model of a job.

    If another process creates the model meanwhile, that model is kept.

    Parameters
    ----------
    store
        The model directory.
    max_batch_rows
        Upper bound of rows in a block.
    progress
        Receives how far the look at the labels has come.
    window
        Files of a rolling holdout, of which the model sees nothing.

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
    (warnings,) = create_models(
        [job], [store], max_batch_rows=max_batch_rows, progress=progress, window=window
    )
    return warnings


def create_models(
    jobs: Sequence[Job],
    stores: Sequence[Store],
    *,
    beside: Sequence[ModelFile] = (),
    decided: Callable[[], object] = lambda: None,
    max_batch_rows: int = MAX_BATCH_ROWS,
    progress: Progress | None = None,
    window: Window | None = None,
) -> list[list[str]]:
    """Create models that are to be trained together, so that one reading serves all of them.

    All of them are decided before the first is created.

    Parameters
    ----------
    jobs, stores
        Of each model, with the same lake and memory limit.
    beside
        Models of the same set that an earlier run has created.
    decided
        Called when all of them are decided, and none is created.

    Returns
    -------
    Warnings about the lake, of each model.

    Raises as `create_model`.
    """
    is_alone = len(jobs) + len(beside) == 1
    models = [_decide(one, progress or Progress(), window, is_alone=is_alone) for one in jobs]
    blocks = _blocks(models, beside, max_batch_rows)
    schemas = [one.schema for one in models] + [one.encoder for one in beside]
    decided()
    for one, store in zip(models, stores, strict=True):
        _create(one, blocks, _counted(one.schema, schemas), store)
    return [
        [*one.survey.warnings, *map(spoken, width_warnings(one.asked, one.job, one.schema))]
        for one in models
    ]


def _decide(
    job: Job, progress: Progress, window: Window | None, *, is_alone: bool = True
) -> Decided:
    found = survey_job(job, progress, window)
    try:
        return Decided(job, found, *decide(job, found))
    except JobError as error:
        if is_alone:
            raise
        raise JobError(
            f"label {shown(job.label)}: {error}\nOptions hold for all labels; train a label that "
            "needs others by itself, with --label and --exclude."
        ) from None


def _blocks(decided: Sequence[Decided], beside: Sequence[ModelFile], max_batch_rows: int) -> Blocks:
    """Return settings for which all models fit into memory at the same time."""
    models = [(one.job, one.schema) for one in decided]
    first, *others = [*models, *((one.job, one.encoder) for one in beside)]
    widths = {name: width for one in decided for name, width in one.survey.widths.items()}
    batch_rows = fit_batch_rows(*first, max_batch_rows=max_batch_rows, widths=widths, beside=others)
    if beside and beside[0].batch_rows <= batch_rows:
        return Blocks(beside[0].batch_rows, beside[0].spread_bytes)
    # If labels drift, blocks that resemble each other are worth a temporary file.
    drifts = any(one.survey.label is not None and one.survey.label.drift > 0 for one in decided)
    spread_bytes = None if drifts else fit_spread_bytes(*first, batch_rows, others)
    return Blocks(batch_rows, spread_bytes)


def _counted(own: Schema, schemas: Sequence[Schema]) -> Counted:
    """Return the columns of all models that this one does not read, or not as texts."""
    names = {name for one in schemas for name in one.names(label=True)}
    texts = {name for one in schemas for name in one.text_names()}
    return Counted(
        tuple(sorted(names - {*own.names(label=True)})),
        tuple(sorted(texts - {*own.text_names()})),
    )


def _slot_prior(job: Job) -> SlotPrior:
    if job.epochs > 1:
        # Rows that were learnt before tell nothing about the loss of new ones.
        return "believed"
    # The bound is for rare positives. It made the squared loss of wages by person 0.2 % higher.
    return "bounded" if job.loss in PROBABILITY | SEVERAL else "widened"


def _create(one: Decided, blocks: Blocks, counted: Counted, store: Store) -> None:
    job, schema = one.job, one.schema
    content = ModelFile(
        format=FORMAT,
        id=uuid.uuid4().hex,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        job=job,
        encoder=schema,
        batch_rows=blocks.batch_rows,
        spread_bytes=blocks.spread_bytes,
        counted=counted,
        start="careful",
        pass_over="columns",
        keeps="ordered_likelihood" if job.loss == "ordinal" else "likelihood",
        slot_prior=_slot_prior(job),
        slot_margins="uncertain",
        weighted_slots="once",
        saturated="settled",
        taken=one.survey.taken,
        prior=prior_of(job.prior, job.loss, schema) if job.prior else None,
    )
    data = content.model_dump_json(indent=2).encode() + b"\n"
    if not store.create(MODEL_KEY, data):
        logger.warning("another process has created %s meanwhile; going on with it", job.model)
