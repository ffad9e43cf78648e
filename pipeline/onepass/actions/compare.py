"""Compare two models on the same rows: the paired difference of their losses, by segment."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from onepass.actions.comparison import CompareReport, difference
from onepass.block import FloatArray
from onepass.encode.encoder import Encoded
from onepass.environment import peak_rss_bytes
from onepass.errors import EmptyLake, JobError
from onepass.lake.tables.open import files_of
from onepass.learn.losses import REGRESSION
from onepass.learn.metrics import Metrics
from onepass.learn.metrics.beside import BesideOffset
from onepass.learn.metrics.paired import PairedLosses
from onepass.learn.metrics.regression import PoissonMetrics, RegressionMetrics
from onepass.model.directory import open_model
from onepass.model.file import ModelFile
from onepass.model.predictor import Predictor, predicted
from onepass.model.table_choice import table_choice
from onepass.model.versions import read_predictor
from onepass.stream.advised import advised
from onepass.stream.fold import Fold, folded
from onepass.stream.lake_groups import check_files
from onepass.stream.reading import Beside, Streamed
from onepass.stream.workers import Workers
from onepass.training.progress import Progress

MOST_SEGMENTS = 1000
"""Most values of the column by which losses are compared."""

_COUNTS = {"poisson", "negative_binomial"}
"""Losses of counts. Squared error would ask hardly anything but who has many claims."""

_ADVICE = "Repair the file or take it out of the lake: a comparison on a part of it would mislead."


def compare(
    first: str | Path,
    second: str | Path,
    lake: str | list[str],
    *,
    versions: tuple[int | str | None, int | str | None] = (None, None),
    by: str | None = None,
    lake_version: int | None = None,
    lake_timestamp: str | None = None,
    as_files: bool | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
) -> CompareReport:
    """Compute the losses of two models on the same rows, and the error of their difference.

    Parameters
    ----------
    first, second
        Model directories; twice the same one to compare two versions of it.
    lake
        Directory, glob, file or list of files, with the columns of both models. Neither should
        have learnt these rows.
    versions
        See `Model.load`.
    by
        Column of the files whose values divide the rows; at most `MOST_SEGMENTS` of them.
    lake_version, lake_timestamp, as_files, dask
        See `evaluate`.

    Raises
    ------
    ModelNotFound, JobError
        If there is no trained model or no such lake, or the models cannot be compared.
    DataError
        If a file is bad or there is no row with a label.
    """
    opened = [open_model(path) for path in (first, second)]
    one, other = map(read_predictor, opened, versions)
    choice = table_choice(
        one.file.job, version=lake_version, timestamp=lake_timestamp, as_files=as_files
    )
    return _compared(
        _Pair(one, other, _measure_of(one.file, other.file), by),
        (str(first), str(second)),
        files=partial(files_of, lake, choice),
        lake=lake,
        dask=dask,
        progress=progress or Progress(),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    one: Predictor
    other: Predictor
    loss: str
    by: str | None


@advised(_ADVICE)
def _compared(
    pair: _Pair,
    names: tuple[str, str],
    *,
    files: Any,
    lake: str | list[str],
    dask: str | None,
    progress: Progress,
) -> CompareReport:
    began = time.perf_counter()
    keep = () if pair.by is None else (pair.by,)
    reading = pair.one.reading(label=True, keep=keep, selects=True)
    own = pair.other.reading(label=True, keep=keep, selects=True)
    reading = replace(reading, beside=(Beside(own.encoder, own.linear),))
    with Workers(dask, mixed=True) as workers:
        found = files()
        # Each model checks the columns that it needs before a row is read.
        checked = check_files(found, reading, workers)
        check_files(found, own, workers)
        progress.started(len(checked.files), checked.n_rows)
        parts = [part for file in checked.files for part in checked.placed(file)]
        fold = Fold(pair.one.readers(checked, reading), partial(_measured, pair))
        total = folded(parts, fold, workers, progress.advanced)
    if total is None or not np.isfinite(total.whole.difference):
        label = pair.one.file.job.label
        raise EmptyLake(f"the lake {lake!r} has no row with a label {label!r} and a weight")
    seconds = time.perf_counter() - began
    segments = sorted(total.segments.items(), key=lambda item: -item[1].n_rows)
    return CompareReport(
        first=names[0],
        second=names[1],
        versions=(pair.one.entry.version, pair.other.entry.version),
        loss=pair.loss,
        by=pair.by,
        total=difference(None, total.whole),
        segments=[difference(name, losses) for name, losses in segments],
        warnings=_warnings(pair.one.file, pair.other.file),
        left_out=total.left_out,
        seconds=seconds,
        rows_per_second=total.n_rows / seconds if seconds > 0 else 0.0,
        peak_rss_bytes=peak_rss_bytes(),
    )


def _warnings(one: ModelFile, other: ModelFile) -> list[str]:
    ours, theirs = (file.encoder.label.class_weights for file in (one, other))
    if ours == theirs:
        return []
    which = "A weighs" if theirs is None else "B weighs" if ours is None else "both weigh"
    return [
        f"{which} classes, and these losses do not: probabilities of weighted classes lose for "
        "that alone; compare the auc of onepass evaluate, or models of the same --class-weight"
    ]


def _measure_of(one: ModelFile, other: ModelFile) -> str:
    """Return the loss by which two models are compared.

    Raises
    ------
    JobError
        If their predictions cannot be compared on the same rows.
    """
    ours, theirs = one.job, other.job
    for name in ("label", "weight", "where", "sample"):
        if getattr(ours, name) != getattr(theirs, name):
            raise JobError(
                f"the models have different rows or labels, {name}: {getattr(ours, name)!r} and "
                f"{getattr(theirs, name)!r}; only models of the same ones can be compared"
            )
    if one.encoder.int96 != other.encoder.int96:
        raise JobError("the models read INT96 timestamps in different units; train one anew")
    same = ours.loss == theirs.loss and all(
        getattr(ours, name) == getattr(theirs, name) for name in ("delta", "quantile", "power")
    )
    if one.encoder.label.classes != other.encoder.label.classes:
        raise JobError(
            f"the models have different classes of {ours.label!r}: {one.encoder.label.classes} and "
            f"{other.encoder.label.classes}"
        )
    if same:
        return ours.loss
    numbers = REGRESSION - {"quantile"}
    if {ours.loss, theirs.loss} == _COUNTS:
        return "poisson"
    if ours.loss in numbers and theirs.loss in numbers:
        return "squared"
    raise JobError(
        f"a model of {ours.loss} loss and one of {theirs.loss} loss predict different things; "
        "compare models of the same loss"
    )


@dataclass(slots=True)
class _Measured:
    """Losses of some rows, with those of each segment."""

    whole: PairedLosses = field(default_factory=PairedLosses)
    segments: dict[str, PairedLosses] = field(default_factory=dict)
    n_rows: int = 0
    left_out: int = 0

    def add(self, later: _Measured) -> None:
        """Add the losses of later rows."""
        self.whole.merge(later.whole)
        for name, losses in later.segments.items():
            self.segments.setdefault(name, PairedLosses()).merge(losses)
        _check_segments(self.segments)
        self.n_rows += later.n_rows
        self.left_out += later.left_out


def _check_segments(found: dict[str, PairedLosses]) -> None:
    if len(found) > MOST_SEGMENTS:
        raise JobError(
            f"--by divides the rows into more than {MOST_SEGMENTS:,} segments; name a column of "
            "fewer values"
        )


def _measured(pair: _Pair, streamed: Streamed) -> _Measured:
    encoded, (other,) = streamed.encoded, [one.encoded for one in streamed.beside]
    places, own, theirs = np.intersect1d(
        encoded.rows, other.rows, assume_unique=True, return_indices=True
    )
    weight = encoded.block.weight[own]
    metrics = _metrics_of(pair)
    first = _losses(pair.one, metrics, encoded)[own]
    second = _losses(pair.other, metrics, other)[theirs]
    found = _Measured(
        n_rows=encoded.block.n_rows, left_out=len({*encoded.rows, *other.rows}) - len(places)
    )
    found.whole.add(first, second, weight)
    if pair.by is not None and streamed.kept is not None:
        texts = _texts(streamed.kept.column(pair.by), pair.by).take(pa.array(places))
        coded = texts.dictionary_encode()
        codes = coded.indices.to_numpy()
        _check_segments(dict.fromkeys(coded.dictionary.to_pylist()))  # type: ignore[arg-type]
        for code, name in enumerate(coded.dictionary.to_pylist()):
            rows = np.flatnonzero(codes == code)
            losses = found.segments.setdefault(name, PairedLosses())
            losses.add(first[rows], second[rows], weight[rows])
    return found


def _metrics_of(pair: _Pair) -> Metrics:
    """Return what measures the losses of both models."""
    file = pair.one.file
    if pair.loss != file.job.loss:
        # Two losses for numbers are compared by squared error, with which neither was trained.
        return PoissonMetrics() if pair.loss == "poisson" else RegressionMetrics()
    metrics = file.metrics()
    # The loss of a row does not depend on its offset, which may be that of one model alone.
    return metrics.inner if isinstance(metrics, BesideOffset) else metrics


def _losses(model: Predictor, metrics: Metrics, encoded: Encoded) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        return metrics.row_losses(predicted(encoded, model.unit), encoded.block.label)


def _texts(values: pa.ChunkedArray, name: str) -> pa.Array:
    """Return the segment of each row as text; null is ``null``."""
    try:
        texts = values.combine_chunks().cast(pa.string())
    except pa.ArrowException:
        raise JobError(
            f"--by={name!r}: expected a column of text, numbers, dates or truth values, found type "
            f"{values.type}"
        ) from None
    return pc.fill_null(texts, "null")
