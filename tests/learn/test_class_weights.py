"""Weights of classes are weights of rows, for every solver and wherever blocks are learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression

from blocks import make_block, random_block, split
from learners import settings
from onepass.block import Block
from onepass.learn.candidates import Candidates
from onepass.learn.learner import Learner
from onepass.learn.losses import Loss
from onepass.learn.newton.slots import SlotFilter
from onepass.learn.newton.slots_classes import ClassWeights

WEIGHTS = (1.0, 5.0)


def weighed(block: Block) -> Block:
    """Return a block whose rows have the weights of their classes."""
    return replace(block, weight=block.weight * np.array(WEIGHTS)[block.label.astype(int)])


def assert_same(one, other) -> None:
    mine, theirs = one.state(), other.state()
    assert mine.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(mine[name], array, name)


@pytest.mark.parametrize("solver", ["newton", "sgd", "nag"])
@pytest.mark.parametrize("loss", ["logistic", "probit", "cloglog", "hinge"])
@pytest.mark.parametrize("n_hashed", [0, 2])
def test_they_are_weights_of_rows_to_the_last_bit(solver, loss, n_hashed):
    plain = settings(loss=loss, solver=solver, n_slots=64 * (n_hashed > 0))
    one, other = Learner(replace(plain, class_weights=WEIGHTS)), Learner(plain)
    block = random_block(6000, 3, seed=1, loss=loss, n_hashed=n_hashed, n_slots=64)
    for piece in split(block, 2000):
        one.update(piece)
        other.update(weighed(piece))
    assert_same(one, other)


def test_newton_ends_at_the_weighted_optimum_of_scikit_learn():
    block = random_block(30_000, 3, seed=2, loss="logistic")
    one = Learner(settings(loss="logistic", class_weights=WEIGHTS))
    for piece in split(block, 4096):
        one.update(piece)
    best = LogisticRegression(C=1e10, tol=1e-10, class_weight=dict(enumerate(WEIGHTS)))
    best.fit(block.dense, block.label)
    np.testing.assert_allclose(one.weights()[0].dense, best.coef_[0], atol=3e-3)
    assert one.weights()[0].intercept == pytest.approx(best.intercept_[0], abs=3e-3)


def test_candidates_are_judged_by_the_weighted_loss():
    plain = [settings(loss="logistic", l2=l2) for l2 in (0.0, 0.1)]
    several = Candidates([replace(one, class_weights=WEIGHTS) for one in plain])
    alone = Candidates(plain)
    for seed in range(3):
        block = random_block(2000, 3, seed=seed, loss="logistic")
        several.judge(block)
        alone.judge(weighed(block))
        several.update(block)
        alone.update(weighed(block))
    assert several.standings() == alone.standings()


def test_batch_passes_see_them_too():
    plain = settings(loss="logistic")
    block = random_block(500, 3, seed=3, loss="logistic")
    objective = Learner(plain).heads[0].objective()
    found = objective.sums(
        np.zeros(4), replace(plain, class_weights=WEIGHTS).scaled(block), curvature=True
    )
    expected = objective.sums(np.zeros(4), weighed(block), curvature=True)
    assert found.value == expected.value
    np.testing.assert_array_equal(found.curvature, expected.curvature)


def test_classes_of_softmax_have_weights():
    block = random_block(3000, 3, seed=4, loss="softmax")
    plain = settings(loss="softmax", n_classes=3)
    one, other = Learner(replace(plain, class_weights=(1.0, 2.0, 0.5))), Learner(plain)
    one.update(block)
    weight = np.array([1.0, 2.0, 0.5])[block.label.astype(int)]
    other.update(make_block(block.dense, block.label, weight=weight))
    assert_same(one, other)


def rows_of_shops(n: int, seed: int) -> Block:
    """Rows of 1,000 shops whose effects are moderate, and 3 % of positives."""
    rng, effects = np.random.default_rng(seed), np.random.default_rng(7).normal(size=1000)
    x, shop = rng.normal(size=(n, 1)), (1000 ** rng.random(n)).astype(np.int32) - 1
    z = 0.5 * x[:, 0] + 0.6 * effects[shop] - 4
    return make_block(x, (rng.logistic(size=n) < z).astype(float), slots=shop[:, None])


def test_hashed_weights_come_as_near_to_the_weighted_optimum_as_the_best_penalty():
    learnt, judged = rows_of_shops(20_000, 1), rows_of_shops(10_000, 2)
    heavy = 1 / learnt.label.mean() - 1
    weight = np.where(judged.label == 1, heavy, 1.0)

    def loss(z: np.ndarray) -> float:
        return float((weight * (np.logaddexp(0, z) - judged.label * z)).sum() / weight.sum())

    def design(block: Block):
        hits = (np.ones(block.n_rows), block.slots[:, 0], np.arange(block.n_rows + 1))
        return hstack([csr_matrix(block.dense), csr_matrix(hits, (block.n_rows, 1000))]).tocsr()

    best = np.inf
    for penalty in np.geomspace(1, 1000, 6):
        fit = LogisticRegression(C=1 / penalty, class_weight={0: 1, 1: heavy}, max_iter=500)
        fit.fit(design(learnt), learnt.label)
        best = min(best, loss(fit.decision_function(design(judged))))
    base = np.log(heavy * learnt.label.mean() / (1 - learnt.label.mean()))
    found = {}
    for repeats in (False, True):
        one = Learner(
            settings(
                loss="logistic", n_dense=1, n_slots=1000, class_weights=(1.0, heavy), base=base,
                careful=True, slot_prior="widened", repeats=repeats,
            )
        )  # fmt: skip
        for piece in split(learnt, 4096):
            one.update(piece)
        found[repeats] = loss(one.heads[0].predict(judged))
    assert found[False] < 1.005 * best
    # As if each positive were 30 rows of its shop.
    assert found[True] > 1.1 * best


def test_refining_keeps_the_variances_of_rows_that_count_once():
    loss = Loss("logistic")
    classes = ClassWeights.of(loss, np.array([1.0, 30.0]), 0.0)
    once, repeated = SlotFilter(loss, 4, classes=classes), SlotFilter(loss, 4)
    before = once.hashed[:, 0, 1].copy()
    for slots in (once, repeated):
        # The curvature is that of the weighted loss.
        slots.adopt(np.ones(4), np.full(4, 100.0))
        np.testing.assert_array_equal(slots.hashed[:, 0, 0], 1)
    np.testing.assert_array_equal(once.hashed[:, 0, 1], before)
    assert (repeated.hashed[:, 0, 1] < 0.01).all()


@pytest.mark.parametrize("loss", ["logistic", "probit", "cloglog", "hinge", "softmax"])
def test_weights_of_1_change_no_hashed_weight(loss):
    n_classes = 3 if loss == "softmax" else 0
    plain = settings(loss=loss, n_classes=n_classes, n_slots=64, slot_prior="widened")
    ones = (1.0,) * (n_classes or 2)
    one, other = Learner(replace(plain, class_weights=ones, repeats=False)), Learner(plain)
    block = random_block(6000, 3, seed=5, loss=loss, n_hashed=2, n_slots=64)
    for piece in split(block, 2000):
        one.update(piece)
        other.update(piece)
    assert_same(one, other)


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_dispersion_is_the_variance_of_weighted_gradients_over_their_curvature(loss):
    weights, share = np.array([0.5, 4.0, 9.0]), np.array([0.7, 0.2, 0.1])
    base = np.log(share)
    if loss == "logistic":
        weights, share, base = weights[:2], np.array([0.7, 0.3]), float(np.log(0.3 / 0.7))
    found = ClassWeights.of(Loss(loss, n_classes=3), weights, base)
    # Classes whose weighted shares are these have shares of the rows in proportion to these.
    rows = share / weights
    label = np.arange(len(rows), dtype=float)
    one = Loss(loss, n_classes=3)
    if loss == "softmax":
        _, g, p = one.expand_softmax(np.tile(base, (3, 1)), label, weights)
        curvature = weights[:, None] * p * (1 - p)
    else:
        g, curvature = one.derivatives(np.full(2, base), label, weights)
    square, bend = (rows @ np.reshape(array, (len(rows), -1)) for array in (g * g, curvature))
    assert found.dispersion == pytest.approx(square.sum() / bend.sum(), rel=1e-12)
