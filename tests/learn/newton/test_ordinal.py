"""Ordered classes: one pass against statsmodels, states, rounds and batch passes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from statsmodels.miscmodels.ordinal_model import OrderedModel

from onepass.block import Block
from onepass.learn.cumulative import thresholds_of, total
from onepass.learn.losses import Loss
from onepass.learn.minimise import minimise
from onepass.learn.newton.keeps import Keeps
from onepass.learn.newton.ordinal import Ordinal

CUTS = np.array([-3.0, -1.0, 0.0, 2.5])
TRUE = np.array([0.5, -0.3, 0.2, 1.0, 2.0])


def drawn(n, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)) * [1, 2, 3, 1] + [0, 50, 0, 1]
    x = np.column_stack([x, rng.random(n) < 0.05]).astype(np.float32)
    z = (x - [0, 50, 0, 0, 0]) @ TRUE + rng.logistic(size=n)
    return x, np.searchsorted(CUTS, z).astype(float)


def block_of(x, y, weight=None, offset=None, cluster=None):
    weight = np.ones(len(y)) if weight is None else weight
    no_slots = np.empty((len(y), 0), np.int32)
    return Block(x, no_slots, y, weight, offset=offset, cluster=cluster)


def pieces(x, y, n_rows, **more):
    for start in range(0, len(y), n_rows):
        own = slice(start, start + n_rows)
        yield block_of(x[own], y[own], **{name: array[own] for name, array in more.items()})


def fresh(y, **settings):
    shares = np.bincount(y.astype(int), minlength=5) + 0.5
    base = thresholds_of(np.log(shares))
    return Ordinal(Loss("ordinal", n_classes=5), 5, base=base, **settings)


def learnt(x, y, n_rows=4096, **more):
    learner = fresh(y, has_offset="offset" in more)
    for block in pieces(x, y, n_rows, **more):
        learner.update(block)
    return learner


def refined(learner, x, y, **more):
    block = block_of(x, y, **more)
    objective = learner.objective()
    found = minimise(
        "newton",
        objective,
        learner.point(),
        lambda point, curvature: objective.sums(point, block, curvature=curvature),
        20,
    )
    learner.adopt(found.point, found.sums, trusted=found.trusted)
    return found


@pytest.mark.parametrize(("n", "far"), [(1_500, 0.01), (30_000, 0.1)])
def test_one_pass_ends_within_a_part_of_a_standard_error_of_statsmodels(n, far):
    x, y = drawn(n)
    model = OrderedModel(y.astype(int), x.astype(float) - [0, 50, 0, 0, 0], distr="logit")
    found = model.fit(method="bfgs", disp=0, maxiter=1000, gtol=1e-6)
    cuts = model.transform_threshold_params(found.params)[1:-1]
    known = learnt(x, y).identified()
    weights, errors = known.weights[0], np.sqrt(np.diag(known.covariance))
    assert np.abs((weights[:5] - found.params[:5]) / found.bse[:5]).max() < far
    np.testing.assert_allclose(errors[:5], found.bse[:5], rtol=0.01)
    own_cuts = weights[5:] - 50 * weights[1]
    assert np.abs(own_cuts - cuts).max() < far * found.bse[5]


def test_batch_passes_end_at_the_optimum():
    x, y = drawn(8_000)
    learner = learnt(x, y)
    found = refined(learner, x, y)
    assert found.settled
    centre = x.mean(axis=0)

    def objective(u):
        return total((x - centre) @ u[:5], y, np.ones(len(y)), u[5:])

    w, cuts = learner.solution.raw()
    start = np.append(w, cuts - w @ centre)
    best = minimize(objective, start, method="Nelder-Mead", options={"maxfev": 400})
    assert objective(start) <= best.fun + 1e-6


def test_likelihood_and_criteria_are_those_of_statsmodels():
    x, y = drawn(3_000)
    model = OrderedModel(y.astype(int), x.astype(float) - [0, 50, 0, 0, 0], distr="logit")
    theirs = model.fit(method="bfgs", disp=0, maxiter=1000, gtol=1e-6)
    learner = fresh(y, keeps=Keeps(likelihood=True))
    for block in pieces(x, y, 1_000):
        learner.update(block)
    assert learner.identified().fit.log_likelihood == pytest.approx(theirs.llf, abs=0.5)
    refined(learner, x, y)
    fit = learner.identified().fit
    assert fit.log_likelihood == pytest.approx(theirs.llf, abs=1e-5)
    assert (fit.aic, fit.bic) == pytest.approx((theirs.aic, theirs.bic), abs=1e-4)
    assert fit.deviance == pytest.approx(-2 * theirs.llf, abs=1e-4)
    shares = np.bincount(y.astype(int)) / len(y)
    assert fit.null_deviance == pytest.approx(-2 * len(y) * shares @ np.log(shares))


@pytest.mark.parametrize("kind", ["rows", "clusters"])
def test_refined_robust_errors_are_a_sandwich_of_differences(kind):
    x, y = drawn(3_000)
    rng = np.random.default_rng(3)
    weight, cluster = rng.integers(1, 3, len(y)) * 1.0, rng.integers(0, 90, len(y))
    more = {"weight": weight} | ({"cluster": cluster} if kind == "clusters" else {})
    learner = fresh(y, keeps=Keeps(scores=kind))
    for block in pieces(x, y, 1_000, **more):
        learner.update(block)
    one_pass = np.sqrt(np.diag(learner.identified().robust))
    refined(learner, x, y, **more)
    known = learner.identified()
    point, size, step = known.weights[0], known.weights.size, 1e-4

    def losses(u):
        z = x.astype(float) @ u[:5]
        edges = np.concatenate([[-np.inf], u[5:], [np.inf]])
        above, below = (1 / (1 + np.exp(z - edges[y.astype(int) + k])) for k in (1, 0))
        return -weight * np.log(above - below)

    moves = step * np.eye(size)
    slopes = np.array([losses(point + one) - losses(point - one) for one in moves]).T / (2 * step)
    bend = np.array(
        [
            [
                np.sum(
                    losses(point + one + other)
                    - losses(point + one - other)
                    - losses(point - one + other)
                    + losses(point - one - other)
                )
                for other in moves
            ]
            for one in moves
        ]
    ) / (4 * step**2)
    if kind == "clusters":
        slopes = np.array([slopes[cluster == k].sum(axis=0) for k in range(90)])
        factor = 90 / 89 * (len(y) - 1) / (len(y) - size)
    else:
        factor = len(y) / (len(y) - size)
    inverse = np.linalg.inv(bend)
    errors = np.sqrt(np.diag(factor * inverse @ slopes.T @ slopes @ inverse))
    np.testing.assert_allclose(np.sqrt(np.diag(known.robust)), errors, rtol=1e-3)
    np.testing.assert_allclose(one_pass, errors, rtol=0.05)


def test_weights_do_not_depend_on_the_unit_or_order_of_columns():
    x, y = drawn(6_000)
    order, unit = np.array([3, 1, 4, 0, 2]), np.float32([1, 0.1, 1000, 1, 1])
    one, other = learnt(x, y), learnt((x * unit)[:, order], y)
    refined(one, x, y)
    refined(other, (x * unit)[:, order], y)
    np.testing.assert_allclose(
        other.weights().dense * unit[order], one.weights().dense[order], rtol=2e-4
    )


def test_an_offset_counts_as_a_feature_of_weight_one():
    x, y = drawn(6_000)
    offset = TRUE[3] * x[:, 3].astype(float)
    rest = x.copy()
    rest[:, 3] = 0
    found = learnt(rest, y, offset=offset)
    predicted = found.predict(block_of(rest, y, offset=offset))
    np.testing.assert_allclose(found.weights().dense[[0, 1, 2, 4]], TRUE[[0, 1, 2, 4]], atol=0.25)
    moved = found.predict(block_of(rest, y, offset=offset + 1))
    np.testing.assert_allclose(predicted - moved, 1.0)


def test_rows_of_weight_two_count_twice():
    x, y = drawn(3_000)
    twice = learnt(np.repeat(x, 2, axis=0), np.repeat(y, 2), 8192)
    heavy = fresh(y)
    heavy.update(block_of(x, y, np.full(len(y), 2.0)))
    np.testing.assert_allclose(heavy.weights().dense, twice.weights().dense, rtol=0.01)


@pytest.mark.parametrize("at", [1, 3])
def test_a_restored_learner_goes_on_to_the_same_bytes(at):
    x, y = drawn(6_000)
    blocks = list(pieces(x, y, 1_000, cluster=np.arange(len(y)) // 40))
    one, other = (fresh(y, keeps=Keeps(likelihood=True, scores="clusters")) for _ in range(2))
    for block in blocks[:at]:
        one.update(block)
    other.restore(one.state())
    for block in blocks[at:]:
        one.update(block)
        other.update(block)
    for name, array in one.state().items():
        np.testing.assert_array_equal(other.state()[name], array, err_msg=name)


def test_shares_of_a_round_add_up_to_one_learner():
    x, y = drawn(40_000)
    keeps = Keeps(likelihood=True, scores="rows")
    base, alone = fresh(y, keeps=keeps), fresh(y, keeps=keeps)
    for block in pieces(x[:20_000], y[:20_000], 4096):
        base.update(block)
    assert base.adds_up
    alone.restore(base.state())
    differences = []
    for start in (20_000, 30_000):
        share = fresh(y, keeps=keeps)
        share.restore(base.state())
        share.hold(2, 20_000)
        for block in pieces(x[start : start + 10_000], y[start : start + 10_000], 4096):
            share.update(block)
            alone.update(block)
        differences.append(share.difference(base))
    base.merge(differences[0].then(differences[1]))
    error = np.sqrt(np.diag(alone.identified().covariance))[:5]
    assert np.abs((base.weights().dense - alone.weights().dense) / error).max() < 0.05
    assert base.n_rows == alone.n_rows == 40_000
    ours, theirs = base.identified(), alone.identified()
    assert ours.fit.log_likelihood == pytest.approx(theirs.fit.log_likelihood, abs=0.5)
    np.testing.assert_allclose(np.diag(ours.robust), np.diag(theirs.robust), rtol=0.01)


def test_states_with_thresholds_that_fall_are_refused():
    x, y = drawn(2_000)
    state = learnt(x, y).state()
    state["u"][-1] = -10.0
    with pytest.raises(ValueError, match="thresholds that rise"):
        fresh(y).restore(state)


def test_a_feature_that_repeats_another_is_aliased():
    x, y = drawn(5_000)
    x[:, 3] = 2 * x[:, 0] + 1
    known = learnt(x, y).identified()
    assert known.aliased.tolist() == [False, False, False, True, False]
    assert known.weights[0, 3] == 0
    np.testing.assert_allclose(known.weights[0, 0], 0.5, atol=0.15)
    assert np.isnan(known.covariance[3]).all()


def test_separable_classes_stay_finite():
    x, _ = drawn(20_000)
    y = np.searchsorted([-1.0, 0.0, 1.0, 2.0], x[:, 0]).astype(float)
    learner = learnt(x, y)
    assert np.isfinite(learner.solution.u).all()
    assert (np.diff(learner.solution.u[5:]) > 0).all()
    margins = learner.predict(block_of(x, y))
    assert total(-margins[:, 0], y, np.ones(len(y)), margins[0] - margins[0, 0]) < 0.1 * len(y)
