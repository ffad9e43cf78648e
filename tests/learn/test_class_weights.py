"""Weights of classes are weights of rows, for every solver and wherever blocks are learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from blocks import make_block, random_block, split
from learners import settings
from onepass.block import Block
from onepass.learn.candidates import Candidates
from onepass.learn.learner import Learner

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
