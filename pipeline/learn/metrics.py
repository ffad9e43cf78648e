"""Streaming metrics: add rows block by block, merge parts in any order.

Each keeps weighted sums, so a part per partition can be merged into the whole. The loss of the best
constant prediction on the same rows comes along: a model has learnt something when it beats it.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np

from pipeline.block import FloatArray

Values: TypeAlias = dict[str, float]

_N_BINS = 4096
_TINY = 1e-15


class Metrics(Protocol):
    """Accumulates predictions against labels."""

    n_rows: int
    """Rows added."""

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Take rows into account, arrays of shape (n_rows,)."""
        ...

    def merge(self, other: Metrics) -> None:
        """Take over the rows of another accumulator of the same kind."""
        ...

    def loss(self) -> float:
        """Weighted mean loss per row; NaN without rows."""
        ...

    def constant_loss(self) -> float:
        """Loss of the best constant prediction on the same rows; NaN without rows."""
        ...

    def values(self) -> Values:
        """All metrics by name."""
        ...


class _Sums:
    """Named weighted sums, kept in one array so that merging is adding."""

    names: tuple[str, ...]

    def __init__(self) -> None:
        self.n_rows = 0
        self.sums = np.zeros(len(self.names))

    def merge(self, other: Metrics) -> None:
        assert isinstance(other, type(self))
        self.n_rows += other.n_rows
        self.sums += other.sums

    def _mean(self, name: str) -> float:
        weight = self.sums[0]
        return float(self.sums[self.names.index(name)] / weight) if weight else float("nan")


class RegressionMetrics(_Sums):
    """Squared error, RMSE, MAE and R2."""

    names = ("weight", "error", "squared_error", "absolute_error", "shifted", "shifted_squared")

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        # Labels are summed relative to this, lest their variance drown in their mean.
        self.shift = shift

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Take rows into account."""
        error, shifted = prediction - label, label - self.shift
        self.n_rows += len(label)
        terms = (np.ones_like(error), error, error**2, np.abs(error), shifted, shifted**2)
        self.sums += [float(weight @ term) for term in terms]

    def merge(self, other: Metrics) -> None:
        """Take over the rows of another accumulator."""
        assert isinstance(other, RegressionMetrics)
        assert other.shift == self.shift
        super().merge(other)

    def loss(self) -> float:
        """Mean squared error."""
        return self._mean("squared_error")

    def constant_loss(self) -> float:
        """Variance of the labels; 0 where it drowns in the rounding of its sums."""
        square = self._mean("shifted_squared")
        variance = square - self._mean("shifted") ** 2
        return 0.0 if variance < 1e-13 * square else variance

    def values(self) -> Values:
        """RMSE, MAE, R2, mean error, and the constant's loss."""
        mse, variance = self.loss(), self.constant_loss()
        return {
            "rmse": float(np.sqrt(mse)),
            "mae": self._mean("absolute_error"),
            "r2": 1 - mse / variance if variance > 0 else float("nan"),
            "mean_error": self._mean("error"),
            "constant_loss": variance,
        }


class BinaryMetrics(_Sums):
    """Log loss, AUC and accuracy of probabilities.

    AUC comes from histograms over log-odds with 4096 bins from -20 to 20; rows of one bin count as
    ties, so its error is at most ``auc_error``, half the share of label pairs within one bin.
    """

    names = ("weight", "log_loss", "correct", "positive")

    def __init__(self) -> None:
        super().__init__()
        self.histogram = np.zeros((2, _N_BINS))

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Take rows into account; labels are 0 or 1."""
        p = np.clip(prediction, _TINY, 1 - _TINY)
        positive = label > 0.5
        nll = -np.log(np.where(positive, p, 1 - p))
        correct = (p > 0.5) == positive
        self.n_rows += len(label)
        self.sums += [float(weight.sum()), *(float(weight @ t) for t in (nll, correct, positive))]
        odds = np.log(p) - np.log1p(-p)
        place = np.clip((odds + 20) * (_N_BINS / 40), 0, _N_BINS - 1).astype(np.int64)
        for side in (0, 1):
            rows = positive == bool(side)
            self.histogram[side] += np.bincount(place[rows], weight[rows], _N_BINS)

    def merge(self, other: Metrics) -> None:
        """Take over the rows of another accumulator."""
        super().merge(other)
        assert isinstance(other, BinaryMetrics)
        self.histogram += other.histogram

    def loss(self) -> float:
        """Mean negative log likelihood in nats."""
        return self._mean("log_loss")

    def constant_loss(self) -> float:
        """Entropy of the label in nats."""
        p = self._mean("positive")
        return float(-sum(q * np.log(q) for q in (p, 1 - p) if q > 0)) if p == p else p

    def values(self) -> Values:
        """Log loss, AUC with its error bound, accuracy, share of positives, constant's loss."""
        negative, positive = self.histogram
        below = np.cumsum(negative) - negative
        pairs = negative.sum() * positive.sum()
        tied = 0.5 * float(positive @ negative)
        return {
            "log_loss": self.loss(),
            "auc": (float(positive @ below) + tied) / pairs if pairs else float("nan"),
            "auc_error": tied / pairs if pairs else float("nan"),
            "accuracy": self._mean("correct"),
            "positive": self._mean("positive"),
            "constant_loss": self.constant_loss(),
        }


def make_metrics(loss: str, label_center: float = 0.0) -> RegressionMetrics | BinaryMetrics:
    """An empty accumulator for a job's loss."""
    return BinaryMetrics() if loss == "logistic" else RegressionMetrics(label_center)
