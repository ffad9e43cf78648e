"""The losses of many weights of one model on a holdout, in one read, with their differences."""

from __future__ import annotations

from functools import partial

import numpy as np

from onepass.block import Block, FloatArray, Linear
from onepass.encode.schema import Label
from onepass.errors import EmptyLake
from onepass.lake.tables.open import files_of
from onepass.learn.metrics.beside import judged
from onepass.learn.metrics.paired import PairedLosses
from onepass.learn.unit import LabelUnit
from onepass.model.file import ModelFile
from onepass.model.model import Model
from onepass.model.predictor import Predictor
from onepass.model.table_choice import table_choice
from onepass.stream.advised import advised
from onepass.stream.fold import Fold, folded
from onepass.stream.lake_groups import check_files
from onepass.stream.reading import Streamed
from onepass.stream.workers import Workers
from onepass.training.progress import Progress

_ADVICE = "Repair the file or take it out of the lake: a choice by a part of it would mislead."


@advised(_ADVICE)
def holdout_losses(
    model: Model,
    weights: FloatArray,
    lake: str | list[str],
    dask: str | None,
    progress: Progress,
) -> list[PairedLosses]:
    """Return the losses of the rows of a lake by each of some weights, beside those by the last.

    Parameters
    ----------
    weights
        On raw features, shape (n_models, n_dense + 1), intercepts last.

    Raises
    ------
    DataError
        If a file of the lake is bad, or has no row with a label.
    """
    linear = Linear(weights[:, -1], weights[:, :-1], np.empty((0, len(weights))))
    predictor = Predictor(model.file, model.entry, linear, model.learner.best().unit())
    reading = predictor.reading(label=True, selects=True)
    with Workers(dask, mixed=True) as workers:
        checked = check_files(files_of(lake, table_choice(model.file.job)), reading, workers)
        progress.started(len(checked.files), checked.n_rows)
        parts = [part for file in checked.files for part in checked.placed(file)]
        fold = Fold(
            predictor.readers(checked, reading), partial(_measure, model.file, predictor.unit)
        )
        found = folded(parts, fold, workers, progress.advanced)
    if found is None or not np.isfinite(found.each[-1].losses[0]):
        label = model.file.job.label
        raise EmptyLake(f"the lake {lake!r} has no row with a label {label!r} and a weight")
    return found.each


def holdout_warnings(label: Label, best: PairedLosses, penalty: float) -> list[str]:
    """Return why a holdout may choose badly.

    Parameters
    ----------
    best
        Losses at the best penalty, beside those at the smallest.
    """
    found, gain, error = [], -best.difference, best.std_error
    if 0 < gain < 2 * error:
        found.append(
            f"the {best.n_rows:,} rows of the holdout do not tell its best penalty ({penalty:.4g}) "
            f"from the smallest: its loss is {gain:.2g} lower, with a standard error of {error:.2g}"
        )
    if label.class_weights:
        found.append(
            "the losses of the holdout do not weigh classes, and the model does, so the best of "
            "them may be the penalty that undoes the weights; judge it by the auc of onepass "
            "evaluate"
        )
    return found


class _Measured:
    """Losses of some rows by each of some weights, beside those by the last."""

    def __init__(self, each: list[PairedLosses]) -> None:
        self.each = each

    @property
    def n_rows(self) -> int:
        """Number of rows with a label."""
        return self.each[0].n_rows

    def add(self, later: _Measured) -> None:
        """Add the losses of later rows."""
        for one, more in zip(self.each, later.each, strict=True):
            one.merge(more)


def _measure(file: ModelFile, unit: LabelUnit, streamed: Streamed) -> _Measured:
    block, margins = streamed.encoded.block, streamed.encoded.margins
    assert margins is not None
    last, found = _losses(file, unit, margins[-1:], block), []
    for own in margins:
        found.append(PairedLosses())
        found[-1].add(_losses(file, unit, own[None], block), last, block.weight)
    return _Measured(found)


def _losses(file: ModelFile, unit: LabelUnit, margins: FloatArray, block: Block) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        predictions = unit.predictions(margins, block.offset)
        return file.metrics().row_losses(*judged(predictions, block, file.job.loss))
