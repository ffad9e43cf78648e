"""The learner: the label's unit, its range, and what it keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blocks import make_block, random_block, split

from pipeline.learn.learner import Learner, default_learning_rate, make_learner
from pipeline.ledger.state import dump_state, load_state

solvers = pytest.mark.parametrize("solver", ["newton", "sgd"])


def learner(solver: str, loss: str = "squared", *, hashed: bool = False, **given) -> Learner:
    settings = {"l2": 0.01, "learning_rate": 0.02, "center": 0.0, "scale": 1.0, "clip": False}
    return make_learner(
        solver=solver, loss=loss, n_dense=3, n_slots=8 if hashed else 0, **settings | given
    )


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
    w = model.weights()
    z = w.intercept + probe.dense @ w.dense + w.hashed[probe.slots].sum(axis=1)
    expected = z if loss == "squared" else 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(model.predict(probe), expected, rtol=1e-9)


@solvers
def test_standard_errors_are_in_the_labels_unit(solver):
    block = random_block(500, 3, seed=4)
    plain, scaled = learner(solver), learner(solver, scale=40.0)
    plain.update(block)
    scaled.update(replace(block, label=block.label * 40))
    if solver == "sgd":
        assert scaled.weights().dense_stderr is None
    else:
        np.testing.assert_allclose(
            scaled.weights().dense_stderr, 40 * plain.weights().dense_stderr, rtol=1e-9
        )


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
@pytest.mark.parametrize("name", ["label_range", "w"])
def test_unfit_state_is_refused_and_changes_nothing(solver, name):
    good, model = learner(solver, clip=True), learner(solver, clip=True)
    good.update(random_block(50, 3, seed=10))
    model.update(random_block(50, 3, seed=11))
    before, state = dump_state(model.state()), good.state()
    del state[name]
    with pytest.raises(ValueError, match=name):
        model.restore(state)
    assert dump_state(model.state()) == before


@solvers
def test_empty_block_changes_nothing(solver):
    model = learner(solver, clip=True)
    before = dump_state(model.state())
    assert model.update(random_block(0, 3, seed=12)).shape == (0,)
    assert dump_state(model.state()) == before


def test_default_rate_converges_on_standardised_rows_of_any_width():
    for width in (1, 10, 300):
        rate = default_learning_rate(width)
        model = make_learner(
            solver="sgd", loss="squared", n_dense=width, n_slots=0, l2=0.0, learning_rate=None,
            center=0.0, scale=1.0, clip=False,
        )  # fmt: skip
        block = random_block(20_000, width, seed=13)
        model.update(block)
        assert model.updater.learning_rate == rate
        # Noise of variance 1 is in the labels themselves.
        assert np.var(model.predict(block) - block.label) < 1.2
