"""Newton learns with l1 penalties, factors, constraints and a prior, as batch solvers do."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import ElasticNet, PoissonRegressor, Ridge
from tests.support.blocks import make_block
from tests.support.elastic_nets import elastic_net_logistic

from onepass.block import Block
from onepass.learn.losses import Loss
from onepass.learn.newton.difference import NewtonDifference
from onepass.learn.newton.newton import Newton
from onepass.learn.penalties import Penalties

N_ROWS, WIDTH = 6000, 8


def rows(loss: str, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N_ROWS, WIDTH)) @ (np.eye(WIDTH) + 0.3 * rng.normal(size=(WIDTH, WIDTH)))
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    z = x @ [0.8, -0.6, 0.4, 0.0, 0.0, 0.0, 0.02, -0.3]
    y = {
        "squared": lambda: z + rng.normal(size=N_ROWS),
        "logistic": lambda: (rng.random(N_ROWS) < 1 / (1 + np.exp(-z))).astype(float),
        "poisson": lambda: rng.poisson(np.exp(0.5 * z)).astype(float),
    }[loss]()
    return x, y


def learnt(loss: str, x, y, *, pieces: int = 6, weight=None, **options) -> Newton:
    learner = Newton(Loss(loss), x.shape[1], careful=True, **options)
    for piece in blocks(x, y, pieces, weight):
        learner.update(piece)
    return learner


def blocks(x, y, pieces: int, weight=None) -> list[Block]:
    weight = np.ones(len(y)) if weight is None else weight
    return [
        make_block(x[own], y[own], weight=weight[own])
        for own in np.array_split(np.arange(len(y)), pieces)
    ]


def coefficients(learner: Newton) -> np.ndarray:
    return learner.linear().dense[0]


@pytest.mark.parametrize("pieces", [1, 6, 60])
def test_squared_loss_is_the_elastic_net_of_scikit_learn_however_rows_are_split(pieces):
    x, y = rows("squared")
    found = learnt("squared", x, y, pieces=pieces, l2=0.05, penalties=Penalties(l1=0.1))
    theirs = ElasticNet(alpha=0.15, l1_ratio=0.1 / 0.15, tol=1e-10, max_iter=10**5)
    theirs.fit(x.astype(float), y)
    np.testing.assert_allclose(coefficients(found), theirs.coef_, atol=2e-5)
    assert ((coefficients(found) == 0) == (theirs.coef_ == 0)).all()
    assert found.identified() is None


@pytest.mark.parametrize(("l1", "l2"), [(0.01, 0.0), (0.05, 0.02)])
def test_logistic_loss_ends_near_the_elastic_net_of_scikit_learn(l1, l2):
    x, y = rows("logistic")
    found = learnt("logistic", x, y, l2=l2, penalties=Penalties(l1=l1))
    theirs = elastic_net_logistic(l1, l2, N_ROWS, tol=1e-5, max_iter=5000).fit(x, y)
    np.testing.assert_allclose(coefficients(found), theirs.coef_[0], atol=0.003)
    assert ((coefficients(found) == 0) == (theirs.coef_[0] == 0)).all()


def test_poisson_loss_with_a_ridge_penalty_alone_is_that_of_scikit_learn():
    x, y = rows("poisson")
    base = float(np.log(y.mean()))
    factors = Penalties(factors=(1.0,) * WIDTH)
    found = learnt("poisson", x, y, l2=0.1, base=base, penalties=factors)
    theirs = PoissonRegressor(alpha=0.1, tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(coefficients(found), theirs.coef_, atol=0.003)


def test_poisson_loss_with_l1_meets_the_conditions_of_a_minimum_nearly():
    x, y = rows("poisson")
    base = float(np.log(y.mean()))
    found = learnt("poisson", x, y, base=base, penalties=Penalties(l1=0.05))
    w = coefficients(found)
    mean = np.exp(x @ w + found.linear().intercept[0])
    slope = x.T @ (mean - y) / N_ROWS
    inside = w != 0
    np.testing.assert_allclose(slope[inside], -0.05 * np.sign(w[inside]), atol=0.003)
    assert (np.abs(slope[~inside]) < 0.053).all()
    assert 0 < inside.sum() < WIDTH


def test_a_factor_scales_the_penalty_of_its_feature_and_0_takes_it_away():
    x, y = rows("squared")
    factors = np.array([0.0, 2.0, 1.0, 1.0, 0.5, 1.0, 0.0, 1.0])
    found = learnt("squared", x, y, l2=0.3, penalties=Penalties(factors=tuple(factors)))
    slope = x.T @ (y - x @ coefficients(found) - found.linear().intercept[0]) / N_ROWS
    np.testing.assert_allclose(slope, 0.3 * factors * coefficients(found), atol=1e-5)


def test_bounds_and_orders_are_those_of_a_general_optimiser():
    x, y = rows("logistic", seed=2)
    inf = float("inf")
    low, high = (0.0, -inf, 0.1, 0.0, -inf, -inf, -inf, -inf), (inf, 0.0, 0.2, *[inf] * 5)
    given = Penalties(low=low, high=high, chains=(((4, 1.0), (5, 2.0), (6, 1.0)),))
    found = learnt("logistic", x, y, penalties=given)
    w = coefficients(found)

    def loss(v):
        z = x @ v[:-1] + v[-1]
        slope = 1 / (1 + np.exp(-z)) - y
        return np.mean(np.logaddexp(0, z) - y * z), np.append(x.T @ slope, slope.sum()) / N_ROWS

    orders = {"type": "ineq", "fun": lambda v: [v[4], v[5] / 2 - v[4], v[6] - v[5] / 2]}
    bounds = [*zip(low, high, strict=True), (-inf, inf)]
    theirs = minimize(
        loss, np.zeros(9), jac=True, method="SLSQP", bounds=bounds, constraints=orders,
        options={"ftol": 1e-12},
    )  # fmt: skip
    np.testing.assert_allclose(w, theirs.x[:-1], atol=0.004)
    assert 0 <= w[4] <= w[5] / 2 + 1e-12 <= w[6] + 2e-12
    assert found.weights().covariance is None


def test_the_ridge_penalty_pulls_to_the_target():
    x, y = rows("squared")
    target = np.linspace(-1, 1, WIDTH)
    found = learnt("squared", x, y, l2=0.5, penalties=Penalties(target=tuple(target)))
    shifted = Ridge(alpha=0.5 * N_ROWS).fit(x, y - x @ target)
    np.testing.assert_allclose(coefficients(found), target + shifted.coef_, atol=1e-4)
    x, y = rows("logistic")
    strong = learnt("logistic", x, y, l2=1e4, penalties=Penalties(target=(0.3,) * WIDTH))
    np.testing.assert_allclose(coefficients(strong), 0.3, atol=1e-3)


KINDS = {
    "l1": Penalties(l1=0.02),
    "bounds": Penalties(low=(0.0,) * WIDTH, high=(0.5,) * WIDTH),
    "order": Penalties(chains=(((0, 1.0), (2, 1.0)),), l1=0.01),
    "target": Penalties(target=(0.2,) * WIDTH),
}


@pytest.mark.parametrize("given", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_resumed_learning_gives_the_same_bytes(loss, given):
    x, y = rows(loss)
    parts = blocks(x, y, 7)
    whole = Newton(Loss(loss), WIDTH, l2=0.01, careful=True, penalties=given)
    for part in parts:
        other = Newton(Loss(loss), WIDTH, l2=0.01, careful=True, penalties=given)
        other.restore(whole.state())
        whole.update(part)
        other.update(part)
        for name, array in whole.state().items():
            np.testing.assert_array_equal(other.state()[name], array)


@pytest.mark.parametrize("given", KINDS.values(), ids=KINDS)
def test_shares_of_a_round_are_merged_to_what_one_learner_learns(given):
    x, y = rows("squared")
    first, *shares = blocks(x, y, 4)
    whole = Newton(Loss("squared"), WIDTH, l2=0.01, penalties=given)
    whole.update(first)
    state, found = whole.state(), []
    for share in shares:
        one, base = (Newton(Loss("squared"), WIDTH, l2=0.01, penalties=given) for _ in range(2))
        one.restore(state)
        base.restore(state)
        one.hold(len(shares), share.n_rows)
        one.update(share)
        found.append(one.difference(base))
        whole.update(share)
    merged = Newton(Loss("squared"), WIDTH, l2=0.01, penalties=given)
    merged.restore(state)
    merged.merge(reduce(NewtonDifference.then, found))
    np.testing.assert_allclose(coefficients(merged), coefficients(whole), atol=2e-6)


def test_neither_the_order_of_features_nor_the_unit_of_weights_matters():
    x, y = rows("logistic")
    order = np.random.default_rng(1).permutation(WIDTH)
    plain = learnt("logistic", x, y, penalties=Penalties(l1=0.02))
    moved = learnt("logistic", x[:, order], y, penalties=Penalties(l1=0.02))
    heavy = learnt("logistic", x, y, weight=np.full(N_ROWS, 1000.0), penalties=Penalties(l1=0.02))
    np.testing.assert_allclose(coefficients(moved), coefficients(plain)[order], atol=1e-6)
    np.testing.assert_allclose(coefficients(heavy), coefficients(plain), atol=5e-3)
