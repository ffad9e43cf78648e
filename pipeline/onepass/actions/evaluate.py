"""Evaluate a model on a lake with labels."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from onepass.environment import peak_rss_bytes
from onepass.errors import EmptyLake
from onepass.lake.discover import Lake, LakeFile
from onepass.lake.tables.open import files_of
from onepass.lake.tables.table import TableChoice
from onepass.learn.metrics import Metrics, Tables
from onepass.learn.metrics.beside import judged
from onepass.learn.metrics.quantile import middle
from onepass.learn.metrics.residuals import Residuals
from onepass.learn.unit import LabelUnit
from onepass.ledger.store import Store
from onepass.model.directory import open_model
from onepass.model.evaluations import Evaluation, digest_of, find, shown_lake
from onepass.model.evaluations import record as keep
from onepass.model.file import ModelFile
from onepass.model.predictor import Predictor, predicted
from onepass.model.table_choice import table_choice
from onepass.model.versions import read_predictor
from onepass.stream.advised import advised
from onepass.stream.fold import Fold, folded
from onepass.stream.lake_groups import check_files
from onepass.stream.reading import Streamed
from onepass.stream.workers import Workers
from onepass.text import listed
from onepass.training.progress import Progress
from onepass.training.report import finite, finite_values

_ADVICE = "Repair the file or take it out of the lake: metrics of a part of it would mislead."

_MOST_NAMED = 4
"""Most files that a message names."""


class EvaluateReport(BaseModel):
    """Quality of a model's predictions on a lake."""

    model: str
    """Model directory."""
    version: int
    """Version that was evaluated."""
    rows: int
    """Rows with a label."""
    loss: float
    """The job's loss, weighted mean per row."""
    metrics: dict[str, float | None]
    """Metrics that are single numbers, by name."""
    tables: dict[str, list[dict[str, float | str | None]]]
    """Rows of each metric that is a table: calibration, quantiles, classes."""
    counts: dict[str, int]
    """Dropped rows and treated values by kind."""
    seconds: float
    rows_per_second: float
    peak_rss_bytes: int
    recorded: str | None = None
    """Key of the record of this evaluation in the model directory; None if there is none."""


def evaluate(
    lake: str | list[str],
    model: str | Path,
    *,
    version: int | str | None = None,
    record: bool = False,
    again: bool = False,
    lake_version: int | None = None,
    lake_timestamp: str | None = None,
    as_files: bool | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
) -> EvaluateReport:
    """Predict every row of a lake and compare the predictions with the labels.

    Parameters
    ----------
    lake
        Directory, glob, file or list of files, with the columns that the model was trained on.
    model
        Model directory.
    version
        See `Model.load`.
    record
        Whether to keep the result in the model directory. If it has the same state on the same
        files already, the rows are not read again.
    again
        Whether to read the rows and record the result even so.
    lake_version, lake_timestamp, as_files
        As in a job; the newest version of a table, and files or table as in training, by default.
    dask
        Address of a Dask scheduler; threads of this process by default.

    Raises
    ------
    ModelNotFound, JobError
        If there is no trained model or no such lake.
    DataError
        If a file is bad or there is no row with a label.
    """
    opened = open_model(model)
    predictor = read_predictor(opened, version)
    store = opened.store if record else None
    choice = table_choice(
        opened.file.job, version=lake_version, timestamp=lake_timestamp, as_files=as_files
    )
    return evaluate_version(
        predictor, lake, str(model),
        choice=choice, store=store, again=again, dask=dask, progress=progress,
    )  # fmt: skip


@advised(_ADVICE)
def evaluate_version(
    predictor: Predictor,
    lake: Lake,
    model: str,
    *,
    choice: TableChoice | None = None,
    store: Store | None = None,
    again: bool = False,
    dask: str | None = None,
    progress: Progress | None = None,
    residuals: bool = False,
) -> EvaluateReport:
    """Evaluate one version of a model; see `evaluate`.

    Parameters
    ----------
    lake
        As for `evaluate`; or files that are listed already, such as those of a rolling holdout.
    model
        Model directory, for the report.
    choice
        Version of the table to read, if the lake is one; the newest by default.
    store
        The model directory, to record the evaluation in or to take it from; None for neither.
    again
        See `evaluate`.
    residuals
        Whether the tables of a regression include its residuals, by tenths of the predictions.
        Those of a record always do.
    """
    began, progress = time.perf_counter(), progress or Progress()
    reading = predictor.reading(label=True, selects=True)
    with Workers(dask, mixed=True) as workers:
        checked = check_files(files_of(lake, choice), reading, workers)
        files_sha256 = digest_of((file.key, file.fingerprint) for file in checked.files)
        state_sha256, version = predictor.entry.state.sha256, predictor.entry.version
        known = None
        if store is not None and not again:
            known = find(store, version, state_sha256, files_sha256)
        if known is not None:
            return _report(known[1], model, key=known[0])
        progress.started(len(checked.files), checked.n_rows)
        parts = [part for file in checked.files for part in checked.placed(file)]
        wanted = residuals or store is not None
        measure = partial(_measure, predictor.file, predictor.unit, residuals=wanted)
        fold = Fold(predictor.readers(checked, reading), measure)
        found = folded(parts, fold, workers, progress.advanced)
    shape = predictor.unit.losses[0].shape
    metrics = predictor.file.metrics(shape) if found is None else found.metrics
    if not np.isfinite(metrics.loss()):
        label = predictor.file.job.label
        raise EmptyLake(f"the lake {_named(lake)} has no row with a label {label!r} and a weight")
    evaluation = Evaluation(
        version=version,
        state_sha256=state_sha256,
        lake=shown_lake(_shown(lake)),
        files_sha256=files_sha256,
        files=len(checked.files),
        rows=metrics.n_rows,
        loss=metrics.loss(),
        metrics=finite_values(metrics),
        tables=_finite_tables(metrics.tables() | ({} if found is None else found.residual_table())),
        counts={} if found is None else dict(found.counts),
        seconds=time.perf_counter() - began,
    )
    key = None if store is None else keep(store, evaluation)
    return _report(evaluation, model, key=key)


def _report(evaluation: Evaluation, model: str, *, key: str | None) -> EvaluateReport:
    return EvaluateReport(
        model=model,
        version=evaluation.version,
        rows=evaluation.rows,
        loss=evaluation.loss,
        metrics=evaluation.metrics,
        tables=evaluation.tables,
        counts=evaluation.counts,
        seconds=evaluation.seconds,
        rows_per_second=evaluation.rows / evaluation.seconds if evaluation.seconds > 0 else 0.0,
        peak_rss_bytes=peak_rss_bytes(),
        recorded=key,
    )


def _named(lake: Lake) -> str:
    files = [one.key for one in lake if isinstance(one, LakeFile)]
    return f"of the holdout ({listed(files, _MOST_NAMED)})" if files else repr(lake)


def _shown(lake: Lake) -> str | list[str]:
    if isinstance(lake, str):
        return lake
    return [one.key if isinstance(one, LakeFile) else one for one in lake]


@dataclass(frozen=True, slots=True)
class _Measured:
    """Metrics of some rows, with the counts of what was noticed in them."""

    metrics: Metrics
    counts: Counter[str]
    residuals: Residuals | None

    @property
    def n_rows(self) -> int:
        """Number of rows with a label."""
        return self.metrics.n_rows

    def add(self, later: _Measured) -> None:
        """Add the metrics and counts of later rows."""
        self.metrics.merge(later.metrics)
        self.counts.update(later.counts)
        if self.residuals is not None and later.residuals is not None:
            self.residuals.merge(later.residuals)

    def residual_table(self) -> Tables:
        """Return the table of residuals, if they were measured."""
        return {} if self.residuals is None else {"residuals": self.residuals.tenths()}


def _measure(file: ModelFile, unit: LabelUnit, streamed: Streamed, *, residuals: bool) -> _Measured:
    block, metrics = streamed.encoded.block, file.metrics(unit.losses[0].shape)
    sample = Residuals() if residuals and file.encoder.label.classes is None else None
    # An overflow makes an infinite prediction, whose error shows in the metrics.
    with np.errstate(over="ignore", invalid="ignore"):
        prediction = predicted(streamed.encoded, unit)
        metrics.add(*judged(prediction, block, file.job.loss), block.weight)
    if sample is not None:
        several = prediction.ndim > 1
        one = prediction[:, middle(file.job.quantile)] if several else prediction
        sample.add(one, block.label, block.weight)
    return _Measured(metrics, streamed.encoded.counts, sample)


def _finite_tables(tables: Tables) -> dict[str, list[dict[str, float | str | None]]]:
    return {
        table: [
            {name: one if isinstance(one, str) else finite(one) for name, one in row.items()}
            for row in rows
        ]
        for table, rows in tables.items()
    }
