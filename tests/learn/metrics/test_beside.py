"""Metrics of rows with an offset compare with the best model of the offset and a constant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from blocks import make_block
from onepass.learn.metrics import make_metrics
from onepass.learn.metrics.beside import BesideOffset, beside_offset, judged

FAMILIES = {"poisson": sm.families.Poisson(), "gamma": sm.families.Gamma(sm.families.links.Log())}


def rows(loss: str, n_rows: int = 400, seed: int = 0):
    """Return a block with offsets, and predictions."""
    rng = np.random.default_rng(seed)
    offset = rng.uniform(-3, 1, n_rows)
    mean = np.exp(offset - 0.5)
    label = rng.poisson(mean) if loss == "poisson" else rng.gamma(2.0, mean / 2) + 1e-9
    weight = rng.integers(1, 4, n_rows)
    block = make_block(np.zeros((n_rows, 1)), label, weight=weight)
    return replace(block, offset=offset), mean * rng.uniform(0.8, 1.2, n_rows)


def measured(loss: str, block, prediction, *, n_parts: int = 1):
    parts = []
    for index in np.array_split(np.arange(block.n_rows), n_parts):
        part = beside_offset(make_metrics(loss), loss, 1.5)
        own = block.take(index)
        part.add(*judged(prediction[index], own, loss), own.weight)
        parts.append(part)
    for part in parts[1:]:
        parts[0].merge(part)
    return parts[0]


@pytest.mark.parametrize("loss", FAMILIES)
def test_loss_of_the_constant_is_the_null_deviance_of_statsmodels(loss):
    block, prediction = rows(loss)
    oracle = sm.GLM(
        block.label, np.ones((block.n_rows, 1)), family=FAMILIES[loss], offset=block.offset,
        var_weights=block.weight,
    ).fit()  # fmt: skip
    found = measured(loss, block, prediction)
    null = oracle.deviance / block.weight.sum()
    assert found.constant_loss() == pytest.approx(null, rel=1e-9)
    assert found.values()["constant_loss"] == found.constant_loss()


@pytest.mark.parametrize("loss", FAMILIES)
def test_all_else_is_as_without_an_offset(loss):
    block, prediction = rows(loss)
    found, plain = measured(loss, block, prediction), make_metrics(loss)
    plain.add(prediction, block.label, block.weight)
    assert found.loss() == plain.loss()
    assert found.n_rows == plain.n_rows
    constant = {"constant_loss": found.constant_loss()}
    assert found.values() == plain.values() | constant
    assert plain.constant_loss() > found.constant_loss()


@pytest.mark.parametrize("loss", FAMILIES)
def test_parts_merge(loss):
    block, prediction = rows(loss)
    whole, parts = (measured(loss, block, prediction, n_parts=n) for n in (1, 5))
    assert parts.constant_loss() == pytest.approx(whole.constant_loss())
    assert parts.n_rows == whole.n_rows


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 3.0])
def test_the_constant_is_the_best_rate_for_every_power(power):
    block, prediction = rows("gamma")
    y, weight = block.label, block.weight

    class Nothing:
        """Metrics whose best constant costs what its deviance does, up to terms of the label."""

        n_rows = 0

        def add(self, *_):
            pass

        def constant_loss(self):
            return 2 * cost(np.average(y, weights=weight), 0 * y) + shift

    def cost(rate, offset):
        m, p = rate * np.exp(offset), power
        pulled = np.log(m) if p == 1 else m ** (1 - p) / (1 - p)
        pushed = np.log(m) if p == 2 else m ** (2 - p) / (2 - p)
        return np.average(pushed - y * pulled, weights=weight)

    shift = 100.0
    found = BesideOffset(Nothing(), power)
    found.add(np.column_stack([prediction, block.offset]), y, weight)
    rates = np.exp(np.linspace(-3, 2, 20_001))
    best = min(2 * cost(rate, block.offset) + shift for rate in rates[::20])
    assert found.constant_loss() == pytest.approx(best, rel=1e-5)
    assert found.constant_loss() <= best + 1e-9


@pytest.mark.parametrize("loss", ["squared", "huber", "quantile"])
def test_differences_are_judged_without_the_offset(loss):
    block, prediction = rows("gamma")
    moved = replace(block, label=block.label + block.offset)
    found = judged(prediction + block.offset, moved, loss)
    np.testing.assert_allclose(found, [prediction, block.label], atol=1e-12)


def test_rows_without_an_offset_and_classes_are_judged_as_they_are():
    block, prediction = rows("poisson")
    assert judged(prediction, block, "logistic") == (prediction, block.label)
    plain = replace(block, offset=None)
    assert judged(prediction, plain, "poisson") == (prediction, block.label)
