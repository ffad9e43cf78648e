"""Blocks of random rows that the tests of learners share."""

from __future__ import annotations

import numpy as np

from pipeline.block import Block


def make_block(dense, label, *, slots=None, weight=None) -> Block:
    n_rows = len(label)
    return Block(
        np.ascontiguousarray(dense, np.float32),
        np.empty((n_rows, 0), np.int32) if slots is None else np.asarray(slots, np.int32),
        np.asarray(label, float),
        np.ones(n_rows) if weight is None else np.asarray(weight, float),
    )


def true_weights(n: int) -> np.ndarray:
    """Weights of the model behind every `random_block`."""
    return 1.5 * np.random.default_rng(0).normal(size=n)


def random_block(
    n_rows: int,
    n_dense: int,
    seed: int,
    *,
    loss: str = "squared",
    n_hashed: int = 0,
    n_slots: int = 0,
    weighted: bool = False,
) -> Block:
    """Rows whose label follows the linear model of the loss, the same one for every seed."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n_rows, n_dense)).astype(np.float32)
    slots = rng.integers(0, max(1, n_slots), (n_rows, n_hashed), np.int32)
    z = dense @ true_weights(n_dense) + 0.3 + true_weights(max(1, n_slots))[slots].sum(axis=1)
    if loss == "logistic":
        label = (rng.random(n_rows) < 1 / (1 + np.exp(-z))).astype(float)
    else:
        label = z + rng.normal(size=n_rows)
    weight = rng.integers(0, 4, n_rows).astype(float) if weighted else None
    return make_block(dense, label, slots=slots, weight=weight)


def split(block: Block, n_rows: int) -> list[Block]:
    """Consecutive blocks of at most `n_rows` rows."""
    index = np.arange(block.n_rows)
    return [block.take(index[i : i + n_rows]) for i in range(0, block.n_rows, n_rows)]


def log_loss(z, label) -> float:
    """Mean negative log likelihood of margins."""
    return float(np.mean(np.logaddexp(0, z) - label * z))
