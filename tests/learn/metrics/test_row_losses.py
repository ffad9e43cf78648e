"""The loss of each row, whose weighted mean is the loss of the metrics."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.learn.losses import LOSSES
from onepass.learn.metrics import make_metrics

N = 500


def drawn(loss):
    rng = np.random.default_rng(3)
    weight = rng.uniform(0.1, 3.0, N)
    if loss in {"softmax", "ordinal"}:
        p = rng.dirichlet(np.ones(4), N)
        return p, rng.integers(0, 4, N).astype(float), weight
    if loss in {"logistic", "hinge", "probit", "cloglog"}:
        return rng.uniform(0, 1, N), rng.integers(0, 2, N).astype(float), weight
    if loss == "quantile":
        return np.sort(rng.normal(size=(N, 2)), axis=1), rng.normal(size=N), weight
    if loss in {"squared", "huber"}:
        return rng.normal(size=N), 2 * rng.normal(size=N), weight
    label = (
        rng.poisson(1.0, N)
        if loss in {"poisson", "negative_binomial", "tweedie"}
        else rng.gamma(2.0, size=N)
    )
    return rng.uniform(0.2, 3.0, N), label.astype(float), weight


@pytest.mark.parametrize("loss", LOSSES)
def test_the_mean_over_rows_is_the_loss_of_the_metrics(loss):
    prediction, label, weight = drawn(loss)
    settings = {"delta": 0.7, "quantiles": (0.2, 0.9)}
    metrics = make_metrics(loss, classes="abcd", **settings)
    metrics.add(prediction, label, weight)
    each = metrics.row_losses(prediction, label)
    assert each.shape == (N,)
    np.testing.assert_allclose(weight @ each / weight.sum(), metrics.loss(), rtol=1e-12)
