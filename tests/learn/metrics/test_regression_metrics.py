"""Regression metrics agree with scikit-learn, and are right for extreme labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from measured import N_ROWS, QUANTILES, accumulated, rows
from onepass.learn.metrics import make_metrics
from onepass.learn.metrics.quantile import middle
from onepass.learn.metrics.sketch import Sketch


@pytest.mark.parametrize("case", ["squared", "huber", "poisson", "gamma"])
def test_errors_are_scikit_learns_for_every_loss(case):
    p, y, weight = rows(case)
    values = accumulated(case, p, y, weight).values()
    mse = sk.mean_squared_error(y, p, sample_weight=weight)
    assert values["rmse"] == pytest.approx(math.sqrt(mse), rel=1e-12)
    assert values["mae"] == pytest.approx(sk.mean_absolute_error(y, p, sample_weight=weight))
    assert values["r2"] == pytest.approx(sk.r2_score(y, p, sample_weight=weight), rel=1e-10)
    assert values["mean_error"] == pytest.approx(np.average(p - y, weights=weight))


def test_losses_are_scikit_learns():
    deviances = {"poisson": sk.mean_poisson_deviance, "gamma": sk.mean_gamma_deviance}
    for case, deviance in (deviances | {"squared": sk.mean_squared_error}).items():
        p, y, weight = rows(case)
        found = accumulated(case, p, y, weight)
        assert found.loss() == pytest.approx(deviance(y, p, sample_weight=weight), rel=1e-12)
        mean = np.full(N_ROWS, np.average(y, weights=weight))
        constant = deviance(y, mean, sample_weight=weight)
        assert found.constant_loss() == pytest.approx(constant, rel=1e-12)
        assert case == "squared" or found.values()["deviance"] == found.loss()


def test_huber_is_half_the_square_within_delta_and_a_line_beyond():
    p, y, weight = rows("huber")
    r = np.abs(p - y)
    expected = np.average(np.where(r <= 0.7, r * r / 2, 0.7 * (r - 0.35)), weights=weight)
    found = accumulated("huber", p, y, weight)
    assert found.loss() == found.values()["huber"] == pytest.approx(expected, rel=1e-12)


def test_pinball_is_scikit_learns_per_quantile_and_in_the_mean():
    p, y, weight = rows("quantiles")
    found = accumulated("quantiles", p, y, weight)
    expected = [
        sk.mean_pinball_loss(y, p[:, i], alpha=q, sample_weight=weight)
        for i, q in enumerate(QUANTILES)
    ]
    table = found.tables()["quantiles"]
    assert [row["pinball"] for row in table] == pytest.approx(expected, rel=1e-12)
    assert [row["quantile"] for row in table] == list(QUANTILES)
    assert found.loss() == pytest.approx(np.mean(expected), rel=1e-12)
    below = np.average(y[:, None] <= p, weights=weight, axis=0)
    assert [row["below"] for row in table] == pytest.approx(below)
    values = found.values()
    assert [values[f"below_{q}"] for q in QUANTILES] == pytest.approx(below)
    assert values["mae"] == pytest.approx(np.average(np.abs(p[:, 1] - y), weights=weight))


@pytest.mark.parametrize(
    ("quantiles", "expected"),
    [((0.9,), 0), ((0.1, 0.5, 0.9), 1), ((0.1, 0.9), 0), ((0.4, 0.6), 0), ((0.05, 0.1, 0.6), 2)],
)
def test_middle_quantile_is_the_one_nearest_to_the_median(quantiles, expected):
    assert middle(quantiles) == expected


@pytest.mark.parametrize("center", [0.0, 5.0, 1e6])
@pytest.mark.parametrize("kind", ["normal", "cauchy", "whole", "one-sided", "constant"])
def test_loss_of_the_best_quantile_is_that_of_all_labels_in_memory(kind, center):
    rng = np.random.default_rng(2)
    y = (
        center
        + {
            "normal": rng.normal(size=N_ROWS),
            "cauchy": rng.standard_cauchy(N_ROWS) * 1e3,
            "whole": rng.poisson(3, N_ROWS).astype(float),
            "one-sided": rng.exponential(size=N_ROWS),
            "constant": np.full(N_ROWS, 3.0),
        }[kind]
    )
    quantiles = (0.01, 0.5, 0.9)
    found = make_metrics("quantile", label_center=center, quantiles=quantiles)
    found.add(np.zeros((N_ROWS, 3)), y, np.ones(N_ROWS))
    for q, row in zip(quantiles, found.tables()["quantiles"], strict=True):
        best = np.full(N_ROWS, np.quantile(y, q, method="inverted_cdf"))
        expected = sk.mean_pinball_loss(y, best, alpha=q)
        exact = kind in {"whole", "constant"}
        assert row["constant_loss"] == pytest.approx(
            expected, rel=1e-9 if exact else 1e-3, abs=1e-9
        )
        assert row["constant_loss"] <= expected * (1 + 1e-9)


@pytest.mark.parametrize("delta", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("shape", [0.0, 2.0])
def test_loss_of_the_best_huber_constant_stays_within_its_bound(delta, shape):
    rng = np.random.default_rng(3)
    y = np.exp(shape * rng.normal(size=N_ROWS)) if shape else rng.normal(size=N_ROWS)
    found = make_metrics("huber", label_center=float(y.mean()), delta=delta)
    found.add(y, y, np.ones(N_ROWS))

    def loss(c: float) -> float:
        r = np.abs(y - c)
        return float(np.mean(np.where(r <= delta, r * r / 2, delta * (r - delta / 2))))

    best = min(loss(c) for c in np.linspace(np.median(y), y.mean(), 2000))
    assert found.constant_loss() == pytest.approx(best, rel=1e-4)


def test_sketch_is_bounded_and_keeps_the_mean_of_all_magnitudes():
    rng = np.random.default_rng(4)
    sketch = Sketch(0.0)
    for _ in range(20):
        size = 10.0 ** rng.uniform(-99, 99, 5000)
        sketch.add(np.concatenate([size, -size, [0.0]]), np.ones(10_001))
    points, weight = sketch.points()
    assert weight.sum() == 20 * 10_001
    assert len(points) < 170_000
    assert (np.diff(points) >= 0).all()
    narrow = Sketch(0.0)
    for _ in range(20):
        narrow.add(np.exp(rng.normal(size=5000) * 3) - 1, np.ones(5000))
    assert len(narrow.points()[0]) < 8_500


@pytest.mark.parametrize("shift", [1e9, 1e9 + 3])
def test_large_offset_of_labels_keeps_r2_right(shift):
    p, y, weight = rows("squared", seed=8)
    found = make_metrics("squared", label_center=shift)
    found.add(p + 1e9, y + 1e9, weight)
    r2 = sk.r2_score(y + 1e9, p + 1e9, sample_weight=weight)
    assert found.values()["r2"] == pytest.approx(r2, rel=1e-6)


@pytest.mark.parametrize("case", ["squared", "poisson", "gamma", "huber", "quantile"])
def test_constant_labels_have_no_r2_and_nothing_to_gain(case):
    p, _, weight = rows(case, seed=9)
    for label in np.random.default_rng(10).uniform(0.5, 2, size=30) * 10.0 ** np.arange(-15, 15):
        # In parts, so that the rounding of the sums does not happen to cancel.
        edges = range(100, N_ROWS, 100)
        found = accumulated(case, p, np.full(N_ROWS, label), weight, edges)
        assert found.constant_loss() == pytest.approx(0, abs=1e-12 * label)
        assert math.isnan(found.values().get("r2", math.nan))


@pytest.mark.parametrize("case", ["poisson", "gamma"])
def test_prediction_of_zero_has_a_large_and_finite_deviance(case):
    found = accumulated(case, np.zeros(3), np.array([1.0, 2.0, 3.0]), np.ones(3))
    assert 100 < found.loss() < math.inf
    zero = accumulated("poisson", np.array([0.0, 3.0]), np.zeros(2), np.ones(2))
    assert zero.loss() == pytest.approx(3.0)
    assert zero.constant_loss() == 0


def test_extreme_labels_are_summed_without_overflow():
    y = np.array([1e100, -1e100, 0.0, 1.0])
    for case in ("squared", "huber", "quantile"):
        values = accumulated(case, np.zeros(4), y, np.ones(4)).values()
        assert all(math.isfinite(value) for value in values.values())
