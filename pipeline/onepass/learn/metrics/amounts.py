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
    different units, so the loss is at one power for all versions of a model. The deviance at the
    power of a version is computed as well, if it is given.
    """

    names = (*RegressionMetrics.names, "deviance", "own", "deviance_of_version")

    def __init__(
        self, shift: float = 0.0, power: float = 1.5, of_version: float | None = None
    ) -> None:
        super().__init__(shift)
        self.power, self.of_version = power, of_version

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, TweedieMetrics)
        assert (other.power, other.of_version) == (self.power, self.of_version)
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
        found, own = self._deviance(prediction, label, self.power)
        if self.of_version in {None, self.power}:
            return found, own, found
        return found, own, self._deviance(prediction, label, self.of_version)[0]

    @staticmethod
    def _deviance(
        prediction: FloatArray, label: FloatArray, q: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the deviance of each row at a power, and half the part of the label alone."""
        m = np.maximum(prediction, LEAST_MEAN)
        own = label ** (2 - q) / ((2 - q) * (q - 1))
        pull = np.where(label > 0, label * m ** (1 - q), 0.0) / (q - 1)
        return 2 * (pull + m ** (2 - q) / (2 - q) - own), own

    def _named_loss(self) -> dict[str, float]:
        if self.of_version is None:
            return {"deviance": self.loss()}
        own = self._mean("deviance_of_version")
        return {"deviance": own} | _shapes("power", self.of_version, self.power)


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

    That of the loss is the one of the job, or else of the sample. It does not change as the
    estimate does, so that the losses of versions are comparable. The deviance at the estimate of a
    version is computed as well, if it is given. The prediction m is at least 1e-100.
    """

    names = (*RegressionMetrics.names, "deviance", "own", "deviance_of_version")

    def __init__(
        self, shift: float = 0.0, overdispersion: float = 1.0, of_version: float | None = None
    ) -> None:
        super().__init__(shift)
        self.overdispersion, self.of_version = overdispersion, of_version

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, NegativeBinomialMetrics)
        assert other.overdispersion == self.overdispersion
        assert other.of_version == self.of_version
        super().merge(other)

    def loss(self) -> float:
        """Return the mean deviance."""
        return self._mean("deviance")

    def constant_loss(self) -> float:
        """Return the deviance of the mean of the labels."""
        mean, own = self._mean_label(), self._mean("own")
        a = self.overdispersion
        of_mean = float(self._likelihood(np.array([mean]), np.array([mean]), a)[0])
        return unless_rounding(2 * (own - of_mean), abs(own))

    def _terms(self, prediction: FloatArray, label: FloatArray) -> tuple[FloatArray, ...]:
        found, own = self._deviance(prediction, label, self.overdispersion)
        if self.of_version in {None, self.overdispersion}:
            return found, own, found
        return found, own, self._deviance(prediction, label, self.of_version)[0]

    def _deviance(
        self, prediction: FloatArray, label: FloatArray, a: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the deviance of each row at an overdispersion, and the likelihood of the label."""
        own = self._likelihood(label, label, a)
        return 2 * (own - self._likelihood(np.maximum(prediction, LEAST_MEAN), label, a)), own

    @staticmethod
    def _likelihood(mean: FloatArray, label: FloatArray, a: float) -> FloatArray:
        """Return y log m - (y + 1/a) log(1 + a m), with 0 log 0 = 0."""
        log = np.log(np.where(label > 0, np.maximum(mean, LEAST_MEAN), 1.0))
        return np.asarray(label * log - (label + 1 / a) * np.log1p(a * mean))

    def _named_loss(self) -> dict[str, float]:
        if self.of_version is None:
            return {"deviance": self.loss()}
        own = self._mean("deviance_of_version")
        return {"deviance": own} | _shapes("overdispersion", self.of_version, self.overdispersion)


def _shapes(name: str, of_version: float, of_loss: float) -> dict[str, float]:
    """Return the parameter of a version, and that of the loss if it is another one."""
    return {name: of_version} | ({} if of_version == of_loss else {f"loss_{name}": of_loss})
