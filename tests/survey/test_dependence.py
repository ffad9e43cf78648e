"""Dependence: eta squared and its counterpart for classes, adjusted for chance."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.survey.dependence import explained_classes, explained_variance

N = 4000


def test_explained_variance_is_eta_squared():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 5, N)
    target = np.arange(5.0)[group] + rng.normal(size=N)
    within = np.mean([target[group == g].var() for g in range(5)])
    assert explained_variance(target, group) == pytest.approx(1 - within / target.var(), abs=0.01)
    assert explained_variance(np.arange(5.0)[group], group) == 1


@pytest.mark.parametrize("n_groups", [2, 50, 1900, 3999])
def test_groups_explain_nothing_by_chance_however_many_there_are(n_groups):
    rng = np.random.default_rng(0)
    share = explained_variance(rng.normal(size=N), rng.integers(0, n_groups, N))
    assert 0 <= share < 0.1


def test_explained_classes_is_explained_variance_for_two_and_ignores_their_order_for_more():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 5, N)
    two = (rng.random(N) < group / 5).astype(float)
    assert explained_classes(two, group) == pytest.approx(explained_variance(two, group))
    chance = rng.integers(0, 7, N).astype(float)
    assert explained_classes(chance, group) < 0.01
    kinds = np.array([3.0, 0.0, 4.0, 1.0, 2.0])
    assert explained_classes(kinds[group], group) == 1
    noisy = np.where(rng.random(N) < 0.5, kinds[group], chance)
    relabelled = np.random.default_rng(1).permutation(7).astype(float)[noisy.astype(int)]
    share = explained_classes(noisy, group)
    assert 0.1 < share < 0.5
    assert explained_classes(relabelled, group) == pytest.approx(share)


def test_explained_variance_is_zero_without_variance():
    for target in ([], [1.0], [2.0] * 10):
        for explained in (explained_variance, explained_classes):
            assert explained(np.array(target), np.arange(len(target)) % 2) == 0
