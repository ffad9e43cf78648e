"""The compiled passes, by rows and by columns, give what separate steps give in doubles."""

from __future__ import annotations

import numpy as np
import pytest

from blocks import LOSSES, labels_for, make_block
from onepass.block import Block
from onepass.learn.curvature import gram
from onepass.learn.losses import Loss
from onepass.learn.newton.column_pass import column_pass
from onepass.learn.newton.expansion import Rows, expand
from onepass.learn.newton.expansion_pass import Columns, expansion_pass
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.limits import Limits
from onepass.learn.newton.newton import Newton
from onepass.learn.scaling import Standardiser

EARLY = Limits(first_rows=4096)
"""A small first block, so that single precision begins after a few thousand rows."""
DOUBLE = Limits(first_rows=4096, allows_single=False)

SMOOTH = [loss for loss in LOSSES if not loss.is_kinked]
PASSES = pytest.mark.parametrize("run", [expansion_pass, column_pass], ids=["rows", "columns"])


def some_rows(loss, n_rows, n_dense, seed=0):
    """Features of different scales, labels, weights of which some are 0, and offsets."""
    rng = np.random.default_rng(seed)
    scale = np.geomspace(0.01, 100, n_dense)
    x = ((rng.normal(size=(n_rows, n_dense)) + 1) * scale).astype(np.float32)
    offset = rng.normal(size=n_rows) / 2
    label = labels_for(loss, offset + rng.normal(size=n_rows), rng)
    weight = rng.integers(0, 4, n_rows) / 2
    w = rng.normal(size=n_dense + 1) / np.sqrt(n_dense + 1)
    block = Block(x, np.empty((n_rows, 0), np.int32), label, weight)
    return Columns(scale * 1.01, scale * 0.9, scale * 0.99, w), block, offset


@PASSES
@pytest.mark.parametrize("n_rows", [0, 1, 255, 256, 700])
@pytest.mark.parametrize("n_dense", [1, 3, 7, 15, 16, 30, 40])
@pytest.mark.parametrize("loss", SMOOTH, ids=lambda loss: loss.name)
def test_pass_agrees_with_the_separate_steps(loss, n_dense, n_rows, run):
    columns, block, offset = some_rows(loss, n_rows, n_dense)
    x, label, weight = block.dense, block.label, block.weight
    counted = 2 * weight
    found = run(loss, columns, block, counted, offset)
    standardised = np.column_stack([(x - columns.center) / columns.scale, np.ones(n_rows)])
    rows = Rows(standardised, label, weight, offset[:, None])
    z = rows.margins(columns.w[None])
    np.testing.assert_allclose(found.margin, z[:, 0], rtol=1e-5, atol=1e-5)
    expected = expand(loss, rows, z, 0.0, False)
    size = np.abs(expected.curvature).max(initial=1e-9)
    np.testing.assert_allclose(
        found.expansion.curvature, expected.curvature, rtol=0, atol=1e-5 * size
    )
    # Gradients of inverse gaussian loss are far larger than its labels.
    g = loss.derivatives(np.ascontiguousarray(z[:, 0]), label, weight)[0]
    size_of_g = np.abs(weight * (np.abs(label) + 1)) + np.abs(g)
    slope = np.abs(standardised).T @ size_of_g + 1e-9
    assert (np.abs(found.expansion.slope - expected.slope) < 2e-5 * slope).all()
    assert found.expansion.noise == pytest.approx(expected.noise, rel=1e-4)
    assert found.expansion.bend == pytest.approx(expected.bend, rel=1e-4)
    away = x - columns.mean
    # By columns, moments are summed in single precision, run by run.
    exact = 1e-9 if run is expansion_pass else 1e-6
    first = exact * counted @ np.abs(away) + 1e-9
    assert (np.abs(found.first - counted @ away) <= first).all()
    np.testing.assert_allclose(found.second, counted @ away**2, rtol=exact, atol=1e-12)
    assert found.weight == counted.sum()


@PASSES
def test_slope_from_zero_is_the_slope_at_weights_of_zero(run):
    columns, block, offset = some_rows(SMOOTH[0], 300, 4)
    found = run(SMOOTH[0], columns, block, block.weight, offset, from_zero=True).expansion
    standardised = np.column_stack([(block.dense - columns.center) / columns.scale, np.ones(300)])
    slope = standardised.T @ (block.weight * (offset - block.label))
    np.testing.assert_allclose(found.slope, slope, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("width", [1, 8, 16, 17, 33, 100])
def test_gram_in_single_precision_is_that_in_double(width):
    rng = np.random.default_rng(width)
    x, c = rng.normal(size=(1000, width)).astype(np.float32), rng.random(1000)
    found, exact = gram(x, c), gram(x.astype(np.float64), c)
    assert (found == found.T).all()
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6 * np.abs(exact).max())


def test_sums_of_a_pass_move_the_moments_as_its_rows_do():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(3, 2, (500, 3)).astype(np.float32), rng.integers(0, 3, 500) * 1.0
    by_rows, by_sums = Standardiser(3), Standardiser(3)
    for one in (by_rows, by_sums):
        one.add(x[:100], weight[:100])
    by_rows.add(x[100:], weight[100:])
    away = x[100:] - by_sums.mean
    rest = weight[100:]
    by_sums.add_sums(np.count_nonzero(rest), rest.sum(), rest @ away, rest @ away**2)
    assert by_sums.n_rows == by_rows.n_rows
    for name in ("weight", "mean", "m2"):
        np.testing.assert_allclose(getattr(by_sums, name), getattr(by_rows, name), rtol=1e-6)


@pytest.mark.parametrize("by_columns", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("half_life", [None, 5000.0])
@pytest.mark.parametrize("loss", SMOOTH, ids=lambda loss: loss.name)
def test_newton_in_single_precision_agrees_with_double_precision(loss, half_life, by_columns):
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(40_000, 6)) + 1) * np.geomspace(0.01, 100, 6)
    z = (x / np.geomspace(0.01, 100, 6) - 1) @ rng.normal(size=6) / 2
    block = make_block(x, labels_for(loss, z, rng), weight=rng.integers(0, 3, 40_000))
    single, double = (
        Newton(loss, 6, half_life=half_life, by_columns=by_columns, limits=one)
        for one in (EARLY, DOUBLE)
    )
    n_single, found, expected = 0, [], []
    for piece in block.pieces(5000):
        n_single += piece.n_rows if single.state()["single"] else 0
        assert not double.state()["single"]
        found.append(single.update(piece))
        expected.append(double.update(piece))
    assert n_single >= 15_000
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), atol=2e-4)
    assert any((one != other).any() for one, other in zip(found, expected, strict=True))
    found, exact = single.weights(), double.weights()
    np.testing.assert_allclose(found.dense, exact.dense, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.covariance, exact.covariance, rtol=1e-2, atol=1e-9)


@pytest.mark.parametrize("by_columns", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_features_that_begin_late_and_almost_agree_are_told_apart(loss, by_columns):
    """They have no scale yet, so single precision would lose their difference for good."""
    rng = np.random.default_rng(2)
    n_rows, begin = 60_000, 36_000
    x = rng.normal(size=(n_rows, 4))
    x[:begin, 2:] = 0.0
    x[begin:, 2] = 1000 * rng.normal(size=n_rows - begin)
    x[begin:, 3] = x[begin:, 2] + rng.normal(size=n_rows - begin)
    x = x.astype(np.float32).astype(float)
    z = x[:, 0] / 2 + x[:, 3] - x[:, 2]
    block = make_block(x, labels_for(loss, z, rng))
    learnt = Newton(loss, 4, by_columns=by_columns, limits=EARLY)
    double = Newton(loss, 4, limits=DOUBLE)
    for piece in block.pieces(5000):
        learnt.update(piece)
        double.update(piece)
    last = block.take(np.arange(begin, n_rows))
    losses = [loss.total(one.predict(last), last.label, last.weight) for one in (learnt, double)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3, abs=1.0)


@pytest.mark.parametrize("solver", ["newton", "hybrid"])
def test_pieces_are_small_beside_the_rows_that_still_count(solver):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300_000, 2))
    block = make_block(x, labels_for("logistic", x[:, 0], rng), slots=np.zeros((300_000, 1)))

    def rows_at_once(half_life):
        loss = Loss("logistic")
        if solver == "newton":
            one = Newton(loss, 2, half_life=half_life, limits=EARLY)
        else:
            one = Hybrid(loss, 2, 16, half_life=half_life)
        for piece in block.pieces(30_000):
            one.update(piece)
        return one.block_rows

    least = 4096 if solver == "newton" else 1024
    assert rows_at_once(5000.0) == least
    assert rows_at_once(None) == 300_000 // 64
