"""Evaluate a model on a lake with labels."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel
from threadpoolctl import threadpool_limits

from onepass.environment import peak_rss_bytes
from onepass.errors import EmptyLake, advised
from onepass.lake.discover import LakeFile, discover
from onepass.lake.footer import partitions, read_footer
from onepass.lake.rotation import Source
from onepass.learn.metrics import Metrics, Tables
from onepass.learn.unit import LabelUnit
from onepass.model.directory import ModelFile
from onepass.model.model import Model
from onepass.model.predictor import predicted
from onepass.partition import Partition
from onepass.stream.check_columns import check_columns
from onepass.stream.stream import Streamed, Together, streams
from onepass.stream.workers import Workers
from onepass.training.progress import Progress
from onepass.training.report import finite, finite_values


class EvaluateReport(BaseModel):
    """How good a model's predictions are."""

    model: str
    version: int
    rows: int
    """Rows with a label."""
    loss: float
    """The job's loss, weighted mean per row."""
    metrics: dict[str, float | None]
    tables: dict[str, list[dict[str, float | str | None]]]
    """Metrics of several numbers: calibration, quantiles, classes."""
    counts: dict[str, int]
    """Dropped rows and treated values by kind."""
    seconds: float
    rows_per_second: float
    peak_rss_bytes: int


@advised("Repair the file or take it out of the lake: metrics of a part of it would mislead.")
def evaluate(
    lake: str | list[str],
    model: str | Path,
    *,
    dask: str | None = None,
    progress: Progress | None = None,
) -> EvaluateReport:
    """Predict every row of a lake and compare with its labels.

    Parameters
    ----------
    lake
        Directory, glob, file or list of files, with the columns the model was trained on.
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
    began, progress = time.perf_counter(), progress or Progress()
    predictor = Model.load(model).predictor
    content = predictor.file
    reading = predictor.reading(label=True)
    metrics, counts = content.metrics(), Counter[str]()
    groups, n_files, n_rows = [], 0, 0
    for file in discover(lake):
        footer = read_footer(file)
        check_columns(file, footer, content.encoder, label=True)
        groups += [Together(partial(_source, file, one)) for one in partitions(file, footer)]
        n_files, n_rows = n_files + 1, n_rows + footer.fingerprint.rows
    progress.started(n_files, n_rows)
    with Workers(dask) as workers, threadpool_limits(1, "blas"):
        judge = partial(_judged, content, predictor.unit)
        for parts in streams(groups, reading, workers, judge):
            for part, noticed in parts:
                metrics.merge(part)
                counts.update(noticed)
                progress.advanced(part.n_rows)
    if not np.isfinite(metrics.loss()):
        raise EmptyLake(
            f"the lake {lake!r} has no row with a label {content.job.label!r} and a weight"
        )
    seconds = time.perf_counter() - began
    return EvaluateReport(
        model=str(model),
        version=predictor.entry.version,
        rows=metrics.n_rows,
        loss=metrics.loss(),
        metrics=finite_values(metrics),
        tables=_finite_tables(metrics.tables()),
        counts=dict(counts),
        seconds=seconds,
        rows_per_second=metrics.n_rows / seconds,
        peak_rss_bytes=peak_rss_bytes(),
    )


def _source(file: LakeFile, partition: Partition) -> list[Source]:
    return [Source(partition, file, read_footer(file))]


def _judged(file: ModelFile, unit: LabelUnit, streamed: Streamed) -> tuple[Metrics, Counter[str]]:
    block, metrics = streamed.encoded.block, file.metrics()
    # A prediction beyond all bounds is a bad one, and the metrics show it.
    with np.errstate(over="ignore", invalid="ignore"):
        metrics.add(predicted(streamed.encoded, unit), block.label, block.weight)
    return metrics, streamed.encoded.counts


def _finite_tables(tables: Tables) -> dict[str, list[dict[str, float | str | None]]]:
    return {
        table: [
            {name: one if isinstance(one, str) else finite(one) for name, one in row.items()}
            for row in rows
        ]
        for table, rows in tables.items()
    }
