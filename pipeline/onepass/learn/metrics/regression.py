"""Metrics of regression: squared, huber, poisson and gamma loss."""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray
from onepass.learn.metrics.base import Metrics, Sums, Values
from onepass.learn.metrics.sketch import Sketch

LEAST_MEAN = 1e-100
"""Least prediction whose deviance is computed."""
_ROUNDING = 1e-13
"""A difference of sums that is smaller than this share of them counts as 0."""


class RegressionMetrics(Sums):
    """Squared loss, and the metrics of every regression: RMSE, MAE, R2, mean error."""

    names: tuple[str, ...] = (
        *("weight", "error", "squared_error", "absolute_error", "shifted", "shifted_squared"),
    )

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        # Labels are summed relative to this. Otherwise rounding would hide their variance where it
        # is small beside their mean.
        self.shift = shift

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows; each argument has shape (n_rows,)."""
        error, shifted = prediction - label, label - self.shift
        more = self._terms(prediction, label)
        self._add(weight, error, error**2, np.abs(error), shifted, shifted**2, *more)

    def row_losses(self, prediction: FloatArray, label: FloatArray) -> FloatArray:
        """Return the loss of each row."""
        own = self._terms(prediction, label)
        return own[0] if own else np.asarray((prediction - label) ** 2)

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, RegressionMetrics)
        assert other.shift == self.shift
        super().merge(other)

    def loss(self) -> float:
        """Return the mean squared error."""
        return self._mean("squared_error")

    def constant_loss(self) -> float:
        """Return the variance of the labels, which is the loss of their mean."""
        return self._variance()

    def values(self) -> Values:
        """Return the loss by its name, RMSE, MAE, R2, mean error, and the constant's loss."""
        mse, variance = self._mean("squared_error"), self._variance()
        return self._named_loss() | {
            "rmse": float(np.sqrt(mse)),
            "mae": self._mean("absolute_error"),
            "r2": 1 - mse / variance if variance > 0 else float("nan"),
            "mean_error": self._mean("error"),
            "constant_loss": self.constant_loss(),
        }

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        """Return the terms of the sums that a subclass adds to `names`, its loss first."""
        del prediction, label
        return ()

    def _named_loss(self) -> Values:
        """Return the loss by its name; nothing for squared loss, which RMSE gives."""
        return {}

    def _variance(self) -> float:
        square = self._mean("shifted_squared")
        variance = square - self._mean("shifted") ** 2
        # A variance within the rounding of its sums is 0.
        return 0.0 if variance < _ROUNDING * square else variance

    def _mean_label(self) -> float:
        return self._mean("shifted") + self.shift


class HuberMetrics(RegressionMetrics):
    """Huber loss: r^2 / 2 within delta, delta (|r| - delta / 2) beyond.

    The loss of the best constant is computed from a sketch, in which each label is replaced by the
    mean of its bin. It is never above the true one, and below it by less than 0.01 %, because the
    width of a bin is at most 1/128 of its labels' distance from the center.
    """

    names = (*RegressionMetrics.names, "huber")

    def __init__(self, shift: float = 0.0, delta: float = 1.0) -> None:
        super().__init__(shift)
        self.delta = delta
        self.labels = Sketch(shift)

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows; each argument has shape (n_rows,)."""
        super().add(prediction, label, weight)
        self.labels.add(label, weight)

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, HuberMetrics)
        assert other.delta == self.delta
        super().merge(other)
        self.labels.merge(other.labels)

    def loss(self) -> float:
        """Return the mean huber loss."""
        return self._mean("huber")

    def constant_loss(self) -> float:
        """Return the loss of the labels' M-estimate of location, from the sketch."""
        points, weight = self.labels.points()
        if not len(points):
            return float("nan")
        low, high = float(points[0]), float(points[-1])
        for _ in range(100):
            middle = 0.5 * (low + high)
            pull = float(weight @ np.clip(points - middle, -self.delta, self.delta))
            low, high = (middle, high) if pull > 0 else (low, middle)
        return float(weight @ _huber(points - 0.5 * (low + high), self.delta) / weight.sum())

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        return (_huber(prediction - label, self.delta),)

    def _named_loss(self) -> Values:
        return {"huber": self.loss()}


def _huber(residual: FloatArray, delta: float) -> FloatArray:
    size = np.abs(residual)
    return np.asarray(np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta)))


class PoissonMetrics(RegressionMetrics):
    """Poisson deviance 2 (y log(y / p) - (y - p)), 2 p where y = 0; p is at least 1e-100."""

    names = (*RegressionMetrics.names, "deviance", "y_log_y")

    def loss(self) -> float:
        """Return the mean deviance."""
        return self._mean("deviance")

    def constant_loss(self) -> float:
        """Return the deviance of the mean m of the labels: 2 (mean(y log y) - m log m)."""
        mean, y_log_y = self._mean_label(), self._mean("y_log_y")
        deviance = 2 * (y_log_y - (mean * np.log(mean) if mean > 0 else 0.0 * mean))
        return unless_rounding(deviance, abs(y_log_y))

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        p = np.maximum(prediction, LEAST_MEAN)
        log_y = np.log(np.where(label > 0, label, 1.0))
        deviance = 2 * (label * (log_y - np.where(label > 0, np.log(p), 0.0)) - (label - p))
        return deviance, label * log_y

    def _named_loss(self) -> Values:
        return {"deviance": self.loss()}


class GammaMetrics(RegressionMetrics):
    """Gamma deviance 2 (-log(y / p) + (y - p) / p); p is at least 1e-100."""

    names = (*RegressionMetrics.names, "deviance", "log_y")

    def loss(self) -> float:
        """Return the mean deviance."""
        return self._mean("deviance")

    def constant_loss(self) -> float:
        """Return the deviance of the mean m of the labels: 2 (log m - mean(log y))."""
        mean, log_y = self._mean_label(), self._mean("log_y")
        deviance = 2 * ((np.log(mean) if mean > 0 else 0.0 * mean) - log_y)
        return unless_rounding(deviance, max(1.0, abs(log_y)))

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        p = np.maximum(prediction, LEAST_MEAN)
        log_y = np.log(label)
        return 2 * (np.log(p) - log_y + (label - p) / p), log_y

    def _named_loss(self) -> Values:
        return {"deviance": self.loss()}


def unless_rounding(deviance: float, size: float) -> float:
    """Return a deviance; 0 if it is within the rounding of sums of this size."""
    return 0.0 if deviance < _ROUNDING * size else float(deviance)
