"""The pass by columns: all that it must keep beside the agreement with separate steps."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import random_block
from onepass.block import Block
from onepass.column_intrinsics import ACROSS, LANES, add_column_products
from onepass.jit import compiled
from onepass.learn.losses import Loss
from onepass.learn.newton.column_pass import column_pass
from onepass.learn.newton.expansion_pass import Columns, expansion_pass
from onepass.learn.newton.limits import Limits
from onepass.learn.newton.newton import Newton


def a_block(x, seed=0, weight=None):
    """Rows with labels of two classes."""
    n_rows, rng = len(x), np.random.default_rng(seed)
    label = (rng.random(n_rows) < 0.4).astype(float)
    weight = np.ones(n_rows) if weight is None else weight
    return Block(x.astype(np.float32), np.empty((n_rows, 0), np.int32), label, weight)


def plain_columns(n_dense, seed=0):
    """Features that arrive standardised, with small weights."""
    w = np.random.default_rng(seed).normal(size=n_dense + 1) / np.sqrt(n_dense + 1)
    return Columns(np.zeros(n_dense), np.ones(n_dense), np.zeros(n_dense), w)


def passed(block, columns, run=column_pass):
    return run(Loss("logistic"), columns, block, block.weight, np.zeros(block.n_rows))


@compiled
def add(one, other, n, flat):
    """Add a tile to the corner of a matrix of four columns."""
    add_column_products(one, other, 0, 0, n, n, flat, 0, 4)


def test_a_tile_of_products_is_that_of_numpy():
    one, other = np.random.default_rng(0).integers(-8, 8, (2, 4, 5 * LANES)).astype(np.float32)
    out, expected = np.ones((4, 4)), np.ones((4, 4))
    add(one.ravel(), other.ravel(), 5 * LANES, out.reshape(16))
    expected[:, :ACROSS] += one.astype(float) @ other[:ACROSS].astype(float).T
    np.testing.assert_array_equal(out, expected)


def test_rows_by_hundreds_of_features_agree_with_the_pass_by_rows():
    for n_dense in (0, 1, 2, 4, 61, 110):
        x = np.random.default_rng(n_dense).normal(size=(777, n_dense))
        block, columns = a_block(x), plain_columns(n_dense)
        found, expected = passed(block, columns), passed(block, columns, expansion_pass)
        size = np.abs(expected.expansion.curvature).max()
        np.testing.assert_allclose(found.margin, expected.margin, atol=1e-5)
        np.testing.assert_allclose(
            found.expansion.curvature, expected.expansion.curvature, rtol=0, atol=5e-6 * size
        )
        np.testing.assert_allclose(
            found.expansion.slope, expected.expansion.slope, rtol=0, atol=1e-4
        )


def test_bits_do_not_depend_on_where_the_rows_lie_in_memory():
    x = np.random.default_rng(1).normal(size=(1000, 30)).astype(np.float32)
    columns, results = plain_columns(30), []
    for shift in range(0, 68, 4):
        memory = np.empty(x.nbytes + 256, np.uint8)
        start = -memory.ctypes.data % 64 + shift
        moved = memory[start : start + x.nbytes].view(np.float32).reshape(x.shape)
        moved[:] = x
        block = a_block(x)
        found = passed(Block(moved, block.slots, block.label, block.weight), columns)
        results.append([found.margin, found.first, found.second, found.expansion.curvature])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_mean_far_from_zero_costs_no_digits():
    """The center has more digits than singles, which are a hundredth of a deviation apart here."""
    rng = np.random.default_rng(2)
    x = (1e5 + rng.normal(size=(3000, 2))).astype(np.float32)
    exact = x.astype(float)
    center = exact.mean(axis=0)
    columns = Columns(center, np.ones(2), center - 0.001, np.array([1.0, -1.0, 0.0]))
    found = passed(a_block(x), columns)
    np.testing.assert_allclose(found.margin, (exact - center) @ [1.0, -1.0], atol=1e-6)
    away = exact - columns.mean
    np.testing.assert_allclose(found.first, away.sum(axis=0), atol=3e-4)
    np.testing.assert_allclose(found.second, (away**2).sum(axis=0), rtol=1e-6)


def test_a_constant_feature_does_not_seem_to_vary():
    x = np.full((500, 1), 0.1, np.float32)
    columns = Columns(x[0].astype(float), np.ones(1), x[0].astype(float), np.zeros(2))
    found = passed(a_block(x), columns)
    assert found.first[0] == found.second[0] == 0.0


@pytest.mark.parametrize("value", [1e25, 3e38])
def test_moments_of_absurd_values_stay_finite(value):
    """Their squares are no singles; the pass by rows sums them as doubles."""
    x = np.zeros((600, 2), np.float32)
    x[7, 0], x[300, 1] = value, -value
    columns = Columns(np.zeros(2), np.ones(2), np.zeros(2), np.zeros(3))
    found, expected = (passed(a_block(x), columns, run) for run in (column_pass, expansion_pass))
    np.testing.assert_allclose(found.first, expected.first, rtol=1e-6)
    np.testing.assert_allclose(found.second, expected.second, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-42, 1e-31, 1e31, 3e38])
def test_features_are_standardised_whose_inverse_scale_is_no_single(scale):
    x = (np.random.default_rng(3).uniform(-1, 1, size=(600, 1)) * scale).astype(np.float32)
    columns = Columns(np.full(1, 0.1 * scale), np.full(1, scale), np.zeros(1), np.ones(2))
    found = passed(a_block(x), columns)
    np.testing.assert_allclose(
        found.margin, x[:, 0].astype(float) / scale + 0.9, rtol=1e-5, atol=1e-6
    )


def settled(loss, *, by_columns, n_rows=20_000):
    """Newton after so many rows that its blocks are in single precision."""
    learner = Newton(loss, 4, by_columns=by_columns, limits=Limits(first_rows=4096))
    for seed in range(n_rows // 4000):
        learner.update(random_block(4000, 4, seed, loss=loss))
    assert learner.state()["single"]
    return learner


@pytest.mark.parametrize(
    "loss", [Loss("squared"), Loss("logistic"), Loss("gamma")], ids=lambda loss: loss.name
)
def test_newton_goes_on_from_its_state_with_the_same_bytes(loss):
    learner = settled(loss, by_columns=True)
    resumed = Newton(loss, 4, by_columns=True, limits=Limits(first_rows=4096))
    resumed.restore(learner.state())
    more = random_block(5001, 4, 99, loss=loss)
    np.testing.assert_array_equal(learner.update(more), resumed.update(more))
    for name, array in learner.state().items():
        np.testing.assert_array_equal(resumed.state()[name], array)


@pytest.mark.parametrize(
    "loss", [Loss("squared"), Loss("logistic"), Loss("gamma")], ids=lambda loss: loss.name
)
def test_newton_by_columns_ends_where_newton_by_rows_does(loss):
    by_columns, by_rows = (settled(loss, by_columns=one) for one in (True, False))
    found, expected = by_columns.weights(), by_rows.weights()
    error = np.sqrt(np.diag(expected.covariance)[:4])
    assert (np.abs(found.dense - expected.dense) < 1e-3 * error).all()
    assert (found.dense != expected.dense).any()
