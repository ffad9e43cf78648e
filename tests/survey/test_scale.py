"""Location and scale: finite for any numbers, and hardly moved by outliers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from onepass.survey.scale import location_and_scale, median, robust_scale, winsorised_scale


@pytest.mark.parametrize(
    "values",
    [[1.0, 2, 3], [1.7e308, -1.7e308], [1e300, 1], [5e-324, 0], [1e-310, 2e-310], [7], [0, 0], []],
)
def test_location_and_scale_are_finite_and_the_scale_is_above_zero(values):
    center, scale = location_and_scale(np.array(values, float))
    assert np.isfinite(center)
    assert 0 < scale < np.inf
    if values == [1.0, 2, 3]:
        assert (center, scale) == (2, pytest.approx(np.std(values)))
    if len(set(values)) < 2:
        assert (center, scale) == (values[0] if values else 0, 1)


@pytest.mark.parametrize("absurd", [1e30, -1e300])
def test_one_absurd_value_does_not_flatten_all_others(absurd):
    values = np.random.default_rng(0).normal(50.0, 3.0, 10_000)
    values[17] = absurd
    center, scale = location_and_scale(values)
    assert center == pytest.approx(50, abs=0.2)
    assert scale == pytest.approx(3, rel=0.02)


def test_rare_values_keep_their_scale():
    values = np.zeros(100_000)
    values[:10] = 1.0
    assert location_and_scale(values) == pytest.approx((values.mean(), values.std()))


def test_robust_scale_is_the_deviation_of_normal_numbers_and_ignores_outliers():
    values = np.random.default_rng(0).normal(3, 7, 20_000)
    assert robust_scale(values) == pytest.approx(7, rel=0.03)
    assert robust_scale(values) == pytest.approx(stats.iqr(values) / 1.35)
    spoilt = np.where(np.arange(20_000) % 50, values, 1e9)
    assert robust_scale(spoilt) == pytest.approx(7, rel=0.06)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([2.0] * 9, 1.0), ([0.0] * 16 + [1.0] * 4, 0.3 / 2.56), ([0.0] * 99 + [10.0], 0.994987)],
)
def test_robust_scale_is_never_zero(values, expected):
    assert robust_scale(np.array(values)) == pytest.approx(expected, rel=1e-5)


def test_winsorised_scale_is_the_deviation_of_normal_numbers_and_bounded_in_heavy_tails():
    values = np.random.default_rng(0).normal(3, 7, 20_000)
    assert winsorised_scale(values) == pytest.approx(values.std(), rel=0.01)
    spoilt = np.where(np.arange(20_000) % 50, values, 1e9)
    assert 7 < winsorised_scale(spoilt) < 14
    heavy = np.random.default_rng(1).pareto(1.2, 20_000)
    assert robust_scale(heavy) < winsorised_scale(heavy) < 10 * robust_scale(heavy)


@pytest.mark.parametrize(
    "values", [[1.7e308, -1.7e308], [1e300, 1, 2, 3], [5e-324, 0], [7], [0, 0], [1e-310, 2e-310]]
)
def test_median_and_winsorised_scale_are_finite_and_the_scale_is_above_zero(values):
    values = np.array(values, float)
    assert values.min() <= median(values) <= values.max()
    assert 0 < winsorised_scale(values) < np.inf
