"""The path of penalties is that of batch solvers, in any unit and order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, lars_path
from tests.learn.newton.test_penalised import N_ROWS, WIDTH, blocks, coefficients, learnt, rows

from onepass.learn.losses import Loss
from onepass.learn.newton.newton import Newton
from onepass.learn.newton.path import Mix, choose, path
from onepass.learn.penalties import Penalties

GROUPS = Penalties(groups=(0, 0, 0, 1, 1, 2, 3, 3))


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.1])
def test_each_point_is_the_elastic_net_of_scikit_learn(alpha):
    x, y = rows("squared")
    for point in path(learnt("squared", x, y).solution, Mix(alpha), 5, 1e-3):
        theirs = ElasticNet(alpha=point.penalty, l1_ratio=alpha, tol=1e-10, max_iter=10**5)
        theirs.fit(x.astype(float), y)
        np.testing.assert_allclose(point.weights[:-1], theirs.coef_, atol=2e-5)
        assert (point.active == (theirs.coef_ != 0)).all()


def test_the_path_begins_at_the_least_penalty_at_which_all_weights_are_0():
    x, y = rows("squared")
    learner = learnt("squared", x, y)
    first, second = path(learner.solution, Mix(), 2, 0.999)
    assert first.active.sum() == 0
    assert second.active.sum() == 1
    assert first.penalty == pytest.approx(np.abs(x.T @ (y - y.mean())).max() / N_ROWS, rel=1e-5)


def test_criteria_of_squared_loss_are_those_of_the_residuals():
    x, y = rows("squared")
    for point in path(learnt("squared", x, y).solution, Mix(), 4, 1e-3):
        residual = np.mean(np.square(y - x @ point.weights[:-1] - point.weights[-1]))
        n_weights = int(point.active.sum()) + 1
        fit = N_ROWS * np.log(residual)
        assert point.aic == pytest.approx(fit + 2 * n_weights, abs=0.01)
        assert point.bic == pytest.approx(fit + np.log(N_ROWS) * n_weights, abs=0.01)


def test_columns_enter_as_a_whole():
    x, y = rows("squared")
    points = path(learnt("squared", x, y, penalties=GROUPS).solution, Mix(by_column=True), 8, 1e-3)
    numbers = np.array(GROUPS.groups)
    for point in points:
        assert all(len(set(point.active[numbers == k])) == 1 for k in range(4))
        assert point.freedom <= point.active.sum() + 1 + 1e-9
    sizes = [int(point.active.sum()) for point in points]
    assert sizes[0] <= 3 < sizes[-1] == WIDTH


def test_unpenalised_features_are_there_from_the_start_and_constraints_are_kept():
    x, y = rows("squared")
    given = Penalties(
        factors=(0.0, *(1.0,) * 7), low=(-np.inf, 0.0, *(-np.inf,) * 6), high=(np.inf,) * 8
    )
    points = path(learnt("squared", x, y, penalties=given).solution, Mix(), 6, 1e-3)
    assert points[0].active.tolist()[:1] == [True]
    assert points[0].active.sum() <= 2
    assert all(point.weights[1] == 0 for point in points)


def test_neither_the_order_of_features_nor_the_unit_of_weights_matters():
    x, y = rows("logistic")
    order = np.random.default_rng(4).permutation(WIDTH)
    ways = [
        (learnt("logistic", x, y), np.arange(WIDTH)),
        (learnt("logistic", x[:, order], y), order),
        (learnt("squared", x, y), np.arange(WIDTH)),
        (learnt("squared", x, y, weight=np.full(N_ROWS, 7.0)), np.arange(WIDTH)),
    ]
    paths = [(path(learner.solution, Mix(), 5, 1e-2), place) for learner, place in ways]
    for (ours, _), (theirs, place) in (paths[:2], paths[2:]):
        for one, other in zip(ours, theirs, strict=True):
            assert other.penalty == pytest.approx(one.penalty, rel=1e-5)
            np.testing.assert_allclose(other.weights[:-1], one.weights[:-1][place], atol=1e-5)
        rises = [[b.aic - a.aic for a, b in pairwise(p)] for p in (ours, theirs)]
        np.testing.assert_allclose(rises[0], rises[1], rtol=1e-3, atol=1e-3)


def test_the_path_of_squared_loss_is_that_of_least_angle_regression():
    x, y = rows("squared", seed=5)
    centred, target = np.asarray(x - x.mean(axis=0), float), y - y.mean()
    penalties, _, corners = lars_path(centred, target, method="lasso")
    for point in path(learnt("squared", x, y).solution, Mix(), 7, 1e-3):
        expected = [np.interp(-point.penalty, -penalties, way) for way in corners]
        np.testing.assert_allclose(point.weights[:-1], expected, atol=2e-5)


@pytest.mark.parametrize("by_column", [False, True])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_chosen_penalty_holds_later_rows_and_survives_a_restart(loss, by_column):
    x, y = rows(loss)
    *before, last = blocks(x, y, 3)
    learner = Newton(Loss(loss), WIDTH, careful=True, penalties=GROUPS)
    for block in before:
        learner.update(block)
    mix = Mix(by_column=by_column)
    penalty = path(learner.solution, mix, 3, 1e-2)[1].penalty
    assert choose(learner.solution, mix, penalty) > 0
    state = learner.state()
    np.testing.assert_array_equal(state["chosen"], [penalty, 0.0, float(by_column)])
    other = Newton(Loss(loss), WIDTH, careful=True, penalties=GROUPS)
    other.restore(state)
    for one in (learner, other):
        one.update(last)
    for name, array in learner.state().items():
        np.testing.assert_array_equal(other.state()[name], array)
    assert (coefficients(learner) == 0).any()
    if loss == "squared" and not by_column:
        theirs = ElasticNet(alpha=penalty, l1_ratio=1.0, tol=1e-10).fit(x.astype(float), y)
        np.testing.assert_allclose(coefficients(learner), theirs.coef_, atol=2e-5)
