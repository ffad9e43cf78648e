"""Newton remembers the rows of classes that are nearly separable, and changes no other model."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

from blocks import SOFTMAX, make_block, random_block, split
from onepass.block import Block
from onepass.learn.losses import Loss
from onepass.learn.newton.expansion import Rows, expand
from onepass.learn.newton.newton import Newton
from onepass.learn.newton.saturated import Saturated, expected

LOGISTIC = Loss("logistic")
KINDS: tuple[Saturated, ...] = ("fitted", "expected", "settled")


def mean_loss(newton: Newton, block: Block) -> float:
    margins = np.ascontiguousarray(newton.predict(block))
    return newton.loss.total(margins, block.label, block.weight) / block.n_rows


def mean_over_margins(f, z: float, variance: float) -> float:
    """Mean of a function of a normal margin, by a fine sum."""
    t = np.linspace(-8, 8, 4001)
    density = np.exp(-(t**2) / 2)
    return float(f(z + np.sqrt(variance) * t) @ density / density.sum())


@pytest.mark.parametrize("variance", [0.0, 0.3, 3.0, 30.0, 300.0])
@pytest.mark.parametrize("z", [0.0, 2.0, 8.0])
def test_kept_curvature_is_the_mean_over_the_margins_that_the_weights_allow(z, variance):
    # One row beside a past that knows all but the second weight, which the row hardly changes.
    x = np.array([[1.0, 1e-3]])
    rows = Rows(x, np.ones(1), np.full(1, 1e-6), np.zeros((1, 1)))
    margins = np.full((1, 1), z)
    found = expand(LOGISTIC, rows, margins, 0.0, False)
    known = np.diag([1 / max(variance, 1e-9), 1e9])
    kept = expected(LOGISTIC, rows, margins, found, known).curvature[0, 0] / 1e-6

    def curvature(z):
        return 0.25 / np.cosh(z / 2) ** 2

    exact = mean_over_margins(curvature, z, variance)
    # The formula is MacKay's approximation; the curvature at z = 8 is 3e-4 itself.
    assert kept == pytest.approx(exact, rel=0.15, abs=2e-3)
    if variance == 0.0:
        assert kept == pytest.approx(found.curvature[0, 0] / 1e-6, rel=1e-6)


def connections(seed: int, loss: Loss, n_rows: int = 24_000) -> list[Block]:
    """Runs of rows of one kind, each kind of one class; a few amounts are gigantic."""
    truth, rng = np.random.default_rng(1), np.random.default_rng(seed)
    n_kinds = 16
    share = 0.75 ** np.arange(n_kinds)
    length = np.where(np.arange(n_kinds) % 4 == 0, 400, 30)
    first = rng.choice(n_kinds, 4 * n_rows, p=share / length / (share / length).sum())
    kind = np.repeat(first, rng.geometric(1 / length[first]))[:n_rows]
    amounts = np.exp(
        truth.normal(5, 2, (n_kinds, 2))[kind]
        + truth.uniform(0.1, 1.0, (n_kinds, 2))[kind] * rng.normal(size=(n_rows, 2))
    )
    amounts[rng.random((n_rows, 2)) < 1e-4] *= 1e4
    rates = (truth.random((n_kinds, 24)) < 0.4)[kind] * (rng.random((n_rows, 24)) < 0.995)
    sample = np.column_stack([amounts, rates])[::2]
    x = (np.column_stack([amounts, rates]) - sample.mean(axis=0)) / (sample.std(axis=0) + 1e-9)
    label = kind % max(2, loss.n_outputs)
    label = np.where(rng.random(n_rows) < 2e-4, 0, label)
    return split(make_block(x, label.astype(float)), n_rows // 8)


def learnt(blocks: list[Block], loss: Loss, *, saturated: Saturated) -> Newton:
    newton = Newton(loss, blocks[0].dense.shape[1], careful=True, saturated=saturated)
    for block in blocks:
        newton.update(block)
    return newton


@pytest.mark.parametrize("loss", [LOGISTIC, SOFTMAX], ids=lambda loss: loss.name)
def test_separable_classes_in_runs_end_nearer_to_their_optimum(loss):
    first, second = [], []
    for seed in range(2):
        blocks = connections(seed, loss)
        rows = Block.concatenated(blocks)
        forgets, remembers, settles = (
            mean_loss(learnt(blocks, loss, saturated=one), rows) for one in KINDS
        )
        first.append(remembers / forgets)
        second.append(settles / remembers)
    # Where a gigantic amount comes last, none knows what to do with it, so not every seed gains.
    assert np.exp(np.mean(np.log(first))) < 0.8
    assert np.exp(np.mean(np.log(second))) < 0.9


@pytest.mark.parametrize("half_life", [None, 5000.0])
@pytest.mark.parametrize("loss", [LOGISTIC, SOFTMAX, Loss("poisson"), Loss("hinge")])
def test_classes_that_overlap_are_learnt_to_the_same_bytes(loss, half_life):
    one, other = (
        Newton(loss, 4, careful=True, half_life=half_life, saturated=saturated)
        for saturated in ("fitted", "settled")
    )
    for seed in range(4):
        block = random_block(3000, 4, seed, loss=loss)
        one.update(block)
        other.update(block)
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])


@pytest.mark.parametrize("loss", [LOGISTIC, SOFTMAX], ids=lambda loss: loss.name)
def test_separable_classes_resume_to_the_same_bytes_and_are_learnt_in_rounds(loss):
    first, *later = connections(1, loss)
    whole = learnt([first, *later[:2]], loss, saturated="settled")
    resumed = Newton(loss, first.dense.shape[1], careful=True, saturated="settled")
    resumed.restore(learnt([first], loss, saturated="settled").state())
    for block in later[:2]:
        resumed.update(block)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(array, resumed.arrays()[name])

    shares = [deepcopy(whole) for _ in range(2)]
    for share, block in zip(shares, later[2:4], strict=True):
        share.hold(2, block.n_rows)
        share.update(block)
    found = [share.difference(whole) for share in shares]
    for difference in found:
        whole.merge(difference)
    assert mean_loss(whole, Block.concatenated([first, *later[:4]])) < 0.1
