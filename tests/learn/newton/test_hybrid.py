"""Hashed slots: exact posteriors where there are closed forms, and one pass near the batch fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from blocks import LOSSES, SOFTMAX, make_block, random_block, split
from onepass.block import Block
from onepass.learn.losses import LOG_LINK, Loss
from onepass.learn.minimise import minimise
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.slots import Margins, SlotFilter
from onepass.learn.newton.slots_prior import FIRST_PRIOR
from onepass.learn.objective import Sums

NOTHING = np.zeros


def learn_slots(filter_: SlotFilter, slots: np.ndarray, label: np.ndarray, weight=None) -> None:
    n = len(label)
    other = Margins(NOTHING((n, 1)), NOTHING((n, 1)))
    weight = np.ones(n) if weight is None else weight
    filter_.learn(slots.astype(np.int32), other, label, weight, 0.0)


def test_one_slot_a_row_and_squared_loss_give_the_posterior_mean():
    rng = np.random.default_rng(1)
    slots, label = rng.integers(0, 4, (300, 1)), rng.normal(size=300)
    filter_ = SlotFilter(Loss("squared"), 4)
    learn_slots(filter_, slots, label)
    for slot in range(4):
        own = label[slots[:, 0] == slot]
        precision = len(own) + 1 / FIRST_PRIOR
        assert filter_.weights[slot, 0] == pytest.approx(own.sum() / precision, rel=1e-4)
        assert filter_.hashed[slot, 0, 1] == pytest.approx(1 / precision)


def test_sample_weights_count_as_repeated_rows():
    rng = np.random.default_rng(2)
    slots, label = rng.integers(0, 3, (60, 1)), rng.normal(size=60)
    weight = rng.integers(0, 3, 60).astype(float)
    one, other = SlotFilter(Loss("squared"), 3), SlotFilter(Loss("squared"), 3)
    learn_slots(one, slots, label, weight)
    times = weight.astype(int)
    learn_slots(other, np.repeat(slots, times, axis=0), np.repeat(label, times))
    np.testing.assert_allclose(one.hashed, other.hashed, rtol=1e-5)


@pytest.mark.parametrize("name", ["squared", "logistic"])
@pytest.mark.parametrize("spread", [0.1, 1.0])
def test_prior_is_learnt_from_the_spread_of_the_effects(name, spread):
    rng = np.random.default_rng(3)
    effects = spread * rng.normal(size=500)
    slots = rng.integers(0, 500, (60_000, 1))
    z = effects[slots[:, 0]]
    label = z + rng.normal(size=len(z))
    if name == "logistic":
        label = (rng.logistic(size=len(z)) < z).astype(float)
    filter_ = SlotFilter(Loss(name), 500)
    for rows in np.array_split(np.arange(len(z)), 20):
        learn_slots(filter_, slots[rows], label[rows])
    # Weak effects drown in the noise of 120 rows a level, and the prior is wider for it.
    assert 0.6 * spread**2 < float(filter_.prior) < (2.5 if spread < 1 else 1.4) * spread**2
    assert np.corrcoef(filter_.weights[:, 0], effects)[0, 1] > (0.4 if spread < 1 else 0.9)


def clicks(n_rows: int, seed: int, loss: str = "logistic") -> Block:
    """Four numbers, two of them alike, and three columns of levels with power-law frequencies."""
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(99)
    dense = rng.normal(size=(n_rows, 4))
    dense[:, 1] = dense[:, 0] + 0.1 * dense[:, 1]
    effects = [0.7 * truth.normal(size=n) for n in (10, 200, 3000)]
    levels = [np.minimum((n ** rng.random(n_rows)).astype(int), n) - 1 for n in (10, 200, 3000)]
    z = dense @ [0.5, -0.3, 0.4, 0.0] - 1
    z = z + sum(e[level] for e, level in zip(effects, levels, strict=True))
    label = (rng.logistic(size=n_rows) < z).astype(float)
    if loss == "squared":
        label = z + 0.5 * rng.normal(size=n_rows)
    return make_block(dense, label, slots=np.column_stack(levels) + np.array([0, 10, 210]))


def batch(block: Block, loss: Loss, precision: float) -> np.ndarray:
    """Weights of the penalised batch fit: dense, intercept, slots."""
    n_slots = 3210

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = block.dense @ w[:4] + w[4] + w[5:][block.slots].sum(axis=1)
        total, g, _ = loss.expand(z, block.label, block.weight)
        slope = np.concatenate(
            [
                block.dense.T @ g,
                [g.sum()],
                np.bincount(block.slots.ravel(), np.repeat(g, 3), n_slots) + precision * w[5:],
            ]
        )
        return total + precision / 2 * w[5:] @ w[5:], slope

    options = {"maxiter": 400, "gtol": 1e-3}
    return minimize(
        objective, np.zeros(5 + n_slots), jac=True, method="L-BFGS-B", options=options
    ).x


@pytest.mark.parametrize("name", ["logistic", "squared"])
@pytest.mark.parametrize("order", ["shuffled", "in files of one level each"])
def test_one_pass_over_hashed_rows_is_within_a_percent_of_the_batch_fit(name, order):
    loss = Loss(name)
    block, probe = clicks(60_000, 4, name), clicks(20_000, 5, name)
    hybrid = Hybrid(loss, 4, 3210)
    if order != "shuffled":
        block = block.take(np.argsort(block.slots[:, 0], kind="stable"))
    for piece in split(block, 5000):
        hybrid.update(piece)
    # The best of several penalties, chosen on the very rows that decide.
    at = [
        probe.dense @ w[:4] + w[4] + w[5:][probe.slots].sum(axis=1)
        for w in (batch(block, loss, precision) for precision in (0.5, 2.0, 6.0))
    ]
    best = min(loss.total(z, probe.label, probe.weight) for z in at)
    ours = loss.total(hybrid.predict(probe), probe.label, probe.weight)
    assert ours < best * (1.01 if order == "shuffled" else 1.03)


def test_trend_that_extrapolates_from_one_block_does_not_derail_the_slots():
    """Each block is one day, and one feature hardly varies within a day."""
    rng = np.random.default_rng(6)
    effects = rng.normal(size=50)
    hybrid = Hybrid(Loss("logistic"), 2, 50)
    blocks = []
    for day in rng.permutation(20):
        n = 40 if day == 3 else 800
        slots = rng.integers(0, 50, (n, 1))
        day_of = day + rng.random(n) * 1e-3
        dense = np.column_stack([day_of, rng.normal(size=n)])
        z = effects[slots[:, 0]] + dense[:, 1]
        blocks.append(make_block(dense, rng.logistic(size=n) < z, slots=slots))
    for block in blocks:
        hybrid.update(block)
    assert np.corrcoef(hybrid.weights().hashed, effects)[0, 1] > 0.95


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_extreme_labels_leave_weights_finite_and_variances_positive(loss):
    block = random_block(3000, 3, 7, loss=loss, n_hashed=3, n_slots=5)
    if loss.name not in {"logistic", "hinge"}:
        spikes = np.random.default_rng(7).random(3000) < 0.01
        block = replace(block, label=np.where(spikes, 1e6, block.label))
    hybrid = Hybrid(loss, 3, 5)
    for piece in split(block, 100):
        hybrid.update(piece)
    state = hybrid.state()
    assert all(np.isfinite(array).all() for array in state.values())
    assert (state["slots.hashed"][:, :, 1] > 0).all()


def test_same_slot_through_two_columns_of_a_row_counts_twice():
    rng = np.random.default_rng(8)
    label = 2 * np.ones(2000) + 0.1 * rng.normal(size=2000)
    hybrid = Hybrid(Loss("squared"), 1, 4)
    slots = np.zeros((2000, 2), np.int32)
    hybrid.update(make_block(rng.normal(size=(2000, 1)), label, slots=slots))
    np.testing.assert_allclose(
        hybrid.predict(make_block(np.zeros((1, 1)), [0], slots=slots[:1])), 2, atol=0.05
    )


def test_fading_follows_effects_that_change():
    rng = np.random.default_rng(9)
    found = {}
    for half_life in (None, 2000.0):
        hybrid = Hybrid(Loss("squared"), 1, 20, half_life=half_life)
        for sign in (1, -1):
            slots = rng.integers(0, 20, (20_000, 1))
            z = sign * np.linspace(-2, 2, 20)[slots[:, 0]]
            block = make_block(rng.normal(size=(20_000, 1)), z, slots=slots)
            for piece in split(block, 2000):
                hybrid.update(piece)
        found[half_life] = np.mean((hybrid.predict(block) - block.label) ** 2)
    assert found[2000.0] < 0.1 < 0.5 < found[None]


def test_l2_narrows_the_prior():
    block = clicks(20_000, 10)
    free, held = Hybrid(Loss("logistic"), 4, 3210), Hybrid(Loss("logistic"), 4, 3210, l2=0.01)
    free.update(block)
    held.update(block)
    assert np.abs(held.weights().hashed).max() < 0.6 * np.abs(free.weights().hashed).max()


def test_each_hashed_weight_comes_with_its_variance_and_a_repeated_row_tells_it_once():
    rng = np.random.default_rng(12)
    slots, label = rng.integers(0, 5, (400, 1)), rng.normal(size=400)
    once, twice = (Hybrid(Loss("squared"), 1, 8) for _ in range(2))
    block = make_block(rng.normal(size=(400, 1)), label, slots=slots)
    once.update(block)
    for _ in range(2):
        twice.update(block)
    hits = np.bincount(slots[:, 0], minlength=8)
    noise = once._slots._dispersion()
    found = once.weights().hashed_variance
    assert found.shape == once.weights().hashed.shape
    np.testing.assert_allclose(found[5:], float(once._slots.prior), rtol=1e-6)
    assert np.all(found[:5] < 2 * noise / hits[:5])
    np.testing.assert_allclose(twice.weights(2.0).hashed_variance[:5], found[:5], rtol=0.5)
    assert np.all(twice.weights().hashed_variance[:5] < 0.7 * found[:5])


@pytest.mark.parametrize("loss", [*LOSSES, SOFTMAX], ids=str)
def test_every_loss_learns_dense_and_hashed_parts_nearly_as_well_as_batch(loss):
    block = random_block(30_000, 3, 11, loss=loss, n_hashed=2, n_slots=60)
    probe = random_block(10_000, 3, 12, loss=loss, n_hashed=2, n_slots=60)
    base = float(np.log(block.label.mean())) if loss.name in LOG_LINK else 0.0
    hybrid = Hybrid(loss, 3, 60, base=base)
    for piece in split(block, 3000):
        hybrid.update(piece)
    ours = loss.total(hybrid.predict(probe), probe.label, probe.weight)
    what = hybrid.objective()

    def evaluate(point: np.ndarray, curvature: bool) -> Sums:
        return what.sums(point, block, width=0.05, curvature=curvature)

    found = minimise("lbfgs", what, hybrid.point(), evaluate, 80)
    hybrid.adopt(found.point, found.sums, trusted=True)
    best = loss.total(hybrid.predict(probe), probe.label, probe.weight)
    assert ours - best < 0.02 * abs(best)
