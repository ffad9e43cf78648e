"""The cross-validation of a model, as reports hold it and people read it."""

from __future__ import annotations

import math

from pydantic import BaseModel

from onepass.learn.learns import Learns
from onepass.model.file import ModelFile


class CrossValidated(BaseModel):
    """Loss of rows by weights that were fitted without their fold, in the unit of `evaluate`."""

    l2: float
    """Ridge penalty of the weights."""
    chosen: bool
    """Whether the model has this penalty, if the job names several."""
    folds: int
    """Number of folds that have rows."""
    by: str | None
    """Column of which rows of one value are in one fold; None if the places of rows decide."""
    loss: float | None
    """Mean loss of all rows; None if it is not finite."""
    standard_error: float | None
    """Standard deviation of the mean losses of the folds, over the root of their number."""
    constant_loss: float | None
    """The same loss for a model of an intercept alone, which has learnt the other folds, too."""
    fold_losses: list[float | None]
    """Mean loss of each fold."""

    def __str__(self) -> str:
        by = "" if self.by is None else f", by {self.by}"
        return (
            f"{_shown(self.loss)} +/- {_shown(self.standard_error, 2)} ({self.folds} folds{by}); "
            f"without a model {_shown(self.constant_loss)}"
        )


def cross_validated(file: ModelFile, learner: Learns) -> list[CrossValidated]:
    """Return the cross-validation of each candidate of a model; empty for a model without folds."""
    return [
        CrossValidated(
            l2=one.l2,
            chosen=one.chosen,
            folds=len(one.fold_losses),
            by=file.job.fold_by,
            loss=_finite(one.loss),
            standard_error=_finite(one.standard_error),
            constant_loss=_finite(one.constant_loss),
            fold_losses=[_finite(loss) for loss in one.fold_losses],
        )
        for one in learner.cross_validations()
    ]


def told(found: list[CrossValidated]) -> list[str]:
    """Return a line for each candidate; empty without cross-validation."""
    if len(found) == 1:
        return [f"cross-validated loss {found[0]}"]
    chosen = ("", ", chosen on held-out rows")
    return [f"cross-validated loss of l2 {one.l2:g}{chosen[one.chosen]}: {one}" for one in found]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown(value: float | None, digits: int = 5) -> str:
    return "-" if value is None else f"{value:.{digits}g}"
