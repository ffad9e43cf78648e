"""Metrics of rows with an offset, compared with the best model of the offset and a constant.

A model is compared with the best constant. Where rows have an offset, that would be no fair rival:
a constant count knows nothing of the exposure. Squared, huber and quantile loss depend on the
difference of prediction and label alone, so both are taken without the offset. A loss with a
logarithmic link is compared with a constant times exp(offset).
"""

from __future__ import annotations

import math

import numpy as np

from onepass.block import Block, FloatArray
from onepass.learn.known import explained
from onepass.learn.losses import LOG_LINK, REGRESSION, VARIANCE_POWERS
from onepass.learn.metrics.base import Metrics, Sums, Tables, Values


class BesideOffset(Sums):
    """Metrics of a deviance whose best constant is a rate.

    Parameters
    ----------
    inner
        Metrics of the same rows without regard to the offset.
    power
        Power of the mean to which the variance is proportional.
    """

    names = ("weight", "label", "pull", "push")

    def __init__(self, inner: Metrics, power: float) -> None:
        super().__init__()
        self.inner, self.power = inner, power

    def add(self, prediction: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Add rows; `prediction` has a second column with their offsets, as `judged` gives it."""
        offset, p = prediction[:, 1], self.power
        self.inner.add(np.ascontiguousarray(prediction[:, 0]), label, weight)
        pull = label * (offset if p == 1 else np.exp((1 - p) * offset))
        self._add(weight, label, pull, offset if p == 2 else np.exp((2 - p) * offset))

    def row_losses(self, prediction: FloatArray, label: FloatArray) -> FloatArray:
        """Return the deviance of each row; `prediction` is as `add` takes it."""
        return self.inner.row_losses(np.ascontiguousarray(prediction[:, 0]), label)

    def merge(self, other: Metrics) -> None:
        """Add the rows of another accumulator."""
        assert isinstance(other, BesideOffset)
        super().merge(other)
        self.inner.merge(other.inner)

    def loss(self) -> float:
        """Return the mean deviance."""
        return self.inner.loss()

    def constant_loss(self) -> float:
        """Return the mean deviance of the best constant times exp(offset).

        The deviance of a mean m is twice ``k(m) - y t(m)``, up to terms of y alone, with
        t(m) = m^(1 - p) / (1 - p) and k(m) = m^(2 - p) / (2 - p), logarithms where the power is 0
        (B. Jorgensen, "The Theory of Dispersion Models", 1997, sec. 4.1).
        """
        weight, label, pull, push = map(float, self.sums)
        if not label > 0:
            return self.inner.constant_loss()
        p = self.power
        rate = (label if p == 1 else pull) / (weight if p == 2 else push)
        own = _cost(p, rate, weight, label, pull, push)
        plain = _cost(
            p, label / weight, weight, label, 0.0 if p == 1 else label, 0.0 if p == 2 else weight
        )
        return max(0.0, self.inner.constant_loss() + 2 * (own - plain) / weight)

    def values(self) -> Values:
        """Return the metrics of the rows, with the loss of this constant."""
        return self.inner.values() | {"constant_loss": self.constant_loss()}

    def tables(self) -> Tables:
        """Return the tables of the rows."""
        return self.inner.tables()


def beside_offset(metrics: Metrics, loss: str, power: float) -> Metrics:
    """Return metrics for rows with offsets, which `judged` prepares.

    Parameters
    ----------
    power
        Power of tweedie loss.
    """
    if not _has_rate(loss):
        return metrics
    return BesideOffset(metrics, power if loss == "tweedie" else VARIANCE_POWERS[loss])


def judged(prediction: FloatArray, block: Block, loss: str) -> tuple[FloatArray, FloatArray]:
    """Return predictions and labels of a block as its metrics take them."""
    if block.offset is None:
        return prediction, block.label
    if _has_rate(loss):
        return np.column_stack([prediction, block.offset]), block.label
    if loss not in REGRESSION or loss in LOG_LINK:
        return prediction, block.label
    return explained(prediction, block.offset, loss), explained(block.label, block.offset, loss)


def _has_rate(loss: str) -> bool:
    """Return whether the variance is a power of the mean, so that the best rate is a quotient."""
    return loss in VARIANCE_POWERS or loss == "tweedie"


def _cost(p: float, rate: float, weight: float, label: float, pull: float, push: float) -> float:
    """Return the sum of ``k(m) - y t(m)`` over rows whose mean is the rate times exp(offset)."""
    log = math.log(rate)
    pulled = label * log + pull if p == 1 else pull * rate ** (1 - p) / (1 - p)
    pushed = weight * log + push if p == 2 else push * rate ** (2 - p) / (2 - p)
    return pushed - pulled
