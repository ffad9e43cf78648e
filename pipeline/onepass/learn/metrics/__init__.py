"""Streaming metrics: add rows block by block, merge accumulators in any order.

Metrics are computed from weighted sums, so the accumulators of partitions merge by adding. Each
also gives the loss of the best constant prediction on the same rows; a model that does not beat it
has learnt nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from onepass.learn.metrics.amounts import (
    InverseGaussianMetrics,
    NegativeBinomialMetrics,
    TweedieMetrics,
)
from onepass.learn.metrics.base import Metrics, Tables, Values
from onepass.learn.metrics.binary import BinaryMetrics, HingeMetrics
from onepass.learn.metrics.multiclass import ClassMetrics
from onepass.learn.metrics.quantile import QuantileMetrics
from onepass.learn.metrics.regression import (
    GammaMetrics,
    HuberMetrics,
    PoissonMetrics,
    RegressionMetrics,
)
from onepass.learn.metrics.stretches import Stretches


def make_metrics(
    loss: str,
    *,
    label_center: float = 0.0,
    delta: float = 1.0,
    quantiles: Sequence[float] = (0.5,),
    classes: Sequence[str] = (),
    power: float = 1.5,
    overdispersion: float = 1.0,
    of_version: float | None = None,
) -> Metrics:
    """Return an empty accumulator for a loss.

    Parameters
    ----------
    label_center
        A value near the regression labels; sums are relative to it.
    delta
        Residual at which huber loss turns linear, in the label's unit.
    quantiles
        Quantiles of quantile loss, ascending.
    classes
        Texts of the classes of softmax and ordinal loss, in the order of their indices.
    power
        Power of the variance of tweedie loss.
    overdispersion
        Overdispersion of negative binomial loss.
    of_version
        Power or overdispersion of one version, at which its deviance is shown; None for that of the
        loss.

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    match loss:
        case "squared":
            return RegressionMetrics(label_center)
        case "huber":
            return HuberMetrics(label_center, delta)
        case "quantile":
            return QuantileMetrics(label_center, quantiles)
        case "poisson":
            return PoissonMetrics(label_center)
        case "gamma":
            return GammaMetrics(label_center)
        case "tweedie":
            return TweedieMetrics(label_center, power, of_version)
        case "negative_binomial":
            return NegativeBinomialMetrics(label_center, overdispersion, of_version)
        case "inverse_gaussian":
            return InverseGaussianMetrics(label_center)
        case "logistic" | "probit" | "cloglog":
            return BinaryMetrics()
        case "hinge":
            return HingeMetrics()
        case "softmax" | "ordinal":
            return ClassMetrics(classes)
    raise ValueError(f"expected the name of a loss, found {loss!r}")


__all__ = ["Metrics", "Stretches", "Tables", "Values", "make_metrics"]
