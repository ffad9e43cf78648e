"""Groups of weights enter and leave as a whole, at the minimum of the group lasso."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from onepass.learn.newton.descent import Box, minimise
from onepass.learn.newton.grouped import Groups, minimise_groups, worst_group_fault


def problem(width: int, *, shared: float):
    rng = np.random.default_rng(3)
    x = shared * rng.normal(size=(300, 1)) + (1 - shared) * rng.normal(size=(300, width))
    x = np.column_stack([x, np.ones(300)])
    y = x[:, :4] @ [1.0, -1.0, 0.5, 0.2] + 2 + rng.normal(size=300)
    return x.T @ x, x.T @ y


def groups_of(width: int, size: int, l1: float) -> Groups:
    of = [np.arange(first, min(first + size, width)) for first in range(0, width, size)]
    return Groups(of, np.full(len(of), l1))


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.8])
def test_the_conditions_of_a_minimum_hold_along_a_path(shared):
    a, c = problem(24, shared=shared)
    w, n_inside = np.zeros(25), []
    for l1 in np.geomspace(300, 0.3, 10):
        groups = groups_of(24, 4, l1)
        w = minimise_groups(a, c, groups, w)
        assert worst_group_fault(a @ w - c, groups, w, np.array([24])) < 1e-7 * np.abs(c).max()
        n_inside.append(sum(w[own].any() for own in groups.of))
        assert all(w[own].all() or not w[own].any() for own in groups.of)
    assert n_inside[0] < n_inside[-1]


def test_groups_of_one_are_the_lasso():
    a, c = problem(12, shared=0.4)
    l1 = np.append(np.full(12, 40.0), 0.0)
    lasso = minimise(a, c, Box(l1, np.full(13, -np.inf), np.full(13, np.inf)), np.zeros(13))
    found = minimise_groups(a, c, groups_of(12, 1, 40.0), np.zeros(13))
    np.testing.assert_allclose(found, lasso, atol=1e-9)


def test_the_minimum_is_that_of_a_general_optimiser():
    a, c = problem(8, shared=0.3)
    groups = groups_of(8, 4, 30.0)

    def objective(w):
        return 0.5 * w @ a @ w - c @ w + groups.value(w)

    found = minimise_groups(a, c, groups, np.zeros(9))
    start = np.full(9, 0.1)
    theirs = minimize(objective, start, method="Powell", options={"xtol": 1e-10, "ftol": 1e-14})
    assert objective(found) <= theirs.fun + 1e-9 * abs(theirs.fun)
