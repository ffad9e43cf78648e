"""Decide on a new model: survey the lake, and make every automatic choice of its job."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from onepass.encode.nested_kinds import Bag, HashedBag
from onepass.encode.scalar_kinds import Hashed, OneHot
from onepass.encode.schema import Column, Schema
from onepass.encode.shapes import Cross
from onepass.errors import DataError, JobError
from onepass.job import Job
from onepass.lake.discover import LakeFile
from onepass.lake.tables.open import open_lake
from onepass.model.penalties import check_penalties
from onepass.model.table_choice import trained_choice
from onepass.survey.choice import Choice
from onepass.survey.survey import Survey, survey
from onepass.text import clipped, listed, percent
from onepass.training.class_weights import weighted_label
from onepass.training.progress import Progress
from onepass.training.resolve import DEFAULT_HASH_BITS, implied_loss, resolve
from onepass.training.rolling_holdout import Window
from onepass.training.table_news import in_order

MOST_LISTED = 8
"""Maximum levels of a category that newton keeps as 0/1 features where other columns are hashed."""

_MOST_NAMED = 8
"""Maximum number of columns that a message names."""

_SLOTS_PER_COMBINATION, _MOST_HASH_BITS = 8, 22
"""Slots for each combination that the sample has of crossed columns, and log2 of the most slots
that they get unasked."""


def decide(job: Job, found: Survey) -> tuple[Job, Schema]:
    """Return the job with every automatic choice made, and how rows become numbers.

    Parameters
    ----------
    found
        Survey of the job's lake, with its label.

    Raises
    ------
    JobError
        If the job does not suit the lake.
    DataError
        If labels are null.
    """
    schema = _schema(job, found)
    assert found.label is not None
    resolved = resolve(job, found.label, schema, found.n_partitions)
    schema = _hashed(schema, resolved.solver).model_copy(update={"hash_bits": resolved.hash_bits})
    check_penalties(resolved, schema)
    return resolved, schema


def _hashed(schema: Schema, solver: str) -> Schema:
    """Hash one-hot categories of many levels as well, if other columns are hashed anyway.

    A hashed column costs one slot for each row. A one-hot column costs a dense feature for each
    level, although most of these are 0 in any row. Newton is more exact on one-hot levels, but its
    cost grows with the square of their number.
    """
    most = MOST_LISTED if solver == "newton" else 2
    if not schema.n_slots:
        return schema
    columns = [_hashed_column(column, most) for column in schema.columns]
    return schema.model_copy(update={"columns": columns})


def _hashed_column(column: Column, most: int) -> Column:
    if isinstance(column, OneHot) and column.family != "bool" and len(column.levels) > most:
        return Hashed(
            name=column.name,
            family=column.family,
            whole=column.whole,
            text=column.text,
            blank_is_null=column.blank_is_null,
            missing_texts=column.missing_texts,
        )
    if isinstance(column, Bag) and len(column.levels) > most:
        return HashedBag(
            name=column.name,
            family=column.family,
            counted=column.counted,
            per_row=column.per_row,
        )
    return column


def choice_of(job: Job) -> Choice:
    """Return what a job says of the use of columns."""
    return Choice(
        tuple(job.features),
        tuple(job.exclude),
        tuple(job.numeric),
        tuple(job.categorical),
        tuple(job.sparse),
        tuple(job.bag_counts),
        crosses=tuple(job.crosses),
        curves=tuple(job.curves),
        log=tuple(job.log),
        cuts=tuple(job.cuts),
        time_format=job.time_format,
        timezone=job.timezone,
        missing=tuple(job.missing),
    )


def _outside(window: Window, job: Job, files: Sequence[LakeFile]) -> list[LakeFile]:
    """Return the files of a lake that are not held out."""
    table = None
    if window.rule.last is not None:
        table = open_lake(job.lake, trained_choice(job)).table
    if table is None:
        return window.before_survey(files)
    left = window.before_survey(in_order(table, files), is_ordered=True)
    return sorted(left, key=lambda one: one.key)


def survey_job(
    job: Job,
    progress: Progress | None = None,
    window: Window | None = None,
) -> Survey:
    """Survey the lake of a job.

    Parameters
    ----------
    progress
        Receives how far the reading of footers and the look at the labels have come.
    window
        Files of a rolling holdout, which are left out.
    """
    progress = progress or Progress()
    return survey(
        job.lake,
        label=job.label,
        weight=job.weight,
        offset=job.offset,
        exposure=job.exposure,
        cluster=job.cluster,
        fold_by=job.fold_by,
        choice=choice_of(job),
        loss=implied_loss(job),
        classes=job.classes,
        unknown_class=job.unknown_class,
        on_missing_column=job.on_missing_column,
        looked=progress.looked,
        compared=progress.compared,
        left=None if window is None else partial(_outside, window, job),
        seed=job.seed,
        selection=job.selection,
        skip_bad=job.on_bad != "error",
        interleaves=job.interleave > 1,
        drops_null_labels=job.on_null_label == "drop",
        tails=job.tails,
        dask=job.dask,
        table=trained_choice(job),
    )


def _schema(job: Job, found: Survey) -> Schema:
    label = found.label
    assert label is not None
    if label.null_share and job.on_null_label == "error":
        raise DataError(
            f"{percent(label.null_share)} of the labels ({job.label!r}) are {label.null}\n"
            "Drop such rows with --on-null-label drop (they are counted), or repair the lake."
            + (" A word that --classes names is a class." if "'" in label.null else "")
        )
    columns = [column.use for column in found.columns if column.use is not None]
    if not columns:
        left = [f"{column.name!r}: {clipped(column.reason)}" for column in found.columns]
        why = f" ({listed(left, _MOST_NAMED, '; ')})" if left else ""
        raise JobError(
            f"no column is left to learn from{why}; see: onepass inspect LAKE --label COLUMN"
        )
    used = set(_source_names(columns))
    return Schema(
        columns=columns,
        label=weighted_label(job, label),
        weight=job.weight,
        offset=job.offset,
        exposure=job.exposure,
        cluster=job.cluster,
        folds=job.folds,
        fold_by=job.fold_by,
        hash_bits=job.hash_bits or _hash_bits(found),
        hive={name: kind for name, kind in found.hive.items() if name in used},
        optional=[one for one in dict.fromkeys(_source_names(columns)) if one in found.optional],
        int96="us",
    )


def _source_names(columns: list[Column]) -> list[str]:
    return [name for column in columns for name in column.source_names]


def _hash_bits(found: Survey) -> int:
    """Return log2 of the number of hashed weights: crosses may have more levels than columns have.

    Combinations of the sample share few slots, and those that the sample lacks find some.
    """
    n_combinations = sum(one.distinct for one in found.columns if isinstance(one.use, Cross))
    wanted = math.ceil(math.log2(_SLOTS_PER_COMBINATION * max(1, n_combinations)))
    return min(max(DEFAULT_HASH_BITS, wanted), _MOST_HASH_BITS)
