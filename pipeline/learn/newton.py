"""Block-proximal streaming Newton: the batch optimum in one pass, without a learning rate.

The past is one quadratic model of its loss, Q(w) = w'Hw/2 - b'w, in O(d^2) memory. Each block
asks for the w that minimises Q plus the block's own loss; there the block's loss is replaced by its
second-order expansion and added to Q. For squared loss the expansion is exact, so this is recursive
ridge regression, and neither the order nor the split of the rows matters.

The idea is minibatch-prox (J. Wang, W. Wang, N. Srebro, COLT 2017) with the curvature of the past
as the metric, which makes it renewable estimation (L. Luo, P. X.-K. Song, JRSS-B 82, 2020, sec.
2.2). Where the loss is not quadratic, a start-up prior, faded as rows arrive, stands in for step
sizes while H is still singular.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.block import Block, Float32Array, FloatArray
from pipeline.learn.losses import SQUARED, Loss
from pipeline.learn.scaling import Standardiser
from pipeline.learn.updater import State, Weights, checked

MAX_WIDTH = 512
"""Widest dense design that `newton` takes by default; its cost per row grows with the square."""

_INTERCEPT_PRIOR = 1e-6
_JITTER = 1e-12
_SETTLED = 0.5
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
        intercept, raw = self._raw()
        z = block.dense.astype(np.float64) @ raw[: self.n_dense] + intercept
        return np.asarray(z + raw[self.n_dense :][block.slots].sum(axis=1) if self.n_slots else z)

    def weights(self) -> Weights:
        """Weights on the block's own features, with standard errors.

        Standard errors are the square roots of the diagonal of the inverse curvature (observed
        information), times the residual variance for squared loss.
        """
        intercept, raw = self._raw()
        stderr = self._stderr() / self._scaling.scale
        return Weights(
            intercept=intercept,
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
        names = ("n_rows", "n_applied", "weight", "mean", "m2", "center", "scale")
        return {f"scaling.{name}": getattr(self._scaling, name) for name in names} | {
            name: getattr(self, f"_{name}") for name in ("label_square", "w", "h", "b")
        }

    def _raw(self) -> tuple[float, FloatArray]:
        """Intercept and weights on features as they come."""
        raw = self._w[:-1] / self._scaling.scale
        return float(self._w[-1] - raw @ self._scaling.center), raw

    def _learn(self, block: Block) -> FloatArray:
        features = self._features(block)
        self._scaling.add(features, block.weight)
        if self._scaling.is_due():
            self._move(self._scaling.refresh())
        x = self._scaling.apply(features)
        before = x @ self._w
        y, weight = block.label, block.weight
        self._label_square += (weight * y * y).sum()
        if self.loss.code == SQUARED:
            self._h += _gram(x, weight)
            self._b += x.T @ (weight * y)
            self._w = _solve(self._h + np.diag(self._ridge(0.0)), self._b)
        else:
            self._minimise(x, y, weight, before)
        return before

    def _features(self, block: Block) -> Float32Array:
        if not self.n_slots:
            return np.ascontiguousarray(block.dense)
        x = np.zeros((block.n_rows, self.n_dense + self.n_slots), np.float32)
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
            curvature = _gram(x, c)
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

    def _move(self, move: FloatArray) -> None:
        back = np.linalg.inv(move)
        self._w = move @ self._w
        self._h = back.T @ self._h @ back
        self._b = back.T @ self._b

    def _penalty(self) -> FloatArray:
        # The cube: a prior that fades more slowly still costs 10 % of log loss after 60,000 rows
        # where the condition of the features is 1e4 and the weights are of that size.
        n_rows = max(1, int(self._scaling.n_rows))
        return self._ridge(min(1.0, 20 * len(self._w) / n_rows) ** 3)

    def _ridge(self, prior: float) -> FloatArray:
        # The penalty is on features of unit variance; those in use had it at the last refresh.
        unit = np.square(self._scaling.deviation() / self._scaling.scale)
        return np.append(prior + self.l2 * float(self._scaling.weight) * unit, _INTERCEPT_PRIOR)

    def _stderr(self) -> FloatArray:
        curvature = self._h + np.diag(self._ridge(0.0))
        scale = np.sqrt(np.maximum(np.diag(curvature), 1e-12))
        values, vectors = np.linalg.eigh(curvature / np.outer(scale, scale))
        known = values > _JITTER
        covariance = np.square(vectors[:, known]) @ (1 / values[known])
        variance = self._residual_variance(int(known.sum())) if self.loss.code == SQUARED else 1.0
        stderr = np.sqrt(covariance * variance) / scale
        return np.where(self._scaling.varies(), stderr[:-1], np.nan)

    def _residual_variance(self, rank: int) -> float:
        w = self._w
        residual = float(self._label_square - 2 * self._b @ w + w @ self._h @ w)
        return max(0.0, residual) / max(1, int(self._scaling.n_rows) - rank)


def _gram(x: FloatArray, c: FloatArray) -> FloatArray:
    """X' diag(c) X for c >= 0; numpy takes half the multiplications for a matrix by itself."""
    half = x if (c == 1).all() else x * np.sqrt(c)[:, None]
    return np.asarray(half.T @ half)


def _solve(a: FloatArray, b: FloatArray) -> FloatArray:
    """Solve a symmetric positive semi-definite system, scaled to a unit diagonal."""
    scale = 1 / np.sqrt(np.maximum(np.diag(a), 1e-12))
    scaled = a * np.outer(scale, scale)
    scaled[np.diag_indices_from(scaled)] += _JITTER
    return np.asarray(scale * np.linalg.solve(scaled, scale * b))
