"""The filter of slots learns sparse rows: exact posteriors in closed form, and hashed columns."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import (
    LOSSES,
    SOFTMAX,
    entries_of,
    entries_of_slots,
    labels_for,
    make_block,
    random_block,
    sparse_matrix,
)
from onepass.block import Block
from onepass.learn.losses import Loss
from onepass.learn.newton.dispersion import noise_and_bend
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.slots import Margins, SlotFilter
from onepass.learn.newton.slots_prior import FIRST_PRIOR


def learn(filter_: SlotFilter, x: np.ndarray, label: np.ndarray) -> None:
    nothing = Margins(np.zeros((len(x), 1)), np.zeros((len(x), 1)))
    no_slots = np.empty((len(x), 0), np.int32)
    filter_.learn(no_slots, nothing, label, np.ones(len(x)), 0.0, entries_of(x))


def test_one_entry_a_row_gives_the_posterior_of_a_regression_through_the_origin():
    rng = np.random.default_rng(1)
    x = np.zeros((300, 4))
    x[np.arange(300), rng.integers(0, 4, 300)] = rng.normal(1, 2, 300)
    x, label = x.astype(np.float32).astype(float), rng.normal(size=300)
    filter_ = SlotFilter(Loss("squared"), 4)
    learn(filter_, x, label)
    prior = float(filter_.prior)
    precision = (x * x).sum(axis=0) + 1 / prior
    np.testing.assert_allclose(filter_.hashed[:, 0, 1], 1 / precision, rtol=1e-4)
    np.testing.assert_allclose(filter_.weights[:, 0], x.T @ label / precision, rtol=1e-4)


def test_one_row_moves_and_narrows_its_weights_as_a_kalman_filter_does():
    x = np.array([[0.0, 3.0, -0.5, 1.0]])
    filter_ = SlotFilter(Loss("squared"), 4)
    learn(filter_, x, np.array([2.0]))
    # The margin of the first rows has the variance of one slot.
    p = FIRST_PRIOR / (x @ x.T)[0, 0]
    gain = p * x[0] / (1 + p * (x @ x.T)[0, 0])
    np.testing.assert_allclose(filter_.weights[:, 0], 2.0 * gain, rtol=1e-6)
    np.testing.assert_allclose(filter_.hashed[:, 0, 1], p - gain * x[0] * p, rtol=1e-6)


@pytest.mark.parametrize("loss", [*LOSSES, SOFTMAX], ids=str)
def test_entries_of_the_value_1_are_hashed_columns(loss, monkeypatch):
    """One of three hashed columns as entries, so that the first prior is the same."""
    neglecting = lambda *given: noise_and_bend(*given[:-1], None)  # noqa: E731
    monkeypatch.setattr("onepass.learn.newton.slots.noise_and_bend", neglecting)
    block = random_block(3000, 3, 7, loss=loss)
    slots = np.random.default_rng(3).integers(0, 9, (3000, 3)) + 9 * np.arange(3)
    block = make_block(block.dense, block.label, slots=slots)
    entries = entries_of_slots(slots[:, 2:])
    as_entries = make_block(block.dense, block.label, slots=slots[:, :2], entries=entries)
    a, b = Hybrid(loss, 3, 27), Hybrid(loss, 3, 27)
    for one, own in ((a, block), (b, as_entries)):
        for piece in own.pieces(1500):
            one.update(piece)
    np.testing.assert_allclose(b.predict(as_entries), a.predict(block), rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(
        b.state()["slots.hashed"], a.state()["slots.hashed"], rtol=1e-3, atol=1e-5
    )


def test_entries_of_the_value_1_are_hashed_columns_in_a_round_that_might_overshoot():
    loss, slots = Loss("logistic"), np.random.default_rng(3).integers(0, 9, (8000, 3))
    slots += 9 * np.arange(3)
    block = random_block(8000, 3, 7, loss=loss)
    block = make_block(block.dense, block.label, slots=slots)
    entries = entries_of_slots(slots[:, 2:])
    as_entries = make_block(block.dense, block.label, slots=slots[:, :2], entries=entries)
    base = Hybrid(loss, 3, 27)
    base.update(block)
    found = []
    for own, n_rows in ((block, 64_000), (as_entries, 64_000), (as_entries, 3000)):
        share = Hybrid(loss, 3, 27)
        share.restore(base.state())
        share.hold(8, n_rows)
        share.update(own)
        found.append(share.state()["slots.hashed"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3, atol=1e-6)
    # A small round is learnt as ever: each row counts once.
    assert (found[2][:, :, 1] > 1.5 * found[1][:, :, 1]).all()


def test_the_error_of_weights_is_not_taken_for_noise():
    """Labels with noise of variance 0.04, while thirty weights a row are still unknown."""
    rng = np.random.default_rng(5)
    x = sparse_matrix(3000, 300, 0.1, 6)
    label = x @ rng.normal(0, 0.1, 300) + rng.normal(0, 0.2, 3000)
    filter_ = SlotFilter(Loss("squared"), 300)
    for first in range(0, 3000, 500):
        learn(filter_, x[first : first + 500], label[first : first + 500])
    noise, bend = filter_.dispersion - 0.9**6
    assert 0.02 < noise / bend < 0.06


@pytest.mark.parametrize("size", [1e-6, 1e8, 1e30])
def test_values_of_any_size_leave_variances_positive_and_weights_finite(size):
    x = sparse_matrix(2000, 6, 0.5, 8)
    x[:, 0] *= size
    label = labels_for("logistic", x[:, 1], np.random.default_rng(9))
    hybrid = Hybrid(Loss("logistic"), 0, 6)
    hybrid.update(make_block(np.empty((2000, 0)), label, entries=entries_of(x)))
    beliefs = hybrid.state()["slots.hashed"]
    assert np.isfinite(beliefs).all()
    assert (beliefs[:, :, 1] > 0).all()


def sparse_block(n_rows: int, seed: int) -> Block:
    x = sparse_matrix(n_rows, 40, 0.2, seed)
    rng = np.random.default_rng(seed)
    z = x @ np.random.default_rng(0).normal(0, 0.7, 40) + 0.5
    return make_block(
        rng.normal(size=(n_rows, 1)), labels_for("logistic", z, rng), entries=entries_of(x)
    )


@pytest.mark.parametrize("fading", [None, 3000.0])
def test_learners_of_a_round_of_sparse_rows_together_learn_what_one_does(fading):
    loss = Loss("logistic")
    base = Hybrid(loss, 1, 40, half_life=fading)
    for seed in range(4):
        base.update(sparse_block(4000, seed))
    shares = [sparse_block(1000, 10 + k) for k in range(4)]
    alone = Hybrid(loss, 1, 40, half_life=fading)
    alone.restore(base.state())
    for share in shares:
        alone.update(share)
    found = []
    for share in shares:
        one = Hybrid(loss, 1, 40, half_life=fading)
        one.restore(base.state())
        one.hold(4, 4000)
        one.update(share)
        found.append(one.difference(base))
    for difference in found:
        base.merge(difference)
    probe = sparse_block(5000, 99)
    a, b = (
        loss.total(one.predict(probe), probe.label, probe.weight) / 5000 for one in (alone, base)
    )
    assert b < a + 0.004
