"""The first-order solvers: one step per row or mini-batch, on dense features, slots and entries.

For each row i in turn: theta := theta - rate * grad J(theta; x_i, y_i), where J is the row's loss
plus ``l2 / 2 * |theta|^2`` without the intercept, times the row's weight (L. Bottou, "Stochastic
Gradient Descent Tricks", 2012, sec. 1). The rules in `rules` differ in the rate of each weight.

Only rows that hit a hashed weight apply its penalty; `ftrl` applies penalties in closed form. A
step of several rows uses the mean of their gradients; a slot that several of these rows hit takes
their steps one after another. Averaging is polynomial with eta = 8 (O. Shamir, T. Zhang, ICML 2013,
sec. 4): average += 9 / (t + 8) * (weights - average) after step t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear, RealArray
from onepass.errors import Diverged
from onepass.jit import APART
from onepass.learn.firstorder.entries_loop import add_entry_margins, entries_learner
from onepass.learn.firstorder.loop import (
    CLOCK,
    LANES,
    N_SCALARS,
    ROWS,
    add_slot_margins,
    rows_learner,
)
from onepass.learn.firstorder.rules import CODES, N_NUMBERS, N_SLOT_NUMBERS, SCHEDULES
from onepass.learn.kernels import dense_margins, padded
from onepass.learn.known import with_offset
from onepass.learn.losses import Loss
from onepass.learn.objective import Objective, Sums
from onepass.learn.pointwise import SOFTMAX
from onepass.learn.updater import State, Weights, checked, copied

_NO_OFFSET = np.empty(0)
"""Passed to loops of rows without offsets, which do not read it."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Options of the steps of a solver, apart from its rule."""

    learning_rate: float
    """alpha of the rules; dog does not use it."""
    schedule: str = "constant"
    averages: bool = False
    """Whether predictions use averaged weights."""
    implicit: bool = False
    """Whether the gradient is taken at the end of the step; only for steps of one row."""
    minibatch: int = 1
    l1: float = 0.0
    l2: float = 0.0


class FirstOrder:
    """A first-order solver; see `Updater`.

    `update` returns margins by the iterate. `predict` uses the average, where weights are averaged.

    Parameters
    ----------
    rule
        A key of `CODES`.
    loss
        Loss to minimise.
    n_dense, n_slots
        Number of dense features of a block, and number of slots.
    steps
        Options of the steps.
    base
        Intercept to start from.
    """

    def __init__(
        self,
        rule: str,
        loss: Loss,
        n_dense: int,
        n_slots: int,
        steps: Steps,
        *,
        base: float = 0.0,
    ) -> None:
        self.rule, self.loss, self.steps, self.base = rule, loss, steps, base
        self._planned = (0, 0)
        n_outputs = loss.n_outputs
        self._width = n_dense + 1
        n_layers, n_padded = N_NUMBERS[rule], padded(self._width, LANES)
        self._dense = np.zeros((n_layers + APART, n_outputs, n_padded))[:n_layers]
        self._dense[0, :, n_dense] = base
        n_numbers = N_SLOT_NUMBERS[rule] + 2 * steps.averages
        self._hashed = np.zeros((n_slots, n_outputs, n_numbers), np.float32)
        self._average = np.zeros((n_outputs + APART, n_padded))[:n_outputs]
        self._average[...] = self._dense[0]
        self._scalars = np.zeros(N_SCALARS)

    @staticmethod
    def nbytes(rule: str, loss: Loss, n_dense: int, n_slots: int, *, averages: bool) -> int:
        """Return the bytes of `arrays`, without making them."""
        n_weights = loss.n_outputs * (n_dense + 1)
        dense_and_average = 8 * (N_NUMBERS[rule] + 1) * n_weights
        hashed = _hashed_bytes(rule, loss, n_slots, averages=averages)
        return dense_and_average + hashed + 8 * N_SCALARS

    @staticmethod
    def working_bytes(rule: str, loss: Loss, n_dense: int, n_slots: int, *, averages: bool) -> int:
        """Return the bytes to set aside: the state, a copy for the commit, and temporaries.

        Four numbers are counted for each dense weight, whatever the rule.
        """
        dense = 4 * 8 * loss.n_outputs * (n_dense + 1)
        return 3 * (dense + _hashed_bytes(rule, loss, n_slots, averages=averages))

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight learnt so far."""
        return int(self._scalars[ROWS])

    @property
    def is_implicit(self) -> bool:
        """Whether steps are implicit: asked for, one row a step, and the rule has rates."""
        return (
            self.steps.implicit and self.steps.minibatch == 1 and self.rule not in {"adam", "ftrl"}
        )

    def update(self, block: Block) -> FloatArray:
        """Learn a block row by row; see `Updater.update`."""
        steps, n_outputs = self.steps, self.loss.n_outputs
        margin = np.empty((block.n_rows, n_outputs))
        done, planned = self._planned
        learn_rows = self._loop(block)
        learn_rows(
            self.loss.code,
            self.loss.shape,
            (steps.learning_rate, SCHEDULES[steps.schedule], float(done), float(planned)),
            steps.l1,
            steps.l2,
            self.is_implicit,
            steps.minibatch,
            self.base,
            np.ascontiguousarray(block.dense),
            np.ascontiguousarray(block.slots),
            *(() if block.entries is None else block.entries.arrays),
            block.label,
            block.weight,
            _NO_OFFSET if block.offset is None else block.offset,
            self._dense,
            self._hashed,
            self._average,
            self._scalars,
            margin,
        )
        # Every gradient moves the intercept, so it is no longer finite once one gradient is not. A
        # slot that has overflowed shows in the margin of the rows that hit it.
        if not (np.isfinite(self._dense[0]).all() and np.isfinite(margin).all()):
            raise Diverged(
                f"the weights grew beyond all bounds at learning rate {steps.learning_rate:g}; "
                "train a new model with a smaller --learning-rate, or with --solver newton"
            )
        return self._shaped(margin)

    def horizon(self, done: int, planned: int) -> None:
        """Let a linear rate end when `planned` rows have followed the first `done` ones."""
        self._planned = (done, planned)

    def predict(self, block: Block) -> FloatArray:
        """Return the margin of each row."""
        dense, margin = self._used_dense(), np.empty((block.n_rows, self.loss.n_outputs))
        dense_margins(np.ascontiguousarray(block.dense), np.ascontiguousarray(dense), margin)
        slots, clock = np.ascontiguousarray(block.slots), float(self._scalars[CLOCK])
        if slots.shape[1]:
            add_slot_margins(self.steps.averages, self._hashed, slots, clock, margin)
        if block.entries is not None:
            entries = block.entries.arrays
            add_entry_margins(self.steps.averages, self._hashed, *entries, clock, margin)
        return self._shaped(with_offset(margin, block))

    def linear(self) -> Linear:
        """Return copies of the weights that `predict` uses."""
        dense = self._used_dense()
        return Linear(dense[:, -1].copy(), dense[:, :-1].copy(), self._used_hashed())

    def weights(self, repeats: float = 1.0) -> Weights:
        """Return copies of the weights that `predict` uses; they have no covariance."""
        del repeats
        return Weights.of(self.linear(), None, several=self.loss.code == SOFTMAX)

    def objective(self) -> Objective:
        """Return the objective that a batch rule minimises over all rows."""
        n_outputs, width = self._dense.shape[1], self._width
        free = np.append(np.full(width - 1, self.steps.l2), 0.0)
        n_slots = len(self._hashed)
        ridge = np.append(np.tile(free, n_outputs), np.full(n_slots * n_outputs, self.steps.l2))
        return Objective(
            loss=self.loss,
            center=np.zeros(width - 1),
            scale=np.ones(width - 1),
            n_slots=n_slots,
            ridge=ridge,
            prior=np.zeros(len(ridge)),
            base=self.base,
        )

    def point(self) -> FloatArray:
        """Return all weights that `predict` uses, flat."""
        return np.append(self._used_dense(), self._used_hashed())

    def adopt(self, point: FloatArray, sums: Sums, *, trusted: bool) -> None:
        """Go on from these weights; sums of past gradients stay as they are."""
        del sums, trusted
        at = len(self._average) * self._width
        self._average[:, : self._width] = point[:at].reshape(len(self._average), self._width)
        self._dense[0] = self._average
        hashed = point[at:].reshape(self._hashed.shape[:2])
        self._hashed[:, :, 0] = hashed
        if self.steps.averages:
            self._hashed[:, :, -2], self._hashed[:, :, -1] = hashed, self._scalars[CLOCK]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def restore(self, state: State) -> None:
        """Continue from a state; see `Updater.restore`."""
        arrays = self.arrays()
        found = {name: checked(state, name, like) for name, like in arrays.items()}
        for name, array in found.items():
            arrays[name][...] = array

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays that change, without padding; see `Updater.arrays`."""
        return {
            "dense": self._dense[:, :, : self._width],
            "hashed": self._hashed,
            "average": self._average[:, : self._width],
            "scalars": self._scalars,
        }

    def _loop(self, block: Block) -> Callable[..., None]:
        """Return the compiled loop that learns such a block."""
        rule, options = (
            self.rule,
            {
                "averages": self.steps.averages,
                "has_classes": self.loss.code == SOFTMAX,
                "has_batches": self.steps.minibatch > 1,
                "has_offset": block.offset is not None,
            },
        )
        if block.entries is not None:
            return entries_learner(CODES[rule], N_SLOT_NUMBERS[rule], **options)
        has_slots = block.slots.shape[1] > 0
        return rows_learner(CODES[rule], N_SLOT_NUMBERS[rule], has_slots=has_slots, **options)

    def _used_dense(self) -> FloatArray:
        padded_weights = self._average if self.steps.averages else self._dense[0]
        return np.asarray(padded_weights[:, : self._width])

    def _used_hashed(self) -> RealArray:
        """Return the weights of slots that `predict` uses, shape (n_slots, n_outputs)."""
        if not self.steps.averages:
            return self._hashed[..., 0].copy()
        weight = self._hashed[..., 0].astype(np.float64)
        behind = np.exp(self._scalars[CLOCK] - self._hashed[..., -1].astype(np.float64))
        return np.asarray(weight + (self._hashed[..., -2].astype(np.float64) - weight) * behind)

    def _shaped(self, margins: FloatArray) -> FloatArray:
        return margins if self.loss.code == SOFTMAX else margins[:, 0]


def _hashed_bytes(rule: str, loss: Loss, n_slots: int, *, averages: bool) -> int:
    """Return the bytes of the numbers of all slots, in single precision."""
    return 4 * (N_SLOT_NUMBERS[rule] + 2 * averages) * loss.n_outputs * n_slots
