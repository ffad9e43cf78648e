"""Block-proximal streaming Newton: the batch optimum in one pass, without a learning rate.

The past is one quadratic model of its loss, Q(w) = w'Hw/2 - b'w, in O(d^2) memory. Each block
asks for the w that minimises Q plus the block's own loss; there the block's loss is replaced by its
second-order expansion and added to Q. For squared loss the expansion is exact, so this is recursive
ridge regression, and neither the order nor the split of the rows matters.

The idea is minibatch-prox (J. Wang, W. Wang, N. Srebro, COLT 2017) with the curvature of the past
as the metric, which makes it renewable estimation (L. Luo, P. X.-K. Song, JRSS-B 82, 2020, sec.
2.2). A start-up prior, faded as rows arrive, stands in for step sizes while H is still singular.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.block import Block, FloatArray
from pipeline.learn.losses import SQUARED, Loss
from pipeline.learn.scaling import Standardiser
from pipeline.learn.updater import State, Weights, checked

MAX_WIDTH = 512
"""Widest dense design that `newton` takes by default; its cost per row grows with the square."""

_PRIOR = 1.0
_PRIOR_FLOOR = 0.01
_INTERCEPT_PRIOR = 1e-6
_JITTER = 1e-9
_SETTLED = 0.05
_MAX_STEPS = 6
_MAX_STEPS_WARM = 40


class Newton:
    """Streaming Newton on standardised dense features; hashed columns become 0/1 features.

    Parameters
    ----------
    loss
        What to minimise.
    n_dense, n_slots
        Width of the dense part of a block, and number of hashed weights.
    l2
        Ridge penalty: adds ``l2 / 2 * |w|^2`` per row, on standardised features, intercept free.
    """

    def __init__(self, loss: Loss, n_dense: int, n_slots: int, *, l2: float = 0.0) -> None:
        self.loss, self.n_dense, self.n_slots, self.l2 = loss, n_dense, n_slots, l2
        width = n_dense + n_slots + 1
        self._scaling = Standardiser(width - 1)
        self._weight_sum = np.zeros(())
        self._label_square = np.zeros(())
        self._w = np.zeros(width)
        self._h = np.zeros((width, width))
        self._b = np.zeros(width)

    @property
    def block_rows(self) -> int:
        """Rows of one block: enough that its own curvature is well determined."""
        return max(4096, 20 * len(self._w))

    def update(self, block: Block) -> FloatArray:
        """Learn a block; see `Updater.update`."""
        margins = [self._learn(piece) for piece in block.pieces(self.block_rows) if piece.n_rows]
        return np.concatenate(margins) if margins else np.empty(0)

    def predict(self, block: Block) -> FloatArray:
        """Margin of each row."""
        weights = self.weights()
        z = block.dense.astype(np.float64) @ weights.dense + weights.intercept
        return np.asarray(z + weights.hashed[block.slots].sum(axis=1) if self.n_slots else z)

    def weights(self) -> Weights:
        """Weights on the block's own features, with standard errors.

        Standard errors are the square roots of the diagonal of the inverse curvature (observed
        information), times the residual variance for squared loss.
        """
        w = self._solution()
        scale, center = self._scaling.scale, self._scaling.center
        raw = w[:-1] / scale
        stderr = self._stderr(w) / scale
        return Weights(
            intercept=float(w[-1] - raw @ center),
            dense=raw[: self.n_dense],
            hashed=raw[self.n_dense :],
            dense_stderr=stderr[: self.n_dense],
        )

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all arrays; see `Updater.state`."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def restore(self, state: State) -> None:
        """Take over a state; see `Updater.restore`."""
        found = {name: checked(state, name, like) for name, like in self._arrays().items()}
        for name, array in found.items():
            owner, _, attribute = name.rpartition(".")
            setattr(self._scaling if owner else self, attribute if owner else f"_{name}", array)

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        names = ("n_rows", "n_applied", "mean", "m2", "center", "scale")
        return {f"scaling.{name}": getattr(self._scaling, name) for name in names} | {
            name: getattr(self, f"_{name}")
            for name in ("weight_sum", "label_square", "w", "h", "b")
        }

    def _learn(self, block: Block) -> FloatArray:
        x = self._features(block)
        self._scaling.add(x)
        if self._scaling.is_due():
            self._move(self._scaling.refresh())
        x = self._scaling.apply(x)
        before = x @ self._w
        y, weight = block.label, block.weight
        self._weight_sum += weight.sum()
        self._label_square += (weight * y * y).sum()
        if self.loss.code == SQUARED:
            self._add_expansion(x, weight, weight * y)
            self._w = _solve(self._h + np.diag(self._penalty()), self._b)
        else:
            self._minimise(x, y, weight, before)
        return before

    def _features(self, block: Block) -> FloatArray:
        x = np.zeros((block.n_rows, self.n_dense + self.n_slots))
        x[:, : self.n_dense] = block.dense
        rows = np.arange(block.n_rows)
        for column in block.slots.T:
            # One row may hit a slot through several columns, so the hits of each are added.
            x[rows, self.n_dense + column] += 1.0
        return x

    def _minimise(self, x: FloatArray, y: FloatArray, weight: FloatArray, z: FloatArray) -> None:
        penalty = self._penalty()
        warm = int(self._scaling.n_rows) <= 5 * len(self._w) + len(z)
        for _ in range(_MAX_STEPS_WARM if warm else _MAX_STEPS):
            point = self._w
            value, g, c = self.loss.expand(z, y, weight)
            curvature = x.T @ (x * c[:, None])
            past = self._h @ point - self._b + penalty * point
            slope = x.T @ g + past
            step = _solve(self._h + curvature + np.diag(penalty), slope)
            decrement = float(slope @ step)
            if decrement < _SETTLED:
                # A full step lands on the minimum of the quadratic model that is kept below.
                self._w = point - step
                break
            length = self._line_search(x @ step, step, z, y, weight, value, past, decrement)
            self._w = point - length * step
            z = x @ self._w
        self._h += curvature
        self._b += curvature @ point - x.T @ g

    def _line_search(
        self,
        dz: FloatArray,
        step: FloatArray,
        z: FloatArray,
        y: FloatArray,
        weight: FloatArray,
        value: float,
        past: FloatArray,
        decrement: float,
    ) -> float:
        slope = float(step @ past)
        bend = float(step @ (self._h @ step) + step @ (self._penalty() * step))
        length = 1.0
        while length > 1e-6:
            change = self.loss.total(z - length * dz, y, weight) - value
            change += -length * slope + 0.5 * length**2 * bend
            # Armijo's condition, with room for rounding in sums over a block.
            if change <= -1e-4 * length * decrement + 1e-9 * abs(value):
                break
            length *= 0.4
        return length

    def _add_expansion(self, x: FloatArray, c: FloatArray, target: FloatArray) -> None:
        self._h += x.T @ (x * c[:, None])
        self._b += x.T @ target

    def _move(self, move: FloatArray) -> None:
        back = np.linalg.inv(move)
        self._w = move @ self._w
        self._h = back.T @ self._h @ back
        self._b = back.T @ self._b

    def _penalty(self) -> FloatArray:
        n_rows = max(1, int(self._scaling.n_rows))
        prior = _PRIOR * min(1.0, max(_PRIOR_FLOOR, 20 * len(self._w) / n_rows))
        return self._ridge(prior)

    def _ridge(self, prior: float) -> FloatArray:
        penalty = np.full(len(self._w), prior + self.l2 * float(self._weight_sum))
        penalty[-1] = _INTERCEPT_PRIOR
        return penalty

    def _solution(self) -> FloatArray:
        if self.loss.code != SQUARED or not self._weight_sum:
            return self._w
        # Exact ridge: the start-up prior has done its work and is left out.
        return _solve(self._h + np.diag(self._ridge(0.0)), self._b)

    def _stderr(self, w: FloatArray) -> FloatArray:
        variance = 1.0
        if self.loss.code == SQUARED:
            residual = float(self._label_square - 2 * self._b @ w + w @ self._h @ w)
            freedom = max(1.0, float(self._scaling.n_rows) - len(w))
            variance = max(0.0, residual) / freedom
        curvature = self._h + np.diag(self._ridge(0.0))
        scale = np.sqrt(np.maximum(np.diag(curvature), 1e-12))
        covariance = np.linalg.pinv(curvature / np.outer(scale, scale), hermitian=True)
        diagonal = np.sqrt(np.maximum(np.diag(covariance), 0.0) * variance) / scale
        unseen = np.diag(self._h)[:-1] <= 0
        return np.where(unseen, np.nan, diagonal[:-1])


def _solve(a: FloatArray, b: FloatArray) -> FloatArray:
    """Solve a symmetric positive semi-definite system, scaled to a unit diagonal."""
    scale = 1 / np.sqrt(np.maximum(np.diag(a), 1e-12))
    scaled = a * np.outer(scale, scale)
    scaled[np.diag_indices_from(scaled)] += _JITTER
    return np.asarray(scale * np.linalg.solve(scaled, scale * b))
