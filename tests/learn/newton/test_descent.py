"""Quadratics with l1 penalties and bounds are minimised exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from sklearn.linear_model import ElasticNet

from onepass.learn.newton.descent import Box, minimise, worst_fault


def problem(n_rows: int, width: int, *, shared: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = shared * rng.normal(size=(n_rows, 1)) + (1 - shared) * rng.normal(size=(n_rows, width))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = x @ (rng.normal(size=width) * (rng.random(width) < 0.3)) + rng.normal(size=n_rows)
    return x, y


def free(width: int, l1: float) -> Box:
    return Box(np.full(width, l1), np.full(width, -np.inf), np.full(width, np.inf))


@pytest.mark.parametrize("shared", [0.0, 0.9, 0.99])
@pytest.mark.parametrize("n_rows", [20, 400])
def test_the_conditions_of_a_minimum_hold_along_a_path_also_where_features_are_collinear(
    n_rows, shared
):
    x, y = problem(n_rows, 40, shared=shared)
    a, c = x.T @ x, x.T @ y
    w, most = np.zeros(40), np.abs(c).max()
    for l1 in np.geomspace(most, 1e-4 * most, 12):
        w = minimise(a, c, free(40, l1), w)
        assert worst_fault(a @ w - c, free(40, l1), w) < 1e-8 * most


def test_elastic_net_is_that_of_scikit_learn():
    x, y = problem(500, 30, shared=0.5)
    alpha, share = 0.05, 0.7
    theirs = ElasticNet(
        alpha=alpha, l1_ratio=share, fit_intercept=False, tol=1e-14, max_iter=10**6
    ).fit(x, y)
    a = x.T @ x + 500 * alpha * (1 - share) * np.eye(30)
    ours = minimise(a, x.T @ y, free(30, 500 * alpha * share), np.zeros(30))
    np.testing.assert_allclose(ours, theirs.coef_, atol=1e-9)
    assert ((ours == 0) == (theirs.coef_ == 0)).all()


def test_bounds_are_those_of_scipy_and_are_met_exactly():
    x, y = problem(300, 25, shared=0.6)
    low, high = np.full(25, -0.1), np.full(25, 0.2)
    low[:5], high[5:8] = 0.05, np.inf
    ours = minimise(x.T @ x, x.T @ y, Box(np.zeros(25), low, high), np.zeros(25))
    theirs = lsq_linear(x, y, (low, high), tol=1e-15, max_iter=1000).x
    np.testing.assert_allclose(ours, theirs, atol=1e-8)
    assert (ours >= low).all()
    assert (ours <= high).all()
    assert (ours == low).any()
    assert (ours == high).any()


def test_a_weight_that_nothing_determines_stays_where_it_is():
    a, c = np.diag([4.0, 0.0]), np.array([2.0, 0.0])
    found = minimise(a, c, free(2, 0.0), np.array([0.0, 0.7]))
    np.testing.assert_array_equal(found, [0.5, 0.7])


def test_the_unit_of_a_feature_does_not_matter():
    x, y = problem(200, 10, shared=0.3)
    unit = np.geomspace(1e-2, 1e2, 10)
    box = free(10, 20.0)
    scaled = Box(box.l1 * unit, box.low, box.high)
    plain = minimise(x.T @ x, x.T @ y, box, np.zeros(10))
    other = minimise((x * unit).T @ (x * unit), (x * unit).T @ y, scaled, np.zeros(10))
    np.testing.assert_allclose(other * unit, plain, atol=1e-12)
