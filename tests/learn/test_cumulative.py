"""Cumulative logit loss: derivatives, tails, and probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from onepass.learn.cumulative import cumulative, probabilities, thresholds_of, total


def rows(n_classes, seed=0, n=40):
    rng = np.random.default_rng(seed)
    thresholds = np.sort(rng.normal(size=n_classes - 1))
    y = rng.integers(0, n_classes, n).astype(float)
    return rng.normal(size=n) * 2, y, rng.uniform(0.1, 2, n), thresholds


def difference(function, u, h=1e-6):
    return np.array([(function(u + h * e) - function(u - h * e)) / (2 * h) for e in np.eye(len(u))])


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_derivatives_are_those_of_finite_differences(n_classes):
    z, y, weight, thresholds = rows(n_classes)
    n = len(z)

    def slope(u):
        found = cumulative(u[:n], y, weight, u[n:])
        return np.append(found.slope, found.of_thresholds)

    point, found = np.append(z, thresholds), cumulative(z, y, weight, thresholds)
    of_value = difference(lambda u: total(u[:n], y, weight, u[n:]), point)
    np.testing.assert_allclose(slope(point), of_value, atol=1e-7)
    second = np.block([[np.diag(found.curvature), found.mixed], [found.mixed.T, found.between]])
    np.testing.assert_allclose(second, difference(slope, point), atol=1e-7)


def test_the_loss_is_minus_the_logarithm_of_the_probability():
    z, y, weight, thresholds = rows(5)
    p = probabilities(thresholds - z[:, None])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    nll = -weight @ np.log(p[np.arange(len(z)), y.astype(int)])
    np.testing.assert_allclose(total(z, y, weight, thresholds), nll)
    np.testing.assert_allclose(cumulative(z, y, weight, thresholds).value, nll)


def test_two_classes_are_those_of_logistic_loss():
    z, y, weight, thresholds = rows(2)
    p = expit(z - thresholds[0])
    np.testing.assert_allclose(cumulative(z, y, weight, thresholds).slope, weight * (p - y))


@pytest.mark.parametrize("z", [-800.0, -40.0, 40.0, 800.0])
def test_far_margins_have_finite_derivatives(z):
    thresholds, one = np.array([-1.0, 0.0, 2.0]), np.ones(4)
    found = cumulative(np.full(4, z), np.arange(4.0), one, thresholds)
    assert np.isfinite(found.value)
    for derivative in (found.slope, found.curvature, found.of_thresholds, found.between):
        assert np.isfinite(derivative).all()
    # The class at the far end costs nothing, and the one at the other end as much as the margin.
    np.testing.assert_allclose(found.slope[[0, -1]], [1, 0] if z > 0 else [0, -1], atol=1e-15)


def test_thresholds_that_do_not_rise_are_infinitely_bad():
    assert total(np.zeros(1), np.ones(1), np.ones(1), np.array([1.0, 1.0])) == np.inf


def test_thresholds_give_the_shares_that_they_were_made_of():
    share = np.array([0.2, 0.05, 0.7, 0.05])
    found = probabilities(thresholds_of(np.log(share) + 3.0)[None])
    np.testing.assert_allclose(found[0], share)
