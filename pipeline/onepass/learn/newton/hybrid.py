"""Newton for the dense features together with a filter for the hashed slots.

Each piece of a block is learnt twice: row by row by the slots, given what the dense features say,
then as a whole by Newton, given what the slots said of each row before they had learnt it. The
margins that Newton is given are thus honest, and no slot can hide what it has merely memorised.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.learn.losses import SOFTMAX, Loss
from onepass.learn.newton.expansion import kink_width
from onepass.learn.newton.newton import Newton
from onepass.learn.newton.slots import Other, SlotFilter
from onepass.learn.objective import Objective, Sums
from onepass.learn.updater import State, Weights, checked, copied

_SETTLED_ROWS = 16_384
_PROBE = 64
_DOUBT = 0.01
"""Variance of a margin, on labels of unit scale, above which it counts as uncertain."""


class Hybrid:
    """`Newton` on the dense part of a block and `SlotFilter` on its hashed part.

    Parameters
    ----------
    loss, n_dense, l2, base, half_life
        As of `Newton`.
    n_slots
        Number of hashed weights.
    """

    def __init__(
        self,
        loss: Loss,
        n_dense: int,
        n_slots: int,
        *,
        l2: float = 0.0,
        base: float = 0.0,
        half_life: float | None = None,
    ) -> None:
        self.loss, self.half_life = loss, half_life
        self._newton = Newton(loss, n_dense, l2=l2, base=base, half_life=half_life, cautious=True)
        self._slots = SlotFilter(loss, n_slots, l2=l2)

    @property
    def block_rows(self) -> int:
        """Rows to learn at once.

        Few, because each half learns with the other as it was before: on 70,000 rows of two hashed
        columns the excess over batch was 3.4 % in pieces of 16,384 rows, 0.8 % of 4,096 and 0.3 %
        of 1,024. Later a piece is small beside what is known.
        """
        least = max(1024, 20 * self.loss.n_outputs * (self._newton.n_dense + 1))
        return max(least, min(_SETTLED_ROWS, self._newton.known_rows // 64))

    def update(self, block: Block) -> FloatArray:
        """Learn a block; see `Updater.update`."""
        margins = [self._learn(piece) for piece in block.pieces(self.block_rows) if piece.n_rows]
        return np.concatenate(margins) if margins else self.predict(block)

    def predict(self, block: Block) -> FloatArray:
        """Margin of each row."""
        return self._shaped(self._dense_margins(block) + self._slots.margins(block.slots))

    def fade(self, factor: float) -> None:
        """Let all rows so far count only `factor` as much."""
        self._newton.fade(factor)
        self._slots.fade(factor)

    def horizon(self, done: int, planned: int) -> None:
        """Nothing here depends on how many rows follow."""

    def linear(self) -> Linear:
        """Weights of both parts."""
        return replace(self._newton.linear(), hashed=self._slots.weights.copy())

    def weights(self) -> Weights:
        """The same; the covariance is that of the dense part given the slots."""
        covariance = self._newton.covariance()
        return Weights.of(self.linear(), covariance, several=self.loss.code == SOFTMAX)

    def objective(self) -> Objective:
        """What is minimised, for passes over all rows: slots have the prior that was learnt."""
        dense = self._newton.objective()
        slots = self._slots.hashed.shape[:2]
        return replace(
            dense,
            n_slots=slots[0],
            ridge=np.append(dense.ridge, np.zeros(slots)),
            prior=np.append(dense.prior, np.full(slots, self._slots.precision)),
        )

    def point(self) -> FloatArray:
        """All weights, flat, on the features of `objective`."""
        return np.append(self._newton.point(), self._slots.weights)

    def adopt(self, point: FloatArray, sums: Sums, *, newton_step: bool) -> None:
        """Go on from sums over all rows at `point` as if they were what has been learnt."""
        assert sums.slot_curvature is not None
        at = len(point) - self._slots.weights.size
        self._newton.adopt(point[:at], sums, newton_step=newton_step)
        self._slots.adopt(point[at:], sums.slot_curvature)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """See `Updater.arrays`."""
        own = {f"slots.{name}": array for name, array in self._slots.arrays().items()}
        return {f"dense.{name}": array for name, array in self._newton.arrays().items()} | own

    def restore(self, state: State) -> None:
        """Take over a state; see `Updater.restore`."""
        found = {
            name: checked(state, f"slots.{name}", like)
            for name, like in self._slots.arrays().items()
        }
        self._newton.restore(_without_prefix(state))
        for name, array in found.items():
            setattr(self._slots, name, array)

    def _learn(self, block: Block) -> FloatArray:
        if self.half_life is not None:
            self._slots.fade(0.5 ** (block.n_rows / self.half_life))
        before = self._dense_margins(block)
        other, width = self._other(block, before), 0.0
        if self.loss.is_kinked:
            margins = before + self._slots.margins(block.slots)
            width = kink_width(self.loss, block.label, margins)
        said = self._slots.learn(block.slots, other, block.label, block.weight, width)
        self._newton.learn(block, said)
        return self._shaped(before + said)

    def _other(self, block: Block, before: FloatArray) -> Other:
        """What the slots are to take as given of the margins.

        While the dense weights are uncertain, all rows of a block share one large error: a trend
        learnt within a day and carried on to the next. Slots would take it for theirs, so Newton
        first looks at the block.
        """
        probe = self._newton.margin_variance(block.take(np.arange(min(_PROBE, block.n_rows))))
        if float(probe.mean()) < _DOUBT:
            return Other(before, np.zeros_like(before))
        scout = deepcopy(self._newton)
        scout.learn(block, self._slots.margins(block.slots))
        return Other(scout.predict(block).reshape(before.shape), scout.margin_variance(block))

    def _dense_margins(self, block: Block) -> FloatArray:
        return self._newton.predict(block).reshape(block.n_rows, self.loss.n_outputs)

    def _shaped(self, margins: FloatArray) -> FloatArray:
        return margins if self.loss.code == SOFTMAX else margins[:, 0]


def _without_prefix(state: State) -> State:
    return {
        name.removeprefix("dense."): array
        for name, array in state.items()
        if name.startswith("dense.")
    }
