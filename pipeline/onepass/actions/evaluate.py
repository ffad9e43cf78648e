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
from onepass.errors import EmptyLake, advised
from onepass.lake.discover import discover
from onepass.learn.metrics import Metrics, Tables
from onepass.learn.metrics.quantile import middle
from onepass.learn.metrics.residuals import Residuals
from onepass.learn.unit import LabelUnit
from onepass.model.file import ModelFile
from onepass.model.model import Model
from onepass.model.predictor import Predictor, predicted
from onepass.stream.fold import Fold, folded
from onepass.stream.lake_groups import check_files
from onepass.stream.reading import Streamed
from onepass.stream.workers import Workers
from onepass.training.progress import Progress
from onepass.training.report import finite, finite_values

_ADVICE = "Repair the file or take it out of the lake: metrics of a part of it would mislead."


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


def evaluate(
    lake: str | list[str],
    model: str | Path,
    *,
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
    dask
        Address of a Dask scheduler; threads of this process by default.

    Raises
    ------
    ModelNotFound, JobError
        If there is no trained model or no such lake.
    DataError
        If a file is bad or there is no row with a label.
    """
    predictor = Model.load(model).predictor
    return evaluate_version(predictor, lake, str(model), dask=dask, progress=progress)


@advised(_ADVICE)
def evaluate_version(
    predictor: Predictor,
    lake: str | list[str],
    model: str,
    *,
    dask: str | None = None,
    progress: Progress | None = None,
    residuals: bool = False,
) -> EvaluateReport:
    """Evaluate one version of a model; see `evaluate`.

    Parameters
    ----------
    model
        Model directory, for the report.
    residuals
        Whether the tables of a regression include its residuals, by tenths of the predictions.
    """
    began, progress = time.perf_counter(), progress or Progress()
    reading = predictor.reading(label=True)
    with Workers(dask, mixed=True) as workers:
        checked = check_files(discover(lake), reading, workers)
        progress.started(len(checked.files), checked.n_rows)
        parts = [part for file in checked.files for part in checked.placed(file)]
        measure = partial(_measure, predictor.file, predictor.unit, residuals=residuals)
        fold = Fold(predictor.readers(checked, reading), measure)
        found = folded(parts, fold, workers, progress.advanced)
    metrics = predictor.file.metrics() if found is None else found.metrics
    if not np.isfinite(metrics.loss()):
        label = predictor.file.job.label
        raise EmptyLake(f"the lake {lake!r} has no row with a label {label!r} and a weight")
    seconds = time.perf_counter() - began
    return EvaluateReport(
        model=model,
        version=predictor.entry.version,
        rows=metrics.n_rows,
        loss=metrics.loss(),
        metrics=finite_values(metrics),
        tables=_finite_tables(metrics.tables() | ({} if found is None else found.residual_table())),
        counts={} if found is None else dict(found.counts),
        seconds=seconds,
        rows_per_second=metrics.n_rows / seconds,
        peak_rss_bytes=peak_rss_bytes(),
    )


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
    block, metrics = streamed.encoded.block, file.metrics()
    sample = Residuals() if residuals and file.encoder.label.classes is None else None
    # An overflow makes an infinite prediction, whose error shows in the metrics.
    with np.errstate(over="ignore", invalid="ignore"):
        prediction = predicted(streamed.encoded, unit)
        metrics.add(prediction, block.label, block.weight)
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
