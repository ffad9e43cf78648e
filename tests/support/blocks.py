"""Blocks of random rows that the tests of learners share."""

from __future__ import annotations

import numpy as np

from onepass.block import Block, Entries
from onepass.learn.losses import Loss

LOSSES = [
    Loss("squared"),
    Loss("logistic"),
    Loss("huber", 0.7),
    Loss("quantile", 0.3),
    Loss("poisson"),
    Loss("gamma"),
    Loss("hinge"),
    Loss("tweedie", 1.4),
    Loss("negative_binomial", 0.8),
    Loss("inverse_gaussian"),
    Loss("probit"),
    Loss("cloglog"),
]
"""Every loss with one margin."""

SOFTMAX = Loss("softmax", n_classes=3)


def make_block(dense, label, *, slots=None, weight=None, entries=None) -> Block:
    """Return a block of these arrays, without slots and with weights of 1 unless given."""
    n_rows = len(label)
    return Block(
        np.ascontiguousarray(dense, np.float32),
        np.empty((n_rows, 0), np.int32) if slots is None else np.asarray(slots, np.int32),
        np.asarray(label, float),
        np.ones(n_rows) if weight is None else np.asarray(weight, float),
        entries,
    )


def entries_of(x) -> Entries:
    """Return the numbers of a matrix that are not 0 as entries; slot j is column j."""
    rows, slots = np.nonzero(x)
    start = np.append(0, np.cumsum(np.bincount(rows, minlength=len(x))))
    return Entries(start, slots.astype(np.int32), x[rows, slots].astype(np.float32))


def entries_of_slots(slots) -> Entries:
    """Return hashed columns as entries of the value 1."""
    start = slots.shape[1] * np.arange(len(slots) + 1)
    return Entries(start, slots.ravel().astype(np.int32), np.ones(slots.size, np.float32))


def sparse_matrix(n_rows: int, n_columns: int, share: float, seed: int) -> np.ndarray:
    """Return a matrix of random numbers of both signs, most of which are 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(1.0, 0.8, (n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < share)
    return x.astype(np.float32).astype(float)


def true_weights(n: int) -> np.ndarray:
    """Return the weights of the model that makes the labels of every `random_block`."""
    return 1.5 * np.random.default_rng(0).normal(size=n)


def labels_for(loss: Loss | str, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return labels that suit a loss, with a mean that rises with the margin."""
    match loss if isinstance(loss, str) else loss.name:
        case "logistic" | "hinge":
            return (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(float)
        case "poisson":
            return rng.poisson(np.exp(np.clip(0.5 * z, -4, 3))).astype(float)
        case "gamma":
            return rng.gamma(2.0, np.exp(np.clip(0.5 * z, -4, 3)) / 2) + 1e-6
        case "tweedie":
            return compound(np.exp(np.clip(0.5 * z, -4, 3)), 1.0, 1.4, rng)
        case "negative_binomial":
            return rng.poisson(np.exp(np.clip(0.5 * z, -4, 3)) * rng.gamma(1.25, 0.8, len(z))) * 1.0
        case "inverse_gaussian":
            return rng.wald(np.exp(np.clip(0.5 * z, -4, 3)), 2.0)
        case "probit":
            return (z + rng.normal(size=len(z)) > 0).astype(float)
        case "cloglog":
            return (rng.random(len(z)) < -np.expm1(-np.exp(np.clip(z, -20, 3)))).astype(float)
        case "softmax" | "ordinal":
            return np.digitize(z + rng.logistic(size=len(z)), [-1.0, 1.0]).astype(float)
        case _:
            return z + rng.normal(size=len(z))


def compound(
    mean: np.ndarray, dispersion: float, power: float, rng: np.random.Generator
) -> np.ndarray:
    """Return tweedie labels: sums of a Poisson number of gamma amounts, 0 where there is none."""
    number = rng.poisson(mean ** (2 - power) / (dispersion * (2 - power)))
    shape, unit = (2 - power) / (power - 1), dispersion * (power - 1) * mean ** (power - 1)
    return np.where(number > 0, rng.gamma(shape * np.maximum(number, 1e-9)) * unit, 0.0)


def random_block(
    n_rows: int,
    n_dense: int,
    seed: int,
    *,
    loss: Loss | str = "squared",
    n_hashed: int = 0,
    n_slots: int = 0,
    weighted: bool = False,
) -> Block:
    """Return rows whose labels follow a linear model with the link of the loss.

    The model is the same for every seed.
    """
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n_rows, n_dense)).astype(np.float32)
    slots = rng.integers(0, max(1, n_slots), (n_rows, n_hashed), np.int32)
    z = dense @ true_weights(n_dense) + 0.3 + true_weights(max(1, n_slots))[slots].sum(axis=1)
    weight = rng.integers(0, 4, n_rows).astype(float) if weighted else None
    return make_block(dense, labels_for(loss, z, rng), slots=slots, weight=weight)


def split(block: Block, n_rows: int) -> list[Block]:
    """Cut a block into consecutive blocks of at most `n_rows` rows."""
    index = np.arange(block.n_rows)
    return [block.take(index[i : i + n_rows]) for i in range(0, block.n_rows, n_rows)]


def log_loss(z, label) -> float:
    """Return the mean negative log likelihood of margins."""
    return float(np.mean(np.logaddexp(0, z) - label * z))
