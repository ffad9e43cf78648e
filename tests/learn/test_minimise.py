"""Batch rules end at the optimum of scikit-learn; sums over blocks are the sum."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from blocks import LOSSES, SOFTMAX, random_block, split
from onepass.learn.firstorder.solver import FirstOrder, Steps
from onepass.learn.losses import Loss
from onepass.learn.minimise import minimise
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.newton import Newton
from onepass.learn.objective import Objective, Sums


def objective(loss: Loss, n_dense: int, l2: float = 0.0, n_slots: int = 0) -> Objective:
    n_weights = loss.n_outputs * (n_dense + 1 + n_slots)
    ridge = np.full(n_weights, l2)
    ridge[n_dense : loss.n_outputs * (n_dense + 1) : n_dense + 1] = 0
    return Objective(
        loss=loss,
        center=np.zeros(n_dense),
        scale=np.ones(n_dense),
        n_slots=n_slots,
        ridge=ridge,
        prior=np.zeros(n_weights),
    )


@pytest.mark.parametrize("loss", [*LOSSES, SOFTMAX], ids=str)
def test_sums_of_blocks_are_those_of_the_whole_and_have_their_derivatives(loss):
    block = random_block(400, 3, 1, loss=loss, n_hashed=2, n_slots=5, weighted=True)
    what, rng = objective(loss, 3, n_slots=5), np.random.default_rng(1)
    point = rng.normal(size=loss.n_outputs * 9) * 0.3
    width = 0.5 if loss.is_kinked else 0.0
    whole = what.sums(point, block, width=width, curvature=True)
    parts = [what.sums(point, part, width=width, curvature=True) for part in split(block, 90)]
    total = parts[0]
    for part in parts[1:]:
        total.add(part)
    for name in set(Sums.__slots__) - {"labels", "scores"}:
        np.testing.assert_allclose(getattr(total, name), getattr(whole, name), rtol=1e-9)
    step = 1e-5
    for j in range(len(point)):
        up, down = point.copy(), point.copy()
        up[j] += step
        down[j] -= step
        slope = what.sums(up, block, width=width).value - what.sums(down, block, width=width).value
        assert whole.slope[j] == pytest.approx(slope / (2 * step), rel=1e-3, abs=2e-2)


@pytest.mark.parametrize("rule", ["newton", "lbfgs", "gradient_descent"])
@pytest.mark.parametrize("name", ["squared", "logistic"])
def test_every_rule_ends_at_scikit_learns_optimum(rule, name):
    loss, l2 = Loss(name), 0.1
    block = random_block(2000, 4, seed=2, loss=loss)
    what = objective(loss, 4, l2)

    def evaluate(point: np.ndarray, curvature: bool) -> Sums:
        return what.sums(point, block, curvature=curvature)

    passes = {"newton": 20, "lbfgs": 60, "gradient_descent": 400}[rule]
    found = minimise(rule, what, np.zeros(5), evaluate, passes)
    if name == "squared":
        best = Ridge(alpha=l2 * 2000).fit(block.dense.astype(float), block.label)
    else:
        best = LogisticRegression(C=1 / (l2 * 2000), tol=1e-10).fit(block.dense, block.label)
    np.testing.assert_allclose(found.point[:4], np.ravel(best.coef_), atol=2e-4)
    losses = [one.loss for one in found.passes]
    assert len(losses) <= passes
    assert losses[-1] <= losses[0]
    if rule == "newton":
        assert len(losses) < 8
    if rule == "gradient_descent":
        assert (np.diff(losses) <= 1e-12).all()


@pytest.mark.parametrize("rule", ["newton", "lbfgs"])
def test_passes_are_settled_if_more_of_them_would_gain_hardly_anything(rule):
    block = random_block(2000, 4, seed=2, loss=Loss("logistic"))
    what = objective(Loss("logistic"), 4, 0.1)

    def evaluate(point: np.ndarray, curvature: bool) -> Sums:
        return what.sums(point, block, curvature=curvature)

    best = minimise("newton", what, np.zeros(5), evaluate, 40).loss
    found = [minimise(rule, what, np.zeros(5), evaluate, n) for n in range(2, 20)]
    assert {one.settled for one in found} == {True, False}
    assert all(one.loss - best < 1e-8 for one in found if one.settled)
    assert all(one.loss - best > 1e-12 for one in found if not one.settled)


@pytest.mark.parametrize("loss", [*LOSSES, SOFTMAX], ids=str)
@pytest.mark.parametrize("rule", ["newton", "lbfgs"])
def test_any_loss_is_minimised_from_far_away(loss, rule):
    block = random_block(3000, 3, seed=3, loss=loss)
    what = objective(loss, 3)
    width = 0.05 if loss.is_kinked else 0.0

    def evaluate(point: np.ndarray, curvature: bool) -> Sums:
        return what.sums(point, block, width=width, curvature=curvature)

    start = np.full(4 * loss.n_outputs, 0.5)
    found = minimise(rule, what, start, evaluate, 60)
    assert found.passes[-1].slope < 2e-3 * max(1.0, found.passes[0].slope)
    assert found.passes[-1].loss < found.passes[0].loss


def test_fewer_than_two_passes_are_refused():
    with pytest.raises(ValueError, match="at least 2"):
        minimise("newton", objective(Loss("squared"), 1), np.zeros(2), lambda p, c: None, 1)


@pytest.mark.parametrize("name", ["squared", "logistic", "softmax"])
def test_newton_goes_on_from_sums_over_all_rows_as_if_it_had_learnt_them(name):
    loss = SOFTMAX if name == "softmax" else Loss(name)
    first, second = (random_block(4000, 3, seed, loss=loss) for seed in (4, 5))
    streamed, adopted = Newton(loss, 3), Newton(loss, 3)
    streamed.update(first)
    adopted.restore(streamed.state())
    sums = adopted.objective().sums(adopted.point(), first, curvature=True)
    adopted.adopt(adopted.point(), sums, trusted=True)
    np.testing.assert_allclose(adopted.predict(second), streamed.predict(second), atol=5e-3)
    for one in (streamed, adopted):
        one.update(second)
    np.testing.assert_allclose(adopted.predict(second), streamed.predict(second), atol=5e-3)
    a, b = (np.diag(one.covariance()) for one in (streamed, adopted))
    np.testing.assert_allclose(a, b, rtol=0.02)


@pytest.mark.parametrize("averages", [False, True])
def test_first_order_predicts_with_what_it_adopts(averages):
    block = random_block(300, 3, 6, n_hashed=1, n_slots=4)
    updater = FirstOrder("adagrad", Loss("squared"), 3, 4, Steps(0.1, averages=averages))
    updater.update(block)
    point = np.arange(8.0)
    sums = updater.objective().sums(point, block, curvature=True)
    updater.adopt(point, sums, trusted=True)
    np.testing.assert_array_equal(updater.point(), point)
    expected = block.dense @ point[:3] + point[3] + point[4 + block.slots[:, 0]]
    np.testing.assert_allclose(updater.predict(block), expected, rtol=1e-6)
    updater.update(block)
    assert np.isfinite(updater.point()).all()


def test_hybrid_objective_has_its_minimum_where_slots_are_shrunk_by_the_prior():
    block = random_block(3000, 2, 7, n_hashed=1, n_slots=6)
    hybrid = Hybrid(Loss("squared"), 2, 6)
    hybrid.update(block)
    what = hybrid.objective()

    def evaluate(point: np.ndarray, curvature: bool) -> Sums:
        return what.sums(point, block, curvature=curvature)

    found = minimise("lbfgs", what, hybrid.point(), evaluate, 40)
    assert found.passes[-1].loss <= found.passes[0].loss
    assert found.passes[0].loss == pytest.approx(found.passes[-1].loss, rel=0.01)
    hybrid.adopt(found.point, found.sums, trusted=True)
    np.testing.assert_allclose(hybrid.point(), found.point)
