"""The batch optimum on the very features that onepass sees, by scipy over an orthonormal basis.

The losses are written down once more here, so that an error in onepass's own cannot hide.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, softmax

from onepass.block import Block

WIDTHS = (0.3, 0.1, 0.03, 0.01, 0.003)
"""Over which kinks are rounded, one after another, on labels of unit scale."""


def batch_margins(
    loss: str,
    x: np.ndarray,
    y: np.ndarray,
    at: np.ndarray,
    *,
    quantile: float = 0.5,
    delta: float = 1.0,
    n_classes: int = 0,
) -> np.ndarray:
    """Margins on the rows of `at` of the weights that minimise the mean loss on (x, y).

    Parameters
    ----------
    x, at
        Features, shapes (n_rows, width) and (m_rows, width).
    y
        Labels: numbers, 0/1, or class indices.
    """
    center, scale = (0.0, 1.0)
    if loss in {"squared", "huber", "quantile"}:
        center, scale = float(np.median(y)), float(np.std(y[np.abs(y) < np.inf])) or 1.0
    basis, to_basis = _orthonormal(x)
    target = (y - center) / scale
    n_outputs = n_classes if loss == "softmax" else 1
    start = np.zeros((n_outputs, basis.shape[1]))
    if loss in {"poisson", "gamma"}:
        start[0, -1] = np.log(y.mean())
    w = start.ravel()
    for width in WIDTHS if loss in {"quantile", "hinge"} else (0.0,):

        def objective(w: np.ndarray, width: float = width) -> tuple[float, np.ndarray]:
            z = basis @ w.reshape(n_outputs, -1).T
            value, slope = _loss(loss, z, target, quantile, delta / scale, width)
            flat = 1e-9 * w
            return value + 0.5e-9 * w @ w, (slope.T @ basis).ravel() / len(y) + flat

        options = {"maxiter": 2000, "maxfun": 4000, "gtol": 1e-8, "ftol": 1e-14}
        w = minimize(objective, w, jac=True, method="L-BFGS-B", options=options).x
    z = to_basis(at) @ w.reshape(n_outputs, -1).T
    return z * scale + center if n_outputs == 1 else z


def _orthonormal(x: np.ndarray):
    """The design in a basis in which it has unit covariance, and the map of other rows there."""
    mean, std = x.mean(0, dtype=float), x.std(0, dtype=float)
    std[std <= 1e-7 * np.abs(mean)] = np.inf
    scaled = (x - mean) / std
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(x))
    known = values > 1e-11
    turn = vectors[:, known] / np.sqrt(values[known])

    def to_basis(rows: np.ndarray) -> np.ndarray:
        return np.column_stack([((rows - mean) / std) @ turn, np.ones(len(rows))])

    return to_basis(x), to_basis


def _loss(
    loss: str, z: np.ndarray, y: np.ndarray, quantile: float, delta: float, width: float
) -> tuple[float, np.ndarray]:
    """Mean loss and the derivative of each row's, of the shape of z."""
    if loss == "softmax":
        k = y.astype(int)
        rows = np.arange(len(y))
        slope = softmax(z, axis=1)
        slope[rows, k] -= 1
        return float(np.mean(logsumexp(z, axis=1) - z[rows, k])), slope
    z = z[:, 0]
    match loss:
        case "squared":
            value, slope = 0.5 * (z - y) ** 2, z - y
        case "logistic":
            value, slope = np.logaddexp(0, z) - y * z, expit(z) - y
        case "huber":
            r = z - y
            inside = np.abs(r) <= delta
            value = np.where(inside, 0.5 * r**2, delta * (np.abs(r) - delta / 2))
            slope = np.clip(r, -delta, delta)
        case "poisson":
            mean = np.exp(np.minimum(z, 50))
            value, slope = mean - y * z, mean - y
        case "gamma":
            ratio = y * np.exp(-np.maximum(z, -50))
            value, slope = ratio + z, 1 - ratio
        case "quantile":
            value, slope = _pinball(z, y, quantile, width)
        case _:
            side = 2 * y - 1
            value, slope = _rounded_hinge(1 - side * z, width)
            slope = -side * slope
    return float(value.mean()), slope[:, None]


def _pinball(z, y, quantile, width):
    r = y - z
    near = np.abs(r) < width
    value = np.where(r >= 0, quantile * r, (quantile - 1) * r)
    value = np.where(near, (r**2 + width**2) / (4 * width) + (quantile - 0.5) * r, value)
    slope = np.where(r >= 0, -quantile, 1 - quantile)
    return value, np.where(near, -r / (2 * width) - (quantile - 0.5), slope)


def _rounded_hinge(u, width):
    near = np.abs(u) < width
    value = np.where(near, (u + width) ** 2 / (4 * width), np.maximum(u, 0))
    return value, np.where(near, (u + width) / (2 * width), (u > 0).astype(float))


PENALTIES = (100.0, 30.0, 10.0, 5.0, 2.0, 1.0, 0.5)
"""Of the hashed weights of batch fits, on labels of unit scale."""


def hashed_margins(loss: str, learnt: Block, judged: Block) -> dict[float, np.ndarray]:
    """Margins of L2 batch fits on the same hashed design, by penalty of the slots."""
    from scipy.sparse import csr_matrix, hstack

    y, mean, std = learnt.label, learnt.dense.mean(0, dtype=float), learnt.dense.std(0, dtype=float)
    std[std <= 1e-7 * np.abs(mean)] = np.inf
    # Slots that no row learns have the weight 0; most of them are left out.
    entries = learnt.slots[:, :0].ravel() if learnt.entries is None else learnt.entries.slot
    used = np.unique(np.append(learnt.slots, entries))

    def hits(slot: np.ndarray, value: np.ndarray, start: np.ndarray):
        place = np.minimum(np.searchsorted(used, slot), len(used) - 1)
        known = np.where(used[place] == slot, value, 0.0)
        return csr_matrix((known, place, start), shape=(len(start) - 1, len(used)))

    def design(block: Block):
        n, m = block.slots.shape
        found = hits(block.slots.ravel(), np.ones(n * m), m * np.arange(n + 1))
        if block.entries is not None:
            found += hits(block.entries.slot, block.entries.value, block.entries.start)
        scaled = csr_matrix((block.dense - mean) / std)
        return hstack([scaled, found, np.ones((n, 1))]).tocsr()

    x, rows = design(learnt), design(judged)
    turned = x.T.tocsr()
    center, scale = (float(y.mean()), float(y.std())) if loss == "squared" else (0.0, 1.0)
    target = (y - center) / scale
    found = {}
    w = np.zeros(x.shape[1])
    if loss == "poisson":
        w[-1] = np.log(y.mean())
    for l2 in PENALTIES:
        penalty = np.full(x.shape[1], l2)
        penalty[: learnt.dense.shape[1]], penalty[-1] = 1e-3, 0.0

        def objective(w: np.ndarray, penalty: np.ndarray = penalty) -> tuple[float, np.ndarray]:
            value, slope = _loss(loss, (x @ w)[:, None], target, 0.5, 1.0, 0.0)
            gradient = turned @ slope[:, 0] + penalty * w
            return value * len(target) + 0.5 * penalty @ w**2, gradient

        w = minimize(objective, w, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
        found[l2] = (rows @ w) * scale + center
    return found
