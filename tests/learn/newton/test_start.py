"""The start of newton: few rows, features that have hardly varied, and a prior that goes away."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import make_block, random_block
from onepass.learn.losses import Loss
from onepass.learn.newton.newton import Newton

LOGISTIC, SQUARED = Loss("logistic"), Loss("squared")


def progressive(loss: Loss, blocks, **given) -> float:
    """Loss of all rows but the first block's, each before it was learnt, over a constant's."""
    newton = Newton(loss, blocks[0].dense.shape[1], **given)
    margins = np.concatenate([newton.update(block) for block in blocks][1:])
    label = np.concatenate([block.label for block in blocks][1:])
    weight = np.ones(len(label))
    mean = label.mean()
    best = mean if loss is SQUARED else np.log(mean / (1 - mean))
    return loss.total(margins, label, weight) / loss.total(np.full_like(label, best), label, weight)


def wide(loss: Loss, n_blocks: int = 5) -> list:
    rng = np.random.default_rng(0)
    w = rng.normal(size=100) / 10
    blocks = []
    for _ in range(n_blocks):
        x = rng.normal(size=(50, 100)).astype(np.float32)
        z = x @ w
        label = z + rng.normal(size=50) if loss is SQUARED else z + rng.logistic(size=50) > 0
        blocks.append(make_block(x, label.astype(float)))
    return blocks


@pytest.mark.parametrize("loss", [LOGISTIC, SQUARED], ids=lambda loss: loss.name)
def test_fewer_rows_than_columns_are_hardly_worse_than_a_constant(loss):
    assert progressive(loss, wide(loss), careful=True) < 1.05
    assert progressive(loss, wide(loss)) > 1.3


def days(loss: Loss, seed: int) -> list:
    """Days of 150 rows within some hours, with the time in units of a month as a feature."""
    rng = np.random.default_rng(seed)
    blocks = []
    for day in range(6):
        x = rng.normal(size=(150, 4)).astype(np.float32)
        x[:, 3] = (day + 0.2 * rng.random(150)) / 8 - 1.7
        z = x[:, 0] - 0.5 * x[:, 1]
        noise = rng.normal(size=150) if loss is SQUARED else rng.logistic(size=150)
        label = z + noise if loss is SQUARED else (z + noise > 0).astype(float)
        blocks.append(make_block(x, label))
    return blocks


@pytest.mark.parametrize("loss", [LOGISTIC, SQUARED], ids=lambda loss: loss.name)
def test_trend_within_the_first_day_does_not_run_away_on_the_next(loss):
    found = [progressive(loss, days(loss, seed)[:2], careful=True) for seed in range(10)]
    plain = [progressive(loss, days(loss, seed)[:2]) for seed in range(10)]
    assert max(found) < 1.1
    assert np.mean(found) < 0.9
    assert max(plain) > 1.5


def test_careful_start_changes_no_bit_of_squared_loss():
    plain, careful = Newton(SQUARED, 3), Newton(SQUARED, 3, careful=True)
    for seed in range(4):
        block = random_block(60, 3, seed)
        plain.update(block)
        careful.update(block)
        np.testing.assert_array_equal(plain.linear().dense, careful.linear().dense)


@pytest.mark.parametrize("name", ["logistic", "poisson", "gamma", "huber"])
def test_careful_start_is_forgotten_after_a_hundred_rows_a_weight(name):
    loss = Loss(name, 1.0 if name == "huber" else 0.0)
    plain, careful = Newton(loss, 3), Newton(loss, 3, careful=True)
    for seed in range(8):
        block = random_block(100, 3, seed, loss=loss)
        plain.update(block)
        careful.update(block)
    error = np.sqrt(np.diag(plain.covariance()))
    assert (np.abs(plain.linear().dense[0] - careful.linear().dense[0]) < 0.02 * error[:3]).all()


def test_learning_starts_at_the_base_of_each_class():
    shares = np.array([0.7, 0.2, 0.1])
    newton = Newton(Loss("softmax", n_classes=3), 2, base=np.log(shares), careful=True)
    block = random_block(20, 2, 1, loss=Loss("softmax", n_classes=3))
    z = newton.predict(block)
    np.testing.assert_allclose(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), [shares] * 20)
