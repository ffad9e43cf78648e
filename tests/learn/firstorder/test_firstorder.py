"""First-order rules, weight by weight against scikit-learn and loops of a few lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier, SGDRegressor

from blocks import LOSSES, SOFTMAX, make_block, random_block, split
from onepass.block import Block
from onepass.errors import Diverged
from onepass.learn.firstorder.defaults import DEFAULTS, default_rate
from onepass.learn.firstorder.solver import FirstOrder, Steps
from onepass.learn.implicit import implicit_gradient
from onepass.learn.losses import Loss
from onepass.learn.pointwise import gradient

every_loss = pytest.mark.parametrize("loss", LOSSES, ids=str)
RATES = {"sgd": 0.03, "adagrad": 0.3, "nag": 0.5, "adam": 0.05, "ftrl": 0.3, "dog": 1.0}


def learnt(rule: str, loss: Loss, block: Block, *, n_slots: int = 0, **steps) -> FirstOrder:
    steps = {"learning_rate": RATES[rule]} | steps
    updater = FirstOrder(rule, loss, block.dense.shape[1], n_slots, Steps(**steps))
    for piece in split(block, 70):
        updater.update(piece)
    return updater


def raw(updater: FirstOrder) -> np.ndarray:
    """Weights and intercept of the iterate."""
    return updater.state()["dense"][0, 0]


class Loop:
    """Learn rows one by one, as a reference; one weight vector with the intercept last."""

    def __init__(self, loss: Loss, block: Block, l2: float = 0.0) -> None:
        self.loss, self.l2 = loss, l2
        self.x = np.column_stack([block.dense.astype(float), np.ones(block.n_rows)])
        self.y, self.weight = block.label, block.weight
        self.w = np.zeros(self.x.shape[1])
        self.free = np.append(np.ones(self.x.shape[1] - 1), 0)

    def rows(self):
        t = 0
        for x, y, weight in zip(self.x, self.y, self.weight, strict=True):
            if weight > 0:
                t += 1
                z = x @ self.w
                g = weight * gradient(self.loss.code, self.loss.shape, 0.0, z, y)
                yield t, x, y, weight, z, g, g * x + weight * self.l2 * self.free * self.w


@every_loss
@pytest.mark.parametrize("l2", [0.0, 0.02])
def test_sgd_is_the_textbook_step(loss, l2):
    block = random_block(300, 4, seed=1, loss=loss, weighted=True)
    loop = Loop(loss, block, l2)
    for *_, grad in loop.rows():
        loop.w = loop.w - 0.03 * grad
    np.testing.assert_allclose(raw(learnt("sgd", loss, block, l2=l2)), loop.w, rtol=1e-9)


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        (Loss("squared"), SGDRegressor(loss="squared_error")),
        (Loss("huber", 0.7), SGDRegressor(loss="huber", epsilon=0.7)),
        (Loss("logistic"), SGDClassifier(loss="log_loss")),
        (Loss("hinge"), SGDClassifier(loss="hinge")),
    ],
    ids=str,
)
@pytest.mark.parametrize("schedule", ["constant", "inverse_scaling"])
def test_sgd_is_scikit_learns(loss, theirs, schedule):
    block = random_block(400, 3, seed=2, loss=loss)
    rate = {"constant": "constant", "inverse_scaling": "invscaling"}[schedule]
    theirs = clone(theirs)
    theirs.set_params(eta0=0.03, learning_rate=rate, power_t=0.25, alpha=0.01, shuffle=False)
    fit = {"classes": [0, 1]} if isinstance(theirs, SGDClassifier) else {}
    theirs.partial_fit(block.dense.astype(float), block.label, **fit)
    ours = learnt("sgd", loss, block, schedule=schedule, l2=0.01)
    expected = np.append(np.ravel(theirs.coef_), theirs.intercept_)
    np.testing.assert_allclose(raw(ours), expected, rtol=1e-6)


@every_loss
def test_adagrad_agrees_with_a_plain_loop(loss):
    block = random_block(300, 4, seed=3, loss=loss, weighted=True)
    loop, total = Loop(loss, block), np.zeros(5)
    for *_, grad in loop.rows():
        total += grad**2
        loop.w = loop.w - 0.3 * grad / np.maximum(np.sqrt(total), 1e-300)
    np.testing.assert_allclose(raw(learnt("adagrad", loss, block)), loop.w, rtol=1e-5, atol=1e-6)


@every_loss
def test_nag_agrees_with_a_plain_loop(loss):
    block = random_block(300, 4, seed=4, loss=loss, weighted=True)
    block = replace(block, dense=(block.dense * [1e-3, 1, 10, 1e4]).astype(np.float32))
    loop, total, square, lengths = Loop(loss, block), np.zeros(5), np.zeros(5), 0.0
    for t, x, *_, grad in loop.rows():
        square += x**2
        lengths += (x**2 / (square / t)).sum()
        total += grad**2
        divisor = np.sqrt(total) * np.sqrt(square / t) * np.sqrt(lengths / t)
        rate = 0.5 / np.maximum(divisor, 1e-300)
        loop.w = loop.w - rate * grad
    np.testing.assert_allclose(raw(learnt("nag", loss, block)), loop.w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", [LOSSES[0], LOSSES[1]], ids=str)
def test_nag_does_not_depend_on_the_scale_of_features(loss):
    block = random_block(2000, 4, seed=5, loss=loss)
    power = np.array([2.0**-20, 1, 2.0**10, 2.0**15], np.float32)
    moved = replace(block, dense=block.dense * power)
    np.testing.assert_allclose(
        learnt("nag", loss, moved).predict(moved),
        learnt("nag", loss, block).predict(block),
        rtol=1e-5,
        atol=1e-6,
    )


@every_loss
def test_adam_agrees_with_a_plain_loop(loss):
    block = random_block(300, 4, seed=6, loss=loss, weighted=True)
    loop, mean, square = Loop(loss, block), np.zeros(5), np.zeros(5)
    for t, *_, grad in loop.rows():
        mean = 0.9 * mean + 0.1 * grad
        square = 0.999 * square + 0.001 * grad**2
        corrected = mean / (1 - 0.9**t), square / (1 - 0.999**t)
        loop.w = loop.w - 0.05 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
    np.testing.assert_allclose(raw(learnt("adam", loss, block)), loop.w, rtol=1e-7)


@every_loss
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (2.0, 0.5)])
def test_ftrl_agrees_with_a_plain_loop(loss, l1, l2):
    block = random_block(300, 4, seed=7, loss=loss, weighted=True)
    loop, z, n = Loop(loss, block), np.zeros(5), np.zeros(5)
    for _, x, _, _, _, margin_gradient, _ in loop.rows():
        g = margin_gradient * x
        z += g - (np.sqrt(n + g**2) - np.sqrt(n)) / 0.3 * loop.w
        n += g**2
        shrunk = np.sign(z) * np.maximum(np.abs(z) - l1 * loop.free, 0)
        loop.w = -shrunk / ((1 + np.sqrt(n)) / 0.3 + l2 * loop.free)
    np.testing.assert_allclose(raw(learnt("ftrl", loss, block, l1=l1, l2=l2)), loop.w, rtol=1e-8)


def test_l1_of_ftrl_gives_exact_zeros_to_useless_features():
    block = random_block(4000, 8, seed=8)
    useful = replace(block, label=3 * block.dense[:, 0].astype(float))
    w = raw(learnt("ftrl", Loss("squared"), useful, l1=100.0))
    assert w[0] > 1
    assert (w[1:8] == 0).all()


@every_loss
def test_dog_agrees_with_a_plain_loop(loss):
    block = random_block(300, 4, seed=9, loss=loss)
    loop, farthest, total = Loop(loss, block), 0.0, 0.0
    for *_, grad in loop.rows():
        total += (grad**2).sum()
        farthest = max(farthest, np.linalg.norm(loop.w))
        loop.w = loop.w - max(farthest, 1e-3) / max(np.sqrt(total), 1e-300) * grad
    np.testing.assert_allclose(raw(learnt("dog", loss, block)), loop.w, rtol=1e-6, atol=1e-12)


@every_loss
@pytest.mark.parametrize("rate", [0.03, 3.0, 1e6])
def test_implicit_sgd_takes_the_gradient_at_the_end_of_the_step(loss, rate):
    block = random_block(200, 4, seed=10, loss=loss, weighted=True)
    loop = Loop(loss, block)
    for _, x, y, weight, z, _, _ in loop.rows():
        reach = weight * rate * (x @ x)
        s = implicit_gradient(loss.code, loss.shape, z, y, reach)
        loop.w = loop.w - rate * weight * s * x
    ours = raw(learnt("sgd", loss, block, learning_rate=rate, implicit=True))
    np.testing.assert_allclose(ours, loop.w, rtol=1e-5, atol=1e-8)
    assert np.isfinite(ours).all()


def test_explicit_steps_that_diverge_are_stopped_with_advice():
    block = random_block(2000, 3, seed=11)
    with pytest.raises(Diverged, match="smaller --learning-rate"):
        learnt("sgd", Loss("squared"), block, learning_rate=50.0)


@pytest.mark.parametrize("rule", RATES)
@pytest.mark.parametrize("loss", [LOSSES[1], SOFTMAX], ids=str)
@pytest.mark.parametrize("averages", [False, True])
def test_hashed_slots_are_0_1_features(rule, loss, averages):
    """One hashed column of three values against three 0/1 columns."""
    rng = np.random.default_rng(12)
    slots = rng.integers(0, 3, (400, 1))
    block = random_block(400, 2, seed=12, loss=loss)
    hashed = make_block(block.dense, block.label, slots=slots)
    dense = make_block(np.hstack([block.dense, slots == np.arange(3)]), block.label)
    a = learnt(rule, loss, hashed, n_slots=3, averages=averages)
    b = learnt(rule, loss, dense, averages=averages)
    if rule in {"nag", "adam"}:
        # A slot has no rms, and no momentum while it is not hit: other rules by design.
        assert np.corrcoef(a.predict(hashed).ravel(), b.predict(dense).ravel())[0, 1] > 0.97
        return
    np.testing.assert_allclose(a.predict(hashed), b.predict(dense), rtol=1e-4, atol=5e-6)


def test_average_is_the_polynomial_one():
    block = random_block(120, 3, seed=13, n_hashed=2, n_slots=4)
    updater = FirstOrder("sgd", Loss("squared"), 3, 4, Steps(0.05, averages=True))
    average: dict[str, np.ndarray] = {}
    for t in range(1, 121):
        updater.update(block.take(np.array([t - 1])))
        state = updater.state()
        now = {"dense": state["dense"][0, 0], "hashed": state["hashed"][:, 0, 0]}
        share = 9 / (t + 8)
        average = {k: average.get(k, 0) + share * (w - average.get(k, 0)) for k, w in now.items()}
    weights = updater.weights()
    np.testing.assert_allclose(weights.dense, average["dense"][:-1], rtol=1e-9)
    np.testing.assert_allclose(weights.hashed, average["hashed"], rtol=1e-5, atol=1e-7)


def test_averaging_reduces_the_noise_of_the_last_iterate():
    block, loss = random_block(20_000, 5, seed=14), Loss("squared")
    probe = random_block(5000, 5, seed=15)

    def excess(averages: bool) -> float:
        updater = learnt("sgd", loss, block, averages=averages)
        return loss.total(updater.predict(probe), probe.label, probe.weight) / 5000 - 0.5

    assert excess(True) < excess(False) / 3


def test_linear_schedule_ends_at_zero_and_starts_again_with_the_next_plan():
    block = random_block(400, 2, seed=16)
    updater = FirstOrder("sgd", Loss("squared"), 2, 0, Steps(0.05, schedule="linear"))
    updater.horizon(0, 200)
    loop = Loop(Loss("squared"), block)
    halves = split(block, 200)
    for t, *_, grad in loop.rows():
        if t == 201:
            break
        loop.w = loop.w - 0.05 * (1 - (t - 1) / 200) * grad
    updater.update(halves[0])
    np.testing.assert_allclose(raw(updater), loop.w, rtol=1e-9)
    before = raw(updater)
    updater.update(halves[1])
    np.testing.assert_array_equal(raw(updater), before)
    updater.horizon(400, 400)
    updater.update(halves[1])
    assert (raw(updater) != before).all()


def test_minibatch_takes_the_mean_gradient_of_its_rows():
    block, loss = random_block(64, 3, seed=17, weighted=True), Loss("squared")
    updater = FirstOrder("sgd", loss, 3, 0, Steps(0.1, minibatch=8))
    updater.update(block)
    x = np.column_stack([block.dense.astype(float), np.ones(64)])
    w = np.zeros(4)
    for first in range(0, 64, 8):
        rows = slice(first, first + 8)
        g = block.weight[rows] * (x[rows] @ w - block.label[rows])
        w = w - 0.1 * (g @ x[rows]) / 8
    np.testing.assert_allclose(raw(updater), w, rtol=1e-9)


def test_rows_of_weight_zero_change_nothing():
    block = random_block(300, 3, seed=18, weighted=True, n_hashed=1, n_slots=5)
    kept = block.take(np.flatnonzero(block.weight))
    for rule in RATES:
        a = learnt(rule, Loss("squared"), block, n_slots=5)
        b = FirstOrder(rule, Loss("squared"), 3, 5, Steps(RATES[rule]))
        b.update(kept)
        np.testing.assert_allclose(a.predict(block), b.predict(block), rtol=1e-12)


@pytest.mark.parametrize("rule", DEFAULTS)
@every_loss
def test_defaults_learn_every_loss_without_diverging(rule, loss):
    default = DEFAULTS[rule]
    steps = Steps(
        default_rate(rule, 4), default.schedule, default.averaging == "polynomial", default.implicit
    )
    updater = FirstOrder(rule, loss, 4, 0, steps)
    updater.horizon(0, 8000)
    block, probe = random_block(8000, 4, 19, loss=loss), random_block(4000, 4, 20, loss=loss)
    before = loss.total(updater.predict(probe), probe.label, probe.weight)
    updater.update(block)
    assert loss.total(updater.predict(probe), probe.label, probe.weight) < before


@pytest.mark.parametrize("rule", sorted(RATES))
@pytest.mark.parametrize("n_hashed", [0, 5])
def test_addresses_of_arrays_change_no_bit(rule, n_hashed):
    """Small arrays are allocated close to each other, at changing addresses."""
    block = random_block(
        40, 3, 7, loss=Loss("logistic"), n_hashed=n_hashed, n_slots=9 if n_hashed else 0
    )
    found = set()
    held = []
    for attempt in range(60):
        held.append(np.empty(attempt % 7 * 5 + 1))
        learner = FirstOrder(
            rule, Loss("logistic"), 3, 9, Steps(0.1, averages=True, implicit=rule == "nag")
        )
        for piece in split(block, 13):
            learner.update(piece)
        found.add(b"".join(array.tobytes() for array in learner.state().values()))
    assert len(found) == 1
