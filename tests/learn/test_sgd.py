"""SGD: the textbook's rule, weight by weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blocks import random_block, split
from pipeline.learn.sgd import Sgd
from sklearn.linear_model import SGDClassifier, SGDRegressor

from pipeline.block import Block
from pipeline.errors import Diverged
from pipeline.learn.losses import Loss
from pipeline.ledger.state import dump_state

N_SLOTS = 8
both_losses = pytest.mark.parametrize("loss", ["squared", "logistic"])


def textbook(block: Block, loss: str, alpha: float, l2: float) -> tuple[np.ndarray, np.ndarray]:
    """theta := theta - alpha * grad J(theta; x_i, y_i) on dense features, hits per slot and 1."""
    hits = np.stack([(block.slots == s).sum(axis=1) for s in range(N_SLOTS)], axis=1)
    x = np.column_stack([block.dense.astype(float), hits, np.ones(block.n_rows)])
    theta, margin = np.zeros(x.shape[1]), np.zeros(block.n_rows)
    for i, (row, y, c) in enumerate(zip(x, block.label, block.weight, strict=True)):
        margin[i] = row @ theta
        error = (margin[i] if loss == "squared" else 1 / (1 + np.exp(-margin[i]))) - y
        theta = theta - alpha * c * (error * row + l2 * np.append(theta[:-1], 0.0))
    return theta, margin


@both_losses
@pytest.mark.parametrize("hashed", [0, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("alpha", "l2"),
    [
        (0.02, 0.0),
        (0.02, 0.5),
        pytest.param(0.05, 9.0, id="factor folded often"),
        pytest.param(0.125, 8.0, id="factor zero"),
        pytest.param(0.15, 8.0, id="factor negative"),
    ],
)
def test_weights_are_the_textbooks(loss, hashed, weighted, alpha, l2):
    block = random_block(
        300, 3, seed=1, loss=loss, n_hashed=hashed, n_slots=N_SLOTS, weighted=weighted
    )
    if weighted and alpha * l2 > 0.9:
        # A row counts double at most, or the rule itself would diverge.
        block = replace(block, weight=np.minimum(block.weight, 1.5))
    sgd = Sgd(Loss(loss), 3, N_SLOTS if hashed else 0, learning_rate=alpha, l2=l2)
    margin = sgd.update(block)
    if not hashed:
        block = replace(block, slots=np.empty((300, 0), np.int32))
    theta, expected = textbook(block, loss, alpha, l2)
    weights = sgd.weights()
    np.testing.assert_allclose(margin, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(weights.dense, theta[:3], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(weights.intercept, theta[-1], rtol=1e-9, atol=1e-9)
    if hashed:
        np.testing.assert_allclose(weights.hashed, theta[3:-1], rtol=1e-9, atol=1e-9)


def test_shrink_factor_never_underflows():
    block = random_block(2000, 0, seed=2, n_hashed=1, n_slots=N_SLOTS)
    sgd = Sgd(Loss("squared"), 0, N_SLOTS, learning_rate=0.05, l2=9.0)
    sgd.update(block)
    # Unfolded it would be 0.55**2000.
    assert 1e-6 <= sgd.state()["shrink"][0] <= 1.0


@both_losses
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_weights_are_scikit_learns(loss, l2):
    block = random_block(500, 4, seed=3, loss=loss, weighted=True)
    alpha = 0.01
    options = {
        "alpha": l2,
        "penalty": "l2" if l2 else None,
        "learning_rate": "constant",
        "eta0": alpha,
        "shuffle": False,
    }
    x = block.dense.astype(float)
    if loss == "squared":
        # Its squared_error is half the square, as ours.
        peer = SGDRegressor(loss="squared_error", **options)
        peer.partial_fit(x, block.label, sample_weight=block.weight)
    else:
        peer = SGDClassifier(loss="log_loss", **options)
        peer.partial_fit(x, block.label, classes=[0.0, 1.0], sample_weight=block.weight)
    if l2:
        # It shrinks by l2 once per row whatever the row's weight, so only equal weights compare.
        block = replace(block, weight=np.ones(500))
        peer = type(peer)(**peer.get_params())
        extra = {} if loss == "squared" else {"classes": [0.0, 1.0]}
        peer.partial_fit(x, block.label, **extra)
    sgd = Sgd(Loss(loss), 4, 0, learning_rate=alpha, l2=l2)
    sgd.update(block)
    np.testing.assert_allclose(sgd.weights().dense, np.ravel(peer.coef_), rtol=1e-9)
    np.testing.assert_allclose(sgd.weights().intercept, peer.intercept_[0], rtol=1e-9)


@both_losses
@pytest.mark.parametrize("n_rows", [1, 13, 200])
def test_split_into_blocks_does_not_change_a_bit(loss, n_rows):
    block = random_block(400, 3, seed=4, loss=loss, n_hashed=2, n_slots=N_SLOTS, weighted=True)
    whole, parts = (Sgd(Loss(loss), 3, N_SLOTS, learning_rate=0.05, l2=0.1) for _ in range(2))
    margin = whole.update(block)
    margins = [parts.update(piece) for piece in split(block, n_rows)]
    np.testing.assert_array_equal(np.concatenate(margins), margin)
    assert dump_state(parts.state()) == dump_state(whole.state())


@pytest.mark.parametrize(
    ("loss", "alpha", "l2", "n_hashed"),
    [("squared", 5.0, 0.0, 0), ("squared", 5.0, 0.0, 2), ("logistic", 1.0, 5.0, 2)],
)
def test_a_rate_that_diverges_is_an_error_with_advice(loss, alpha, l2, n_hashed):
    block = random_block(3000, 3, seed=5, loss=loss, n_hashed=n_hashed, n_slots=N_SLOTS)
    sgd = Sgd(Loss(loss), 3, N_SLOTS, learning_rate=alpha, l2=l2)
    with pytest.raises(Diverged, match=f"learning rate {alpha:g}.*--learning-rate.*newton"):
        sgd.update(block)
