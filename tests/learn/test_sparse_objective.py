"""The objective of sparse rows is that of the same numbers in dense columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blocks import LOSSES, SOFTMAX, entries_of, labels_for, make_block, sparse_matrix
from onepass.learn.objective import Objective

N_ROWS, N_SLOTS = 200, 9


def cases(loss):
    """Return objective, block and point, with entries and with dense columns."""
    rng, o = np.random.default_rng(3), loss.n_outputs
    x, other = sparse_matrix(N_ROWS, N_SLOTS, 0.4, 4), rng.normal(size=(N_ROWS, 2))
    other = other.astype(np.float32).astype(float)
    label = labels_for(loss, x.sum(axis=1) - 3, rng)
    weight = rng.choice([0.0, 0.5, 2.0], N_ROWS)
    n = o * (3 + N_SLOTS)
    sparse = Objective(loss, np.zeros(2), np.ones(2), N_SLOTS, np.zeros(n), np.zeros(n))
    dense = replace(sparse, center=np.zeros(2 + N_SLOTS), scale=np.ones(2 + N_SLOTS), n_slots=0)
    w = rng.normal(0, 0.3, (o, 3 + N_SLOTS))
    at = np.append(w[:, :3].ravel(), w[:, 3:].T.ravel())
    as_dense = np.hstack([w[:, :2], w[:, 3:], w[:, 2:3]]).ravel()
    return (
        (sparse, make_block(other, label, weight=weight, entries=entries_of(x)), at),
        (dense, make_block(np.hstack([other, x]), label, weight=weight), as_dense),
    )


@pytest.mark.parametrize("loss", [LOSSES[0], LOSSES[1], LOSSES[3], SOFTMAX], ids=str)
def test_loss_slope_and_curvature_are_those_of_dense_columns(loss):
    (sparse, block, point), (dense, other, as_dense) = cases(loss)
    a = sparse.sums(point, block, width=0.1, curvature=True)
    b = dense.sums(as_dense, other, width=0.1, curvature=True)
    for name in ("value", "plain", "at_origin", "noise", "bend", "norm"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-6)
    o = loss.n_outputs
    slope = b.slope.reshape(o, -1)[:, 2:-1].T.ravel()
    np.testing.assert_allclose(a.slope[3 * o :], slope, rtol=1e-6, atol=1e-6)
    curvature = np.diag(b.curvature).reshape(o, -1)[:, 2:-1].T.ravel()
    np.testing.assert_allclose(a.slot_curvature, curvature, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", [LOSSES[1], SOFTMAX], ids=str)
def test_slope_is_the_derivative_of_the_loss(loss):
    (sparse, block, point), _ = cases(loss)
    slope, step = sparse.sums(point, block).slope, 1e-5
    for j in range(0, len(point), 2):
        move = step * (np.arange(len(point)) == j)
        up, down = (sparse.sums(point + sign * move, block).value for sign in (1, -1))
        assert (up - down) / (2 * step) == pytest.approx(slope[j], rel=1e-5, abs=1e-6)
