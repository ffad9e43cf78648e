"""Paired differences: the t test of scipy, laws of weights and of merging, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from onepass.learn.metrics.paired import PairedLosses


def of(first, second, weight=None):
    found = PairedLosses()
    found.add(first, second, np.ones(len(first)) if weight is None else weight)
    return found


def drawn(n, seed=0):
    rng = np.random.default_rng(seed)
    common = rng.gamma(1.0, size=n)
    return common + rng.normal(size=n) * 0.1, common + rng.normal(size=n) * 0.1


def test_difference_and_error_are_those_of_a_paired_t_test():
    first, second = drawn(5_000)
    found, known = of(first, second), stats.ttest_rel(first, second)
    assert found.difference == pytest.approx(np.mean(first - second))
    assert found.difference / found.std_error == pytest.approx(known.statistic)
    assert found.p_value == pytest.approx(known.pvalue, rel=2e-3)
    assert found.losses == pytest.approx((first.mean(), second.mean()))


def test_nothing_depends_on_the_unit_of_the_weights_or_on_how_rows_are_merged():
    first, second = drawn(900)
    weight = np.random.default_rng(1).uniform(0, 2, 900)
    whole, parts = of(first, second, weight), PairedLosses()
    for start in range(0, 900, 77):
        own = slice(start, start + 77)
        parts.merge(of(first[own], second[own], 1000 * weight[own]))
    for name in ("difference", "std_error", "p_value", "losses", "n_rows"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name))


def test_rows_of_weight_zero_count_for_nothing():
    first, second = drawn(100)
    weight = np.repeat([1.0, 0.0], 50)
    some = of(first[:50], second[:50])
    for name in ("difference", "std_error", "n_rows"):
        assert getattr(of(first, second, weight), name) == pytest.approx(getattr(some, name))


def test_intervals_cover_the_true_difference_as_often_as_they_say():
    covered = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        weight = rng.exponential(size=300)
        apart = 0.3 + rng.normal(size=300) * (1 + rng.uniform(size=300))
        low, high = of(apart, np.zeros(300), weight).interval(0.95)
        covered += low <= 0.3 <= high
    assert 0.92 < covered / 400 < 0.98


def test_too_few_rows_have_no_error():
    assert np.isnan(PairedLosses().difference)
    assert np.isnan(of(np.ones(1), np.zeros(1)).std_error)
    assert np.isnan(of(np.ones(1), np.zeros(1)).p_value)
