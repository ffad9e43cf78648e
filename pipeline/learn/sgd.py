"""Stochastic gradient descent, one example at a time, exactly as the textbook has it.

For each row i in turn: theta := theta - alpha * grad J(theta; x_i, y_i), where J is the row's loss
plus ``l2 / 2 * |theta|^2`` without the intercept (L. Bottou, "Stochastic Gradient Descent Tricks",
2012, sec. 1). A row of weight c counts as J times c. alpha is constant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.block import Block, FloatArray
from pipeline.errors import Diverged
from pipeline.learn.kernels import sgd_pass
from pipeline.learn.losses import Loss
from pipeline.learn.updater import State, Weights, checked


class Sgd:
    """Per-example SGD over dense features and hashed slots.

    Parameters
    ----------
    loss
        What to minimise.
    n_dense, n_slots
        Width of the dense part of a block, and number of hashed weights.
    learning_rate
        alpha.
    l2
        Ridge penalty per row.
    """

    def __init__(
        self, loss: Loss, n_dense: int, n_slots: int, *, learning_rate: float, l2: float = 0.0
    ) -> None:
        self.loss, self.learning_rate, self.l2 = loss, learning_rate, l2
        self._w = np.zeros(n_dense + 1)
        self._hashed = np.zeros(n_slots)
        self._shrink = np.ones(1)

    def update(self, block: Block) -> FloatArray:
        """Learn a block row by row; see `Updater.update`."""
        margin = np.empty(block.n_rows)
        sgd_pass(
            self.loss.code,
            self.learning_rate,
            self.l2,
            np.ascontiguousarray(block.dense),
            np.ascontiguousarray(block.slots),
            block.label,
            block.weight,
            self._w,
            self._hashed,
            self._shrink,
            margin,
        )
        # The intercept takes every gradient, and a row that hits an overflown slot has no margin.
        if not (np.isfinite(self._w).all() and np.isfinite(margin).all()):
            raise Diverged(
                f"the weights grew beyond all bounds at learning rate {self.learning_rate:g}; "
                "train a new model with a smaller --learning-rate, or with --solver newton"
            )
        return margin

    def predict(self, block: Block) -> FloatArray:
        """Margin of each row."""
        z = block.dense.astype(np.float64) @ self._w[:-1] + self._w[-1]
        hashed = self._hashed * self._shrink[0]
        return np.asarray(z + hashed[block.slots].sum(axis=1))

    def weights(self) -> Weights:
        """The current iterate; SGD knows no standard errors."""
        return Weights(
            intercept=float(self._w[-1]),
            dense=self._w[:-1].copy(),
            hashed=self._hashed * self._shrink[0],
            covariance=None,
        )

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all arrays; see `Updater.state`."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def restore(self, state: State) -> None:
        """Take over a state; see `Updater.restore`."""
        found = {name: checked(state, name, like) for name, like in self._arrays().items()}
        for name, array in found.items():
            setattr(self, f"_{name}", array)

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        return {"w": self._w, "hashed": self._hashed, "shrink": self._shrink}
