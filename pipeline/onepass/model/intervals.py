"""Intervals of predictions: of the mean that the weights predict, or of the label of a new row.

The interval of a margin is mapped by the inverse link, so that it stays within its range: no
probability is below 0 (McCullagh and Nelder, "Generalized Linear Models", 1989, sec. 4.4.2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from onepass.block import Block, FloatArray
from onepass.encode.encoder import Encoded
from onepass.errors import JobError
from onepass.learn.kernels import dense_margins
from onepass.learn.learns import Learns
from onepass.learn.sparse import add_products
from onepass.learn.unit import LabelUnit
from onepass.model.covariance import Errors, freedom_of, quantile, shown_errors
from onepass.model.file import ModelFile
from onepass.model.predictor import predicted
from onepass.model.spread import Spread

IntervalOf: TypeAlias = Literal["mean", "row"]
"""The mean of rows like a row, or the label of the row itself."""


@dataclass(frozen=True, slots=True)
class AskedInterval:
    """The intervals that a caller asks for."""

    level: float
    """Coverage, such as 0.95."""
    of: IntervalOf = "mean"
    errors: Errors | None = None

    def __str__(self) -> str:
        return ",".join([f"{self.level!r}", self.of, *([self.errors] if self.errors else [])])


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predictions and the ends of their intervals, of the shapes of `LabelUnit.of_heads`."""

    predictions: FloatArray
    low: FloatArray
    """NaN where nothing is known of a row, because it has a value that no row learnt had."""
    high: FloatArray


@dataclass(frozen=True, slots=True)
class Intervals:
    """Predicts rows with intervals."""

    spreads: list[Spread]
    """Spread of each head."""
    dense: FloatArray
    """Weights of all margins, shape (n_outputs, n_dense + 1), intercepts last."""
    hashed: FloatArray
    """Weights of the slots, shape (n_slots, n_outputs)."""
    scale: float
    """Scale of the label."""
    reach: float
    """Quantile of the distribution of a margin over its standard error."""
    noise: float
    """Variance of a new row about its mean, on the scale of margins; 0 for intervals of means."""

    @classmethod
    def of(
        cls,
        file: ModelFile,
        learner: Learns,
        asked: AskedInterval,
        *,
        repeats: float,
        dispersion: float | None,
    ) -> Intervals:
        """Return the intervals of a model.

        Parameters
        ----------
        learner, repeats
            As in `onepass.model.model.Model`.
        dispersion
            Residual variance of squared loss in the label's unit, of a row of weight 1; None if it
            is not known, and not needed for intervals of means.

        Raises
        ------
        JobError
            If the learner does not know the covariance of its weights or the residual variance, the
            coverage is not between 0 and 1, or an interval of new rows is asked for a loss other
            than squared.
        """
        job, scale = file.job, file.encoder.label.scale
        if not 0 < asked.level < 1:
            raise JobError(f"--interval: expected a number between 0 and 1, found {asked.level:g}")
        weights = learner.weights(repeats)
        is_squared = job.loss == "squared"
        if asked.of == "row" and not is_squared:
            raise JobError(
                f"--interval-of row: {job.loss} loss has no interval of new rows; leave it out for "
                "the interval of the mean, or train quantiles (--loss quantile)"
            )
        if asked.of == "row" and dispersion is None:
            raise JobError(
                "--interval-of row: the model does not know its residual variance; leave it out "
                "for the interval of the mean"
            )
        errors = shown_errors(weights, asked.errors)
        spreads = [Spread.of(one, errors, scale, job.solver) for one in weights]
        freedom = freedom_of(weights[0].identified, errors, is_squared=is_squared)
        linear = learner.best().linear()
        return cls(
            spreads,
            np.column_stack([linear.dense, linear.intercept]),
            np.asarray(linear.hashed, np.float64),
            scale,
            quantile(0.5 + asked.level / 2, freedom),
            (dispersion or 0.0) / scale**2 if asked.of == "row" else 0.0,
        )

    def predicted(self, encoded: Encoded, unit: LabelUnit) -> Predicted:
        """Return the predictions of rows encoded as features, with their intervals.

        Memory follows the size of the block, whatever the number of weights.
        """
        block = encoded.block
        margins = self._margins(block)
        predictions = predicted(replace(encoded, margins=margins), unit)
        if self.spreads[0].n_outputs > 1:
            (spread,) = self.spreads
            half = self.reach * np.sqrt(spread.variances_of_log_odds(block, predictions))
            odds = _log_odds(margins)
            low, high = (_probabilities(odds + one) for one in (-half, half))
            return Predicted(predictions, low, high)
        half = np.array([one.variances(block) for one in self.spreads])
        half = self.reach * np.sqrt(half + self.noise)
        low, high = (
            predicted(replace(encoded, margins=margins + one), unit) for one in (-half, half)
        )
        return Predicted(predictions, low, high)

    def _margins(self, block: Block) -> FloatArray:
        """Return the margins of rows, shape (n_outputs, n_rows)."""
        found = np.empty((block.n_rows, len(self.dense)))
        dense_margins(np.ascontiguousarray(block.dense), self.dense, found)
        for column in block.slots.T:
            found += self.hashed[column]
        if block.entries is not None:
            add_products(block.entries, self.hashed, found)
        if block.offset is not None:
            found += block.offset[:, None] / self.scale
        return np.ascontiguousarray(found.T)


def _log_odds(margins: FloatArray) -> FloatArray:
    """Return the log odds of each class against all others, shape (n_rows, n_classes)."""
    found = np.empty(margins.shape[::-1])
    for k in range(len(margins)):
        others = np.delete(margins, k, axis=0)
        most = others.max(axis=0)
        found[:, k] = margins[k] - most - np.log(np.exp(others - most).sum(axis=0))
    return found


def _probabilities(odds: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -700, 700))))
