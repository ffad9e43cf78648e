"""Losses: derivatives, extremes, the inverse link."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from pipeline.learn.losses import Loss, curvature, gradient, value

losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def labels(loss) -> tuple[float, ...]:
    return (0.0, 1.0) if loss.name == "logistic" else (-3.0, 0.5)


@losses
@pytest.mark.parametrize("z", [-30.0, -2.0, -1e-3, 0.0, 0.7, 5.0, 30.0])
def test_gradient_and_curvature_are_the_finite_differences(loss, z):
    h = 1e-4
    for y in labels(loss):
        # float64 alone limits the difference: an absolute error of about eps * value / h.
        slope = (value(loss.code, z + h, y) - value(loss.code, z - h, y)) / (2 * h)
        assert gradient(loss.code, z, y) == pytest.approx(slope, rel=1e-6, abs=1e-9)
        bend = (gradient(loss.code, z + h, y) - gradient(loss.code, z - h, y)) / (2 * h)
        assert curvature(loss.code, z, y) == pytest.approx(bend, rel=1e-6, abs=1e-11)


@losses
def test_everything_is_finite_and_convex_at_extreme_margins(loss):
    z = np.array([s * 10.0**e for s in (-1, 1) for e in range(7)])
    for y in labels(loss):
        total, g, c = loss.expand(z, np.full_like(z, y), np.ones_like(z))
        assert np.isfinite([total, *g, *c]).all()
        assert (c >= 0).all()
        assert np.isfinite(loss.mean(z)).all()


def test_logistic_value_grows_linearly_with_a_wrong_margin():
    code = Loss("logistic").code
    assert value(code, -1e6, 1.0) == 1e6
    assert value(code, 1e6, 0.0) == 1e6
    assert value(code, 1e6, 1.0) == 0.0


@losses
def test_total_is_the_weighted_sum_of_values_and_what_expand_says(loss):
    rng = np.random.default_rng(1)
    z, weight = rng.normal(size=50) * 5, rng.uniform(0, 3, 50)
    y = rng.choice(labels(loss), 50)
    by_hand = sum(w * value(loss.code, a, b) for w, a, b in zip(weight, z, y, strict=True))
    total, g, c = loss.expand(z, y, weight)
    assert loss.total(z, y, weight) == pytest.approx(by_hand, rel=1e-12)
    assert total == pytest.approx(by_hand, rel=1e-12)
    each = zip(z, y, strict=True)
    np.testing.assert_allclose(g, weight * [gradient(loss.code, a, b) for a, b in each])
    each = zip(z, y, strict=True)
    np.testing.assert_allclose(c, weight * [curvature(loss.code, a, b) for a, b in each])


def test_mean_is_the_inverse_link_to_full_precision_in_both_tails():
    z = np.linspace(-700, 700, 2001)
    np.testing.assert_allclose(Loss("logistic").mean(z), expit(z), rtol=1e-13)
    np.testing.assert_array_equal(Loss("squared").mean(z), z)
