"""Streaming metrics: add rows block by block, merge parts in any order.

Each keeps weighted sums, so a part per partition can be merged into the whole. The loss of the best
constant prediction on the same rows comes along: a model has learnt something when it beats it.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def make_metrics(
    loss: str,
    *,
    label_center: float = 0.0,
    delta: float = 1.0,
    quantiles: Sequence[float] = (0.5,),
    classes: Sequence[str] = (),
) -> Metrics:
    """An empty accumulator for a job's loss.

    Parameters
    ----------
    label_center
        About where regression labels lie; they are summed relative to it.
    delta
        Residual at which huber loss turns linear.
    quantiles
        Of quantile loss, ascending.
    classes
        Texts of the classes of softmax loss, in the order of their indices.
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
        case "logistic":
            return BinaryMetrics()
        case "hinge":
            return HingeMetrics()
        case "softmax":
            return ClassMetrics(classes)
    raise ValueError(f"expected the name of a loss, found {loss!r}")


__all__ = ["Metrics", "Tables", "Values", "make_metrics"]
