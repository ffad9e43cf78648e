"""The learner: the label's unit, its range, and its state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blocks import make_block, random_block, split
from learners import settings
from onepass.learn.learner import Learner
from onepass.ledger.npz import dump_state, load_state

solvers = pytest.mark.parametrize("solver", ["newton", "sgd"])


def learner(solver: str, loss: str = "squared", *, hashed: bool = False, **given) -> Learner:
    n_slots = 8 if hashed else 0
    return Learner(settings(solver=solver, loss=loss, n_slots=n_slots, **({"l2": 0.01} | given)))


@solvers
def test_labels_in_another_unit_give_predictions_in_that_unit(solver):
    block = random_block(500, 3, seed=1)
    there = replace(block, label=block.label * 40 - 7000)
    plain, scaled = learner(solver), learner(solver, center=-7000.0, scale=40.0)
    for a, b in zip(split(block, 100), split(there, 100), strict=True):
        np.testing.assert_allclose(scaled.update(b), plain.update(a) * 40 - 7000, rtol=1e-9)
    np.testing.assert_allclose(scaled.predict(block), plain.predict(block) * 40 - 7000, rtol=1e-9)


@solvers
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("hashed", [False, True])
def test_weights_reproduce_predictions(solver, loss, hashed):
    center, scale = (50.0, 9.0) if loss == "squared" else (0.0, 1.0)
    model = learner(solver, loss, hashed=hashed, center=center, scale=scale)
    block = random_block(2000, 3, seed=2, loss=loss, n_hashed=2 * hashed, n_slots=8)
    model.update(replace(block, label=block.label * scale + center))
    probe = random_block(200, 3, seed=3, n_hashed=2 * hashed, n_slots=8)
    (w,) = model.weights()
    z = w.intercept + probe.dense @ w.dense
    z = z + w.hashed[probe.slots].sum(axis=1) if hashed else z
    expected = z if loss == "squared" else 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(model.predict(probe), expected, rtol=1e-9)


@pytest.mark.parametrize("averaging", ["none", "polynomial"])
@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("loss", ["squared", "logistic", "hinge", "poisson", "softmax", "quantile"])
@solvers
def test_margins_by_the_linear_model_give_the_same_predictions(solver, loss, hashed, averaging):
    block = random_block(400, 3, seed=3, loss=loss, n_hashed=2 if hashed else 0, n_slots=8)
    scaled = {"center": 1.0, "scale": 2.0} if loss in {"squared", "quantile"} else {}
    model = learner(
        solver,
        loss,
        hashed=hashed,
        averaging=averaging,
        n_classes=3,
        quantiles=(0.1, 0.9),
        **scaled,
    )
    model.update(block)
    linear = model.linear()
    margins = linear.dense @ block.dense.T + linear.intercept[:, None]
    margins += linear.hashed[block.slots].sum(axis=1, dtype=np.float64).T
    found = model.unit().predictions(margins)
    np.testing.assert_allclose(found, model.predict(block), rtol=1e-9, atol=1e-12)


@solvers
def test_standard_errors_are_in_the_labels_unit(solver):
    block = random_block(500, 3, seed=4)
    plain, scaled = learner(solver), learner(solver, scale=40.0)
    plain.update(block)
    scaled.update(replace(block, label=block.label * 40))
    (ours,), (theirs,) = scaled.weights(), plain.weights()
    if solver == "sgd":
        assert ours.covariance is None
    else:
        np.testing.assert_allclose(ours.covariance, 40**2 * theirs.covariance, rtol=1e-9)


@solvers
def test_regression_is_clipped_to_the_labels_seen_so_far(solver):
    clipped, free = learner(solver, clip=True), learner(solver, clip=False)
    first, second = random_block(200, 3, seed=5), random_block(200, 3, seed=6)
    second = replace(second, label=second.label * 2)
    far = make_block(random_block(50, 3, seed=7).dense * 100, np.zeros(50))
    # Nothing has been seen before the first block, so nothing clips it.
    np.testing.assert_array_equal(clipped.update(first), free.update(first))
    low, high = first.label.min(), first.label.max()
    assert free.predict(far).max() > high
    np.testing.assert_array_equal(clipped.predict(far), np.clip(free.predict(far), low, high))
    # The second block is predicted before its labels widen the range.
    np.testing.assert_array_equal(clipped.update(second), np.clip(free.update(second), low, high))
    low, high = second.label.min(), second.label.max()
    np.testing.assert_array_equal(clipped.predict(far), np.clip(free.predict(far), low, high))


@solvers
def test_probabilities_stay_within_0_and_1_and_are_not_clipped_to_labels(solver):
    model = learner(solver, "logistic", clip=True)
    block = random_block(400, 3, seed=8, loss="logistic")
    ones = replace(block, label=np.ones(400))
    for piece in (*split(ones, 100), make_block(block.dense * 1000, block.label)):
        p = model.predict(piece)
        assert ((p >= 0) & (p <= 1)).all()
        model.update(piece) if piece.label.all() else None
    # Only ones were seen, and still no prediction is forced to be one.
    assert model.predict(block).min() < 1


@solvers
def test_state_holds_the_label_range(solver):
    block = random_block(300, 3, seed=9)
    model = learner(solver, clip=True)
    model.update(block)
    state = load_state(dump_state(model.state()))
    np.testing.assert_array_equal(state["label_range"], [block.label.min(), block.label.max()])
    other = learner(solver, clip=True)
    other.restore(state)
    far = make_block(block.dense * 100, np.zeros(300))
    np.testing.assert_array_equal(other.predict(far), model.predict(far))
    assert dump_state(other.state()) == dump_state(model.state())


@solvers
@pytest.mark.parametrize("name", ["label_range", "weights"])
def test_unfit_state_is_refused_and_changes_nothing(solver, name):
    name = {"weights": "0.w" if solver == "newton" else "0.dense"}.get(name, name)
    good, model = learner(solver, clip=True), learner(solver, clip=True)
    good.update(random_block(50, 3, seed=10))
    model.update(random_block(50, 3, seed=11))
    before, state = dump_state(model.state()), good.state()
    del state[name]
    with pytest.raises(ValueError, match=name.removeprefix("0.")):
        model.restore(state)
    assert dump_state(model.state()) == before


@solvers
def test_empty_block_changes_nothing(solver):
    model = learner(solver, clip=True)
    before = dump_state(model.state())
    assert model.update(random_block(0, 3, seed=12)).shape == (0,)
    assert dump_state(model.state()) == before


QUANTILES = (0.1, 0.5, 0.9)


@solvers
def test_quantiles_are_columns_that_never_cross(solver):
    model = learner(solver, "quantile", quantiles=QUANTILES, l2=0.0)
    block, probe = random_block(20_000, 3, seed=13), random_block(5000, 3, seed=14)
    assert model.update(block).shape == (20_000, 3)
    found = model.predict(probe)
    assert (np.diff(found, axis=1) >= 0).all()
    below = (probe.label[:, None] < found).mean(axis=0)
    np.testing.assert_allclose(below, QUANTILES, atol=0.03)
    assert len(model.weights()) == 3


def test_several_quantiles_are_the_single_ones():
    block = random_block(3000, 3, seed=15)
    together = learner("newton", "quantile", quantiles=QUANTILES)
    together.update(block)
    for quantile, weights in zip(QUANTILES, together.weights(), strict=True):
        alone = learner("newton", "quantile", quantiles=(quantile,))
        alone.update(block)
        np.testing.assert_array_equal(weights.dense, alone.weights()[0].dense)


def test_delta_of_huber_is_in_the_labels_unit():
    block = random_block(3000, 3, seed=16)
    there = replace(block, label=block.label * 50 + 7)
    plain = learner("newton", "huber", delta=0.5)
    scaled = learner("newton", "huber", delta=25.0, center=7.0, scale=50.0)
    plain.update(block)
    scaled.update(there)
    np.testing.assert_allclose(scaled.predict(there), plain.predict(block) * 50 + 7, rtol=1e-9)


def test_softmax_predicts_probabilities():
    model = learner("newton", "softmax", n_classes=3)
    block = random_block(4000, 3, seed=17, loss="softmax")
    model.update(block)
    p = model.predict(block)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p.argmax(axis=1) == block.label).mean() > 0.5


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
@solvers
def test_counts_are_predicted_by_positive_means(loss, solver):
    block = random_block(4000, 3, seed=18, loss=loss)
    model = learner(solver, loss, base=float(np.log(block.label.mean())))
    np.testing.assert_allclose(model.predict(block), block.label.mean())
    model.update(block)
    assert (model.predict(block) > 0).all()
    assert np.corrcoef(model.predict(block), block.label)[0, 1] > 0.3


def test_half_life_in_partitions_halves_the_weight_of_past_partitions():
    blocks = [random_block(500, 3, seed=20 + i) for i in range(4)]
    model = learner("newton", half_life_partitions=2.0, l2=0.0)
    for block in blocks:
        model.partition_begins()
        model.update(block)
    aged = [
        replace(block, weight=np.full(500, 0.5 ** (age / 2)))
        for age, block in zip((3, 2, 1, 0), blocks, strict=True)
    ]
    exact = learner("newton", l2=0.0)
    for block in aged:
        exact.update(block)
    np.testing.assert_allclose(model.predict(blocks[0]), exact.predict(blocks[0]), atol=1e-8)
