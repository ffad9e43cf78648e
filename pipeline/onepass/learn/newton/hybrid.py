"""Newton for the dense features together with a filter for the hashed slots and sparse rows.

Each piece of a block is learnt twice. First the slots learn it row by row, with the dense margins
as offset. Then Newton learns it as a whole, with the slots' margins as offset, each from before the
slots learnt that row. So Newton sees the errors that the slots made on rows that were new to them,
and not the smaller errors on rows that they have learnt.
"""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.learn.losses import Loss
from onepass.learn.newton.difference import NewtonDifference
from onepass.learn.newton.expansion import kink_width
from onepass.learn.newton.keeps import NOTHING, Keeps
from onepass.learn.newton.newton import Newton
from onepass.learn.newton.proximal import shaped
from onepass.learn.newton.saturated import Saturated
from onepass.learn.newton.slots import Margins, SlotFilter
from onepass.learn.newton.slots_classes import ClassWeights
from onepass.learn.newton.slots_difference import SlotsDifference
from onepass.learn.newton.slots_prior import SlotPrior, variances
from onepass.learn.newton.slots_uncertain import expected_shift
from onepass.learn.newton.solution import Solution
from onepass.learn.objective import Objective, Sums
from onepass.learn.penalties import NONE, Penalties
from onepass.learn.pointwise import SOFTMAX
from onepass.learn.updater import State, Weights, checked, copied

_SETTLED_ROWS = 16_384
"""Maximum number of rows of a piece."""

_PROBE = 64
"""Rows of a block whose margin variance stands for that of the block."""

_UNCERTAIN = 0.01
"""Variance of a margin, on labels of unit scale, from which on it counts as uncertain."""


@dataclass(frozen=True, slots=True, eq=False)
class HybridDifference:
    """The difference between a `Hybrid` and the base that it was copied from."""

    dense: NewtonDifference
    slots: SlotsDifference

    def then(self, later: HybridDifference) -> HybridDifference:
        """Return the difference of a learner that learns these rows, then the later ones."""
        return HybridDifference(self.dense.then(later.dense), self.slots.then(later.slots))


class Hybrid:
    """`Newton` on the dense part of a block, `SlotFilter` on slots and entries; see `Updater`.

    Parameters
    ----------
    loss, n_dense, l2, base, half_life, careful, by_columns, saturated, penalties
        As for `Newton`.
    keeps
        As for `Newton`, but no likelihood: slots predict rows before they learn them.
    n_slots
        Number of slots.
    slot_prior
        As for `SlotFilter`.
    uncertain
        Whether the dense weights learn beside what rows have still to tell about the slots; see
        `slots_uncertain`.
    class_weights
        Factors of the weights of rows by class that are no evidence to the slots; see
        `slots_classes`. Empty if rows count as often as they weigh.
    """

    def __init__(
        self,
        loss: Loss,
        n_dense: int,
        n_slots: int,
        *,
        l2: float = 0.0,
        base: float | FloatArray = 0.0,
        half_life: float | None = None,
        careful: bool = False,
        by_columns: bool = False,
        keeps: Keeps = NOTHING,
        penalties: Penalties = NONE,
        slot_prior: SlotPrior = "believed",
        uncertain: bool = False,
        saturated: Saturated = "fitted",
        class_weights: tuple[float, ...] = (),
    ) -> None:
        self.loss, self.half_life, self._uncertain = loss, half_life, uncertain
        self._newton = Newton(
            loss,
            n_dense,
            l2=l2,
            base=base,
            half_life=half_life,
            cautious=True,
            careful=careful,
            by_columns=by_columns,
            keeps=replace(keeps, likelihood=False),
            penalties=penalties,
            saturated=saturated,
        )
        classes = ClassWeights.of(loss, np.array(class_weights), base) if class_weights else None
        self._slots = SlotFilter(loss, n_slots, l2=l2, slot_prior=slot_prior, classes=classes)

    @staticmethod
    def nbytes(
        loss: Loss,
        n_dense: int,
        n_slots: int,
        *,
        keeps: Keeps = NOTHING,
        slot_prior: SlotPrior = "believed",
    ) -> int:
        """Return the most bytes that `arrays` take, without making them."""
        dense = Newton.nbytes(loss, n_dense, cautious=True, keeps=keeps)
        return dense + SlotFilter.nbytes(loss, n_slots, slot_prior=slot_prior)

    @staticmethod
    def working_bytes(loss: Loss, n_dense: int, n_slots: int, *, keeps: Keeps = NOTHING) -> int:
        """Return the bytes to set aside for an instance that learns, state and temporaries."""
        dense = Newton.working_bytes(loss, n_dense, keeps=keeps)
        return dense + SlotFilter.working_bytes(loss, n_slots)

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight learnt so far."""
        return self._newton.n_rows

    @property
    def solution(self) -> Solution:
        """The weights of the dense part, with all that determines them."""
        return self._newton.solution

    @property
    def block_rows(self) -> int:
        """Number of rows to learn at once.

        Pieces are small at first, because each half learns with the other half as it was before
        the piece: the smaller the pieces, the closer is the result to the batch optimum. Later,
        pieces grow with the number of known rows.
        """
        least = max(1024, 20 * self.loss.n_outputs * (self._newton.n_dense + 1))
        return max(least, min(_SETTLED_ROWS, self._newton.known_rows // 64))

    def update(self, block: Block) -> FloatArray:
        """Learn a block in pieces; see `Updater.update`."""
        margins = [self._learn(piece) for piece in block.pieces(self.block_rows) if piece.n_rows]
        return np.concatenate(margins) if margins else self.predict(block)

    def predict(self, block: Block) -> FloatArray:
        """Return the margin of each row."""
        return shaped(
            self.loss, self._dense_margins(block) + self._slots.margins(block.slots, block.entries)
        )

    def fade(self, factor: float) -> None:
        """Multiply the weight of all rows so far by a factor."""
        self._newton.fade(factor)
        self._slots.fade(factor)

    def scout(self) -> Hybrid:
        """Return a copy that learns the same weights, and keeps no scores."""
        found = copy(self)
        found._newton, found._slots = self._newton.scout(), deepcopy(self._slots)
        return found

    def horizon(self, done: int, planned: int) -> None:
        """Do nothing: no rate depends on how many rows follow."""

    def linear(self) -> Linear:
        """Return the weights of both parts."""
        return replace(self._newton.linear(), hashed=self._slots.weights.copy())

    def weights(self, repeats: float = 1.0) -> Weights:
        """Return the weights of both parts, with the dense covariance for fixed slots."""
        known = self._newton.identified(repeats)
        if known is not None and known.fit is not None:
            # The slots learn rows after they have predicted them, so no sum has the loss of the
            # final weights.
            known = replace(known, fit=known.fit.of_dispersion())
        found = Weights.of(self.linear(), known, several=self.loss.code == SOFTMAX)
        variance = variances(self._slots.hashed, float(self._slots.prior), repeats)
        return replace(found, hashed_variance=variance.reshape(found.hashed.shape))

    def objective(self) -> Objective:
        """Return the objective of a batch rule; the penalty of slots is the learnt prior's."""
        dense = self._newton.objective()
        slots = self._slots.hashed.shape[:2]
        return replace(
            dense,
            n_slots=slots[0],
            ridge=np.append(dense.ridge, np.zeros(slots)),
            prior=np.append(dense.prior, np.full(slots, self._slots.precision)),
        )

    def point(self) -> FloatArray:
        """Return all weights, flat, on the features of `objective`."""
        return np.append(self._newton.point(), self._slots.weights)

    def adopt(self, point: FloatArray, sums: Sums, *, trusted: bool) -> None:
        """Replace what has been learnt by the result of a batch rule; see `Updater.adopt`."""
        assert sums.slot_curvature is not None
        at = len(point) - self._slots.weights.size
        self._newton.adopt(point[:at], sums, trusted=trusted)
        self._slots.adopt(point[at:], sums.slot_curvature)

    @property
    def adds_up(self) -> bool:
        """Whether differences to this state can be merged; see `Learns.adds_up`."""
        return self._newton.adds_up and self._slots.adds_up

    def hold(self, n_shares: int, n_rows: int) -> None:
        """Begin to learn a share of a round; see `Learns.hold`."""
        self._newton.hold(n_shares, n_rows)
        self._slots.hold(n_shares, n_rows, self._newton.known_rows)

    def difference(self, base: Hybrid) -> HybridDifference:
        """Return what has been learnt since `hold`; see `Learns.difference`."""
        return HybridDifference(
            self._newton.difference(base._newton), self._slots.difference(base._slots)
        )

    def merge(self, found: HybridDifference) -> None:
        """Add a difference to this, its base; see `Learns.merge`."""
        self._newton.merge(found.dense)
        self._slots.merge(found.slots)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change; see `Updater.arrays`."""
        own = {f"slots.{name}": array for name, array in self._slots.arrays().items()}
        return {f"dense.{name}": array for name, array in self._newton.arrays().items()} | own

    def restore(self, state: State) -> None:
        """Continue from a state; see `Updater.restore`."""
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
        dense, width = self._offset_of_slots(block, before), 0.0
        if self.loss.is_kinked:
            margins = before + self._slots.margins(block.slots, block.entries)
            width = kink_width(self.loss, block.label, margins)
        by_slots = self._slots.learn(
            block.slots, dense, block.label, block.weight, width, block.entries
        )
        self._newton.learn(block, self._offset_of_dense(before, by_slots))
        return shaped(self.loss, before + by_slots.margin)

    def _offset_of_dense(self, before: FloatArray, by_slots: Margins) -> FloatArray:
        """Return the slots' margins from before a block was learnt, as offset for Newton."""
        if not self._uncertain:
            return by_slots.margin
        z = self._slots.unweighted(before + by_slots.margin)
        return by_slots.margin + expected_shift(self.loss, z, by_slots.variance)

    def _offset_of_slots(self, block: Block, before: FloatArray) -> Margins:
        """Return the dense margins, with their variance, as offset for the slots.

        While the dense weights are uncertain, the rows of a block may share one large error, such
        as a trend that was learnt within one day and is extrapolated to the next. Slots would
        absorb this error. So a copy of Newton learns the block first, and its margins are used.
        """
        probe = self._newton.margin_variance(block.take(np.arange(min(_PROBE, block.n_rows))))
        if float(probe.mean()) < _UNCERTAIN:
            return Margins(before, np.zeros_like(before))
        scout = self._newton.scout()
        scout.learn(block, self._slots.margins(block.slots, block.entries))
        return Margins(scout.predict(block).reshape(before.shape), scout.margin_variance(block))

    def _dense_margins(self, block: Block) -> FloatArray:
        return self._newton.predict(block).reshape(block.n_rows, self.loss.n_outputs)


def _without_prefix(state: State) -> State:
    return {
        name.removeprefix("dense."): array
        for name, array in state.items()
        if name.startswith("dense.")
    }
