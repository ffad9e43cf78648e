"""Metrics: scikit-learn's numbers, from any split of the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from pipeline.learn.metrics import BinaryMetrics, RegressionMetrics, make_metrics

N_ROWS = 3000


def rows(loss: str, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, labels, weights."""
    rng = np.random.default_rng(seed)
    z, weight = rng.normal(size=N_ROWS) * 2, rng.uniform(0, 3, N_ROWS)
    if loss == "logistic":
        p = 1 / (1 + np.exp(-z))
        return p, (rng.random(N_ROWS) < p).astype(float), weight
    return z, z + rng.normal(size=N_ROWS) + 5, weight


def accumulated(loss: str, prediction, label, weight, edges=(), shift: float = 0.0):
    total = make_metrics(loss, shift)
    pieces = [np.split(a, edges) for a in (prediction, label, weight)]
    for part in zip(*pieces, strict=True):
        one = make_metrics(loss, shift)
        one.add(*part)
        total.merge(one)
    return total


def test_regression_metrics_are_scikit_learns():
    p, y, weight = rows("squared")
    found = accumulated("squared", p, y, weight)
    mse = sk.mean_squared_error(y, p, sample_weight=weight)
    assert found.n_rows == N_ROWS
    assert found.loss() == pytest.approx(mse, rel=1e-12)
    values = found.values()
    assert values["rmse"] == pytest.approx(math.sqrt(mse), rel=1e-12)
    assert values["mae"] == pytest.approx(sk.mean_absolute_error(y, p, sample_weight=weight))
    assert values["r2"] == pytest.approx(sk.r2_score(y, p, sample_weight=weight), rel=1e-10)
    assert values["mean_error"] == pytest.approx(np.average(p - y, weights=weight))


def test_binary_metrics_are_scikit_learns():
    p, y, weight = rows("logistic")
    found = accumulated("logistic", p, y, weight)
    assert found.loss() == pytest.approx(sk.log_loss(y, p, sample_weight=weight), rel=1e-12)
    values = found.values()
    auc = sk.roc_auc_score(y, p, sample_weight=weight)
    assert abs(values["auc"] - auc) <= values["auc_error"] + 1e-12
    assert 0 < values["auc_error"] < 1e-3
    accuracy = sk.accuracy_score(y, p > 0.5, sample_weight=weight)
    assert values["accuracy"] == pytest.approx(accuracy, rel=1e-12)
    assert values["positive"] == pytest.approx(np.average(y, weights=weight))


def test_auc_error_bounds_the_error_when_predictions_crowd_in_few_bins():
    p, y, weight = rows("logistic", seed=2)
    crowded = 0.5 + (p - 0.5) * 0.02
    values = accumulated("logistic", crowded, y, weight).values()
    error = abs(values["auc"] - sk.roc_auc_score(y, crowded, sample_weight=weight))
    assert 1e-6 < error <= values["auc_error"]


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("edges", [[1], [1000, 1000, 2999], list(range(1, 200))])
def test_merged_parts_equal_all_at_once(loss, edges):
    data = rows(loss, seed=3)
    parts, whole = accumulated(loss, *data, edges), accumulated(loss, *data)
    assert parts.n_rows == whole.n_rows
    assert parts.values() == pytest.approx(whole.values(), rel=1e-10)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_constant_loss_is_that_of_the_best_constant(loss):
    _, y, weight = rows(loss, seed=4)
    constant = np.full(N_ROWS, np.average(y, weights=weight))
    at_best = accumulated(loss, constant, y, weight)
    assert at_best.constant_loss() == pytest.approx(at_best.loss(), rel=1e-10)
    for other in (constant * 0.97, constant * 1.03):
        assert accumulated(loss, other, y, weight).loss() > at_best.constant_loss()


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_no_rows_are_nan_not_an_error(loss):
    empty = make_metrics(loss)
    assert math.isnan(empty.loss())
    assert math.isnan(empty.constant_loss())
    assert all(math.isnan(value) for value in empty.values().values())
    none = np.empty(0)
    empty.add(none, none, none)
    assert empty.n_rows == 0
    assert math.isnan(empty.loss())


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_rows_of_weight_zero_do_not_count(loss):
    p, y, weight = rows(loss, seed=5)
    weight[::2] = 0
    found = accumulated(loss, p, y, weight).values()
    assert found == pytest.approx(
        accumulated(loss, p[1::2], y[1::2], weight[1::2]).values(), rel=1e-12
    )


def test_certain_predictions_have_finite_loss():
    y = np.array([0.0, 1.0, 0.0, 1.0])
    right = accumulated("logistic", y, y, np.ones(4)).values()
    assert right["log_loss"] < 1e-14
    assert (right["auc"], right["accuracy"]) == (1.0, 1.0)
    wrong = accumulated("logistic", 1 - y, y, np.ones(4)).values()
    assert 30 < wrong["log_loss"] < 40
    assert (wrong["auc"], wrong["accuracy"]) == (0.0, 0.0)


def test_constant_predictions_have_auc_one_half():
    _, y, weight = rows("logistic", seed=6)
    for p in (0.0, 0.2, 1.0):
        values = accumulated("logistic", np.full(N_ROWS, p), y, weight).values()
        assert values["auc"] == values["auc_error"] == pytest.approx(0.5)


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_one_class_alone_has_no_auc_and_no_entropy(y):
    p = rows("logistic", seed=7)[0]
    values = accumulated("logistic", p, np.full(N_ROWS, y), np.full(N_ROWS, 0.1)).values()
    assert math.isnan(values["auc"])
    assert values["constant_loss"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("shift", [1e9, 1e9 + 3])
def test_large_offset_of_labels_keeps_r2_right(shift):
    p, y, weight = rows("squared", seed=8)
    p, y = p + 1e9, y + 1e9
    found = accumulated("squared", p, y, weight, shift=shift).values()
    assert found["r2"] == pytest.approx(sk.r2_score(y, p, sample_weight=weight), rel=1e-6)


def test_constant_labels_have_no_r2():
    p, _, weight = rows("squared", seed=9)
    for label in np.random.default_rng(10).normal(size=30) * 10.0 ** np.arange(-15, 15):
        # In parts, so that the rounding of the sums does not happen to cancel.
        edges = range(100, N_ROWS, 100)
        found = accumulated("squared", p, np.full(N_ROWS, label), weight, edges)
        assert found.constant_loss() == 0
        assert math.isnan(found.values()["r2"])


def test_loss_decides_the_kind_of_metrics():
    assert isinstance(make_metrics("logistic"), BinaryMetrics)
    assert isinstance(make_metrics("squared", 3.0), RegressionMetrics)
    assert make_metrics("squared", 3.0).shift == 3.0


def test_parts_of_another_shift_are_not_merged():
    with pytest.raises(AssertionError):
        RegressionMetrics(1.0).merge(RegressionMetrics(2.0))
