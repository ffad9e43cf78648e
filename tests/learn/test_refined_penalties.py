"""Refining with l1 penalties, factors, constraints and priors ends at the batch optimum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize as optimise
from sklearn.linear_model import ElasticNet

from blocks import make_block, random_block
from elastic_nets import elastic_net_logistic
from onepass.block import Block
from onepass.learn.losses import Loss
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.newton import Newton
from onepass.learn.penalties import Penalties
from refining import refined

WIDTH, N_ROWS = 6, 1200
INF = float("inf")
GROUPS = (0, 0, 1, 1, 2, 2)
TRUTH = np.array([0.8, -0.6, 0.02, 0.0, 0.3, -0.3])

LOSSES = [
    Loss("squared"),
    Loss("logistic"),
    Loss("probit"),
    Loss("cloglog"),
    Loss("poisson"),
    Loss("gamma"),
    Loss("inverse_gaussian"),
    Loss("tweedie", 1.5),
    Loss("negative_binomial", 0.5),
]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda one: one.name)

GIVEN = {
    "l1": Penalties(l1=0.05),
    "factors": Penalties(l1=0.05, factors=(0.0, 2.0, 1.0, 1.0, 0.5, 1.0)),
    "bounds": Penalties(low=(0.0, -INF, 0.1, *[-INF] * 3), high=(0.2, 0.1, 0.3, *[INF] * 3)),
    "order": Penalties(l1=0.01, chains=(((0, 1.0), (1, 2.0), (4, 1.0)),)),
    "target": Penalties(l1=0.02, target=(0.1,) * WIDTH),
}
"""Penalties, and an l2 penalty of 0.02 beside them."""


def rows(loss: Loss, seed: int = 0, n_rows: int = N_ROWS) -> Block:
    """Rows with offsets and weights, features of several units, two of them correlated."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows, WIDTH))
    x[:, 1] += 0.7 * x[:, 0]
    offset = 0.3 * rng.normal(size=n_rows)
    z, noise = 0.7 * x @ TRUTH + offset, rng.random(n_rows)
    y = {
        "squared": z + rng.normal(size=n_rows),
        "logistic": noise < 1 / (1 + np.exp(-z)),
        "probit": noise < 1 / (1 + np.exp(-1.6 * z)),
        "cloglog": noise < 1 - np.exp(-np.exp(z)),
        "tweedie": rng.poisson(np.exp(z)) * rng.gamma(2.0, 0.5, n_rows),
        "negative_binomial": rng.poisson(np.exp(z) * rng.gamma(2.0, 0.5, n_rows)),
        "poisson": rng.poisson(np.exp(z)),
    }.get(loss.name, np.exp(z) * rng.gamma(2.0, 0.5, n_rows))
    weight = rng.integers(1, 4, n_rows).astype(float)
    block = make_block(x * [1, 5, 0.2, 1, 3, 1], y, weight=weight)
    return replace(block, offset=offset)


def learnt(loss: Loss, block: Block, given: Penalties, l2: float = 0.02) -> Newton:
    head = Newton(loss, WIDTH, l2=l2, careful=True, penalties=given, has_offset=True)
    head.update(block)
    return head


def of_scipy(loss: Loss, block: Block, given: Penalties, l2: float = 0.02) -> np.ndarray:
    """Return weights and intercept by SLSQP, with positive and negative parts of each weight."""
    x = block.dense.astype(float)
    total = block.weight.sum()
    mean = block.weight @ x / total
    scale = np.sqrt(block.weight @ np.square(x - mean) / total)
    factors = np.array(given.factors or (1.0,) * WIDTH)
    target = np.array(given.target or (0.0,) * WIDTH) * scale
    x = (x - mean) / scale

    def value(v: np.ndarray) -> tuple[float, np.ndarray]:
        w = v[:WIDTH] - v[WIDTH:-1]
        z = x @ w + v[-1] + block.offset
        found, g, _ = loss.expand(z, block.label, block.weight)
        found = found / total + given.l1 * factors @ (v[:WIDTH] + v[WIDTH:-1])
        found += 0.5 * l2 * factors @ np.square(w - target)
        slope = x.T @ g / total + l2 * factors * (w - target)
        l1 = given.l1 * factors
        return found, np.concatenate([slope + l1, -slope + l1, [g.sum() / total]])

    def differences(v: np.ndarray) -> np.ndarray:
        w = (v[:WIDTH] - v[WIDTH:-1]) / scale
        low, high = np.array(given.low or [-INF] * WIDTH), np.array(given.high or [INF] * WIDTH)
        found = [w[j] - low[j] for j in range(WIDTH) if np.isfinite(low[j])]
        found += [high[j] - w[j] for j in range(WIDTH) if np.isfinite(high[j])]
        for chain in given.chains:
            steps = np.array([0.0, *(w[j] / unit for j, unit in chain)])
            found += list(np.diff(steps))
        return np.array(found)

    start = np.zeros(2 * WIDTH + 1)
    constraints = [{"type": "ineq", "fun": differences}] if given.low or given.chains else []
    found = optimise(
        value,
        start,
        jac=True,
        method="SLSQP",
        bounds=[*[(0, None)] * (2 * WIDTH), (None, None)],
        constraints=constraints,
        options={"ftol": 1e-14, "maxiter": 1000},
    ).x
    w = (found[:WIDTH] - found[WIDTH:-1]) / scale
    return np.append(w, found[-1] - w @ mean)


def weights_of(head: Newton) -> np.ndarray:
    found = head.linear()
    return np.append(found.dense[0], found.intercept[0])


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
@every_loss
def test_refined_weights_are_those_of_a_general_optimiser(loss, given):
    block = rows(loss)
    head = learnt(loss, block, given)
    found = refined(head, "newton", block)
    assert found.settled
    assert found.passes[-1].slope < 1e-4 * max(1.0, found.loss)
    scale = np.append(block.dense.std(axis=0), 1.0)
    ours, theirs = weights_of(head) * scale, of_scipy(loss, block, given) * scale
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_refined_zeros_are_those_of_scikit_learn():
    for name in ("squared", "logistic"):
        block = replace(rows(Loss(name)), offset=None, weight=np.ones(N_ROWS))
        head = Newton(Loss(name), WIDTH, l2=0.02, careful=True, penalties=Penalties(l1=0.04))
        head.update(block)
        refined(head, "newton", block)
        x = block.dense.astype(float)
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        if name == "squared":
            theirs = ElasticNet(alpha=0.06, l1_ratio=2 / 3, tol=1e-12, max_iter=10**5)
        else:
            theirs = elastic_net_logistic(0.04, 0.02, N_ROWS, tol=1e-9, max_iter=20_000)
        best = theirs.fit(x, block.label).coef_.ravel() / block.dense.std(axis=0)
        ours = head.linear().dense[0]
        np.testing.assert_allclose(ours, best, atol=2e-6)
        assert ((ours == 0) == (best == 0)).all()
        assert 0 < np.count_nonzero(best) < WIDTH


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize("loss", LOSSES[:2], ids=lambda one: one.name)
def test_the_refined_weights_are_the_minimum_of_what_is_kept_of_the_rows(loss, given):
    block = rows(loss)
    head = learnt(loss, block, given)
    refined(head, "newton", block)
    # The start-up prior fades with the rows, and these are few.
    head.solution.scaling.n_rows[()] = 10**9
    before = weights_of(head)
    head.solution.solve_step()
    np.testing.assert_allclose(weights_of(head), before, atol=1e-7)
    # The same rows again have their minimum there as well.
    head.update(block)
    np.testing.assert_allclose(weights_of(head), before, atol=2e-4)


@pytest.mark.parametrize("loss", [LOSSES[0], LOSSES[4]], ids=lambda one: one.name)
def test_penalties_by_column_are_refined_to_the_conditions_of_yuan_and_lin(loss):
    block = replace(rows(loss), weight=np.ones(N_ROWS))
    head = Newton(loss, WIDTH, careful=True, has_offset=True, penalties=Penalties(groups=GROUPS))
    head.solution.chosen = np.array([0.2, 0.0, 1.0])
    head.update(block)
    assert refined(head, "newton", block).settled
    x = block.dense.astype(float)
    scale = x.std(axis=0)
    w = head.linear().dense[0] * scale
    _, g, _ = loss.expand(np.array(head.predict(block)), block.label, block.weight)
    slope = ((x - x.mean(axis=0)) / scale).T @ g / N_ROWS
    alive = 0
    for number in set(GROUPS):
        own = np.flatnonzero(np.array(GROUPS) == number)
        penalty, length = 0.2 * np.sqrt(len(own)), np.linalg.norm(w[own])
        alive += length > 0
        if length:
            np.testing.assert_allclose(slope[own], -penalty * w[own] / length, atol=1e-6)
        else:
            assert np.linalg.norm(slope[own]) < penalty
    assert 0 < alive < 3


BESIDE_SLOTS = {
    "bounds": Penalties(low=(0.0, 0.05, -INF, -INF), high=(0.1, INF, INF, 0.0)),
    "order": Penalties(chains=(((3, 1.0), (0, 1.0), (1, 0.5)),)),
}


@pytest.mark.parametrize("given", BESIDE_SLOTS.values(), ids=BESIDE_SLOTS)
def test_constraints_beside_hashed_columns_are_kept_and_the_slope_they_leave_is_0(given):
    block = random_block(4000, 4, 3, loss=Loss("logistic"), n_hashed=1, n_slots=16)
    head = Hybrid(Loss("logistic"), 4, 16, penalties=given)
    head.update(block)
    found = refined(head, "lbfgs", block, 200)
    w = head.linear().dense[0]
    if given.low:
        assert ((w >= np.array(given.low) - 1e-12) & (w <= np.array(given.high) + 1e-12)).all()
    else:
        assert 0 <= w[3] <= w[0] + 1e-12 <= 2 * w[1] + 2e-12
    assert found.passes[-1].slope < 2e-4
    # Without the constraints the loss is less by far more than the passes leave.
    free = Hybrid(Loss("logistic"), 4, 16)
    free.update(block)
    assert refined(free, "lbfgs", block, 200).loss < found.loss - 1e-3
