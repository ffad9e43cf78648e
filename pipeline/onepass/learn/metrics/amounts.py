"""Metrics of tweedie, negative binomial and inverse gaussian loss: their deviances.

A deviance is twice the loss of the prediction minus that of the label itself. The best constant is
the mean of the labels, as for every exponential family.
"""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray
from onepass.learn.metrics.base import Metrics
from onepass.learn.metrics.regression import LEAST_MEAN, RegressionMetrics, unless_rounding


class TweedieMetrics(RegressionMetrics):
    """Tweedie deviance 2 (y^(2-q) / ((1-q)(2-q)) - y m^(1-q) / (1-q) + m^(2-q) / (2-q)).

    Here q is the power and m the prediction, at least 1e-100. Deviances of different powers are in
    different units.
    """

    names = (*RegressionMetrics.names, "deviance", "own")

    def __init__(self, shift: float = 0.0, power: float = 1.5) -> None:
        super().__init__(shift)
        self.power = power

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, TweedieMetrics)
        assert other.power == self.power
        super().merge(other)

    def loss(self) -> float:
        """Return the mean deviance."""
        return self._mean("deviance")

    def constant_loss(self) -> float:
        """Return the deviance of the mean m of the labels."""
        q, mean = self.power, self._mean_label()
        of_mean = max(mean, 0.0) ** (2 - q) / ((2 - q) * (q - 1)) if mean == mean else mean
        own = self._mean("own")
        return unless_rounding(2 * (of_mean - own), own)

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        q, m = self.power, np.maximum(prediction, LEAST_MEAN)
        own = label ** (2 - q) / ((2 - q) * (q - 1))
        pull = np.where(label > 0, label * m ** (1 - q), 0.0) / (q - 1)
        return 2 * (pull + m ** (2 - q) / (2 - q) - own), own

    def _named_loss(self) -> dict[str, float]:
        return {"deviance": self.loss()}


class InverseGaussianMetrics(RegressionMetrics):
    """Inverse gaussian deviance (y - m)^2 / (y m^2); the prediction m is at least 1e-100."""

    names = (*RegressionMetrics.names, "deviance", "inverse")

    def loss(self) -> float:
        """Return the mean deviance."""
        return self._mean("deviance")

    def constant_loss(self) -> float:
        """Return the deviance of the mean m of the labels: mean(1 / y) - 1 / m."""
        mean, inverse = self._mean_label(), self._mean("inverse")
        return unless_rounding(inverse - 1 / mean if mean else float("nan"), inverse)

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        m = np.maximum(prediction, LEAST_MEAN)
        return ((label - m) / m) ** 2 / label, 1 / label

    def _named_loss(self) -> dict[str, float]:
        return {"deviance": self.loss()}


class NegativeBinomialMetrics(RegressionMetrics):
    """Deviance 2 (y log(y / m) - (y + 1/a) log((1 + a y) / (1 + a m))) at one overdispersion a.

    The overdispersion is that of the job, or else that of the sample. It does not change as the
    estimate does, so that the deviances of versions are comparable. The prediction m is at least
    1e-100.
    """

    names = (*RegressionMetrics.names, "deviance", "own")

    def __init__(self, shift: float = 0.0, overdispersion: float = 1.0) -> None:
        super().__init__(shift)
        self.overdispersion = overdispersion

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, NegativeBinomialMetrics)
        assert other.overdispersion == self.overdispersion
        super().merge(other)

    def loss(self) -> float:
        """Return the mean deviance."""
        return self._mean("deviance")

    def constant_loss(self) -> float:
        """Return the deviance of the mean of the labels."""
        mean, own = self._mean_label(), self._mean("own")
        of_mean = float(self._likelihood(np.array([mean]), np.array([mean]))[0])
        return unless_rounding(2 * (own - of_mean), abs(own))

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        own = self._likelihood(label, label)
        return 2 * (own - self._likelihood(np.maximum(prediction, LEAST_MEAN), label)), own

    def _likelihood(self, mean: FloatArray, label: FloatArray) -> FloatArray:
        """Return y log m - (y + 1/a) log(1 + a m), with 0 log 0 = 0."""
        a = self.overdispersion
        log = np.log(np.where(label > 0, np.maximum(mean, LEAST_MEAN), 1.0))
        return np.asarray(label * log - (label + 1 / a) * np.log1p(a * mean))

    def _named_loss(self) -> dict[str, float]:
        return {"deviance": self.loss()}
