"""The loss of many weights of one model on a holdout, in one read."""

from __future__ import annotations

from functools import partial

import numpy as np

from onepass.block import Block, FloatArray, Linear
from onepass.errors import EmptyLake
from onepass.lake.tables.open import files_of
from onepass.learn.metrics import Metrics
from onepass.learn.metrics.beside import judged
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
) -> tuple[int, list[float]]:
    """Return the number of rows of a lake, and the mean loss per row by each of some weights.

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
    if found is None or not np.isfinite(found.each[0].loss()):
        label = model.file.job.label
        raise EmptyLake(f"the lake {lake!r} has no row with a label {label!r} and a weight")
    return found.n_rows, [one.loss() for one in found.each]


class _Measured:
    """Metrics of each of some weights on some rows."""

    def __init__(self, each: list[Metrics]) -> None:
        self.each = each

    @property
    def n_rows(self) -> int:
        """Number of rows with a label."""
        return self.each[0].n_rows

    def add(self, later: _Measured) -> None:
        """Add the metrics of later rows."""
        for one, more in zip(self.each, later.each, strict=True):
            one.merge(more)


def _measure(file: ModelFile, unit: LabelUnit, streamed: Streamed) -> _Measured:
    block, margins = streamed.encoded.block, streamed.encoded.margins
    assert margins is not None
    return _Measured([_metrics(file, unit, own[None], block) for own in margins])


def _metrics(file: ModelFile, unit: LabelUnit, margins: FloatArray, block: Block) -> Metrics:
    found = file.metrics()
    with np.errstate(over="ignore", invalid="ignore"):
        predictions = unit.predictions(margins, block.offset)
        found.add(*judged(predictions, block, file.job.loss), block.weight)
    return found
