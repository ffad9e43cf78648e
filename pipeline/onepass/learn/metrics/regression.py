"""Metrics of predictions in a unit: squared, huber, poisson and gamma loss."""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray
from onepass.learn.metrics.base import Metrics, Sums, Values
from onepass.learn.metrics.sketch import Sketch

_LEAST_MEAN = 1e-100
_ROUNDING = 1e-13


class RegressionMetrics(Sums):
    """Squared loss, and what every regression has: RMSE, MAE, R2, mean error."""

    names: tuple[str, ...] = (
        *("weight", "error", "squared_error", "absolute_error", "shifted", "shifted_squared"),
    )

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        # Labels are summed relative to this, lest their variance drown in their mean.
        self.shift = shift

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Take rows into account, arrays of shape (n_rows,)."""
        error, shifted = prediction - label, label - self.shift
        more = self._terms(prediction, label)
        self._add(weight, error, error**2, np.abs(error), shifted, shifted**2, *more)

    def merge(self, other: Metrics) -> None:
        """Take over the rows of another accumulator."""
        assert isinstance(other, RegressionMetrics)
        assert other.shift == self.shift
        super().merge(other)

    def loss(self) -> float:
        """Mean squared error."""
        return self._mean("squared_error")

    def constant_loss(self) -> float:
        """Variance of the labels, the loss of their mean."""
        return self._variance()

    def values(self) -> Values:
        """The loss by its name, RMSE, MAE, R2, mean error, and the constant's loss."""
        mse, variance = self._mean("squared_error"), self._variance()
        return self._named_loss() | {
            "rmse": float(np.sqrt(mse)),
            "mae": self._mean("absolute_error"),
            "r2": 1 - mse / variance if variance > 0 else float("nan"),
            "mean_error": self._mean("error"),
            "constant_loss": self.constant_loss(),
        }

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        del prediction, label
        return ()

    def _named_loss(self) -> Values:
        return {}

    def _variance(self) -> float:
        square = self._mean("shifted_squared")
        variance = square - self._mean("shifted") ** 2
        # 0 where it drowns in the rounding of its sums.
        return 0.0 if variance < _ROUNDING * square else variance

    def _mean_label(self) -> float:
        return self._mean("shifted") + self.shift


class HuberMetrics(RegressionMetrics):
    """Huber loss: r^2 / 2 within delta, delta (|r| - delta / 2) beyond.

    The loss of the best constant is that of labels collapsed to the means of a sketch's bins. It is
    never above the true one, and below it by less than 0.01 %: a bin is at most 1/128 as wide as
    its labels are far from the center.
    """

    names = (*RegressionMetrics.names, "huber")

    def __init__(self, shift: float = 0.0, delta: float = 1.0) -> None:
        super().__init__(shift)
        self.delta = delta
        self.labels = Sketch(shift)

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Take rows into account, arrays of shape (n_rows,)."""
        super().add(prediction, label, weight)
        self.labels.add(label, weight)

    def merge(self, other: Metrics) -> None:
        """Take over the rows of another accumulator."""
        assert isinstance(other, HuberMetrics)
        assert other.delta == self.delta
        super().merge(other)
        self.labels.merge(other.labels)

    def loss(self) -> float:
        """Mean huber loss."""
        return self._mean("huber")

    def constant_loss(self) -> float:
        """Loss of the label's M-estimate of location, from the sketch."""
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
        """Mean deviance."""
        return self._mean("deviance")

    def constant_loss(self) -> float:
        """Deviance of the mean m of the labels: 2 (mean(y log y) - m log m)."""
        mean, y_log_y = self._mean_label(), self._mean("y_log_y")
        deviance = 2 * (y_log_y - (mean * np.log(mean) if mean > 0 else 0.0 * mean))
        return _unless_rounding(deviance, abs(y_log_y))

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        p = np.maximum(prediction, _LEAST_MEAN)
        log_y = np.log(np.where(label > 0, label, 1.0))
        deviance = 2 * (label * (log_y - np.where(label > 0, np.log(p), 0.0)) - (label - p))
        return deviance, label * log_y

    def _named_loss(self) -> Values:
        return {"deviance": self.loss()}


class GammaMetrics(RegressionMetrics):
    """Gamma deviance 2 (-log(y / p) + (y - p) / p); p is at least 1e-100."""

    names = (*RegressionMetrics.names, "deviance", "log_y")

    def loss(self) -> float:
        """Mean deviance."""
        return self._mean("deviance")

    def constant_loss(self) -> float:
        """Deviance of the mean m of the labels: 2 (log m - mean(log y))."""
        mean, log_y = self._mean_label(), self._mean("log_y")
        deviance = 2 * ((np.log(mean) if mean > 0 else 0.0 * mean) - log_y)
        return _unless_rounding(deviance, max(1.0, abs(log_y)))

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        p = np.maximum(prediction, _LEAST_MEAN)
        log_y = np.log(label)
        return 2 * (np.log(p) - log_y + (label - p) / p), log_y

    def _named_loss(self) -> Values:
        return {"deviance": self.loss()}


def _unless_rounding(deviance: float, size: float) -> float:
    """A deviance, 0 where it is no larger than the rounding of sums of that size."""
    return 0.0 if deviance < _ROUNDING * size else float(deviance)
