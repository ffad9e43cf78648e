"""Standardisation: running moments, and refreshes that do not change predictions."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.learn.scaling import Standardiser


def wild_rows(n_rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n_rows, 4)) * [1e-6, 1, 30, 1e6] + [0, 1000, -5, 0]).astype(np.float32)


def numpy_moments(x, weight) -> tuple[np.ndarray, np.ndarray]:
    mean = np.average(x.astype(float), axis=0, weights=weight)
    return mean, np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))


@pytest.mark.parametrize("n_rows", [1, 7, 250, 1000])
def test_running_moments_are_numpys_for_any_split(n_rows):
    x = wild_rows(1000, 1)
    weight = np.random.default_rng(2).integers(0, 3, 1000).astype(float)
    scaling = Standardiser(4)
    for i in range(0, 1000, n_rows):
        scaling.add(x[i : i + n_rows], weight[i : i + n_rows])
    mean, deviation = numpy_moments(x, weight)
    np.testing.assert_allclose(scaling.mean, mean, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(scaling.deviation(), deviation, rtol=1e-10)
    assert scaling.weight == weight.sum()
    assert scaling.n_rows == np.count_nonzero(weight)


def test_applied_features_have_zero_mean_and_unit_variance():
    x, scaling = wild_rows(500, 3), Standardiser(4)
    scaling.add(x, np.ones(500))
    scaling.refresh()
    z = scaling.apply(x)
    np.testing.assert_allclose(z[:, :-1].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z[:, :-1].std(axis=0), 1, rtol=1e-9)
    assert (z[:, -1] == 1).all()


def test_moved_weights_predict_what_they_did_before_refresh():
    scaling, w = Standardiser(4), np.random.default_rng(4).normal(size=5)
    probe = wild_rows(20, 5)
    for seed in range(4):
        scaling.add(wild_rows(50, seed) * np.float32(1 + seed), np.ones(50))
        before = scaling.apply(probe) @ w
        old = scaling.scale
        w = scaling.refresh() @ w
        assert (scaling.scale != old).all()
        np.testing.assert_allclose(scaling.apply(probe) @ w, before, rtol=1e-9)


def test_refresh_is_due_whenever_the_rows_have_doubled():
    scaling, due = Standardiser(1), []
    for n in range(1, 33):
        scaling.add(np.full((1, 1), n, np.float32), np.ones(1))
        if scaling.is_due():
            due.append(n)
            scaling.refresh()
    assert due == [1, 2, 4, 8, 16, 32]


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e30, 1e-30])
def test_constant_feature_keeps_scale_one_and_does_not_vary(constant):
    scaling = Standardiser(2)
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(37, 2)).astype(np.float32)
        x[:, 0] = constant
        scaling.add(x, np.full(37, 0.3))
    scaling.refresh()
    np.testing.assert_array_equal(scaling.varies(), [False, True])
    assert scaling.scale[0] == 1


def test_tiny_feature_is_not_taken_for_a_constant():
    scaling = Standardiser(1)
    x = (np.random.default_rng(6).normal(size=(100, 1)) * 1e-20).astype(np.float32)
    scaling.add(x, np.ones(100))
    np.testing.assert_allclose(scaling.deviation(), x.astype(float).std(axis=0))


def test_rows_of_weight_zero_change_nothing():
    scaling = Standardiser(4)
    scaling.add(wild_rows(10, 7), np.zeros(10))
    assert scaling.weight == scaling.n_rows == 0
    assert not scaling.mean.any()
    scaling.refresh()
    assert (scaling.scale == 1).all()
