"""Streaming Newton for ordered classes: one weight a feature, and thresholds between the classes.

The method is that of `newton`: the past is a quadratic model in O(width^2) memory, and each block
moves the weights to the minimum of the past and its own loss together. The parameters are the
weights on standardised features, then the thresholds; see `cumulative` for the loss. A step is cut
where thresholds would not rise any more; see `ordinal_fit`.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.errors import Diverged
from onepass.learn.cumulative import rises
from onepass.learn.curvature import solve
from onepass.learn.label_sums import label_sums
from onepass.learn.losses import Loss
from onepass.learn.newton.keeps import NOTHING, Keeps
from onepass.learn.newton.kept import Kept
from onepass.learn.newton.limits import Limits, kept_rows, least_rows
from onepass.learn.newton.ordinal_difference import OrdinalDifference
from onepass.learn.newton.ordinal_fit import fit_ordered, longest
from onepass.learn.newton.ordinal_solution import OrdinalSolution
from onepass.learn.newton.scores import scores_bytes
from onepass.learn.objective import Sums
from onepass.learn.ordinal_objective import OrdinalObjective
from onepass.learn.updater import Identified, State, Weights, checked, copied

_LIMITS = Limits(settled_rows=32_768)


class Ordinal:
    """Streaming Newton for cumulative logit loss on dense features; see `Updater`.

    Parameters
    ----------
    loss
        The loss, which knows the number of classes.
    n_dense
        Number of dense features of a block.
    l2
        Ridge penalty: adds ``l2 / 2 * |w|^2`` per row, on standardised features, thresholds free.
    base
        Thresholds to start from, rising, shape (n_classes - 1,).
    half_life
        Age in rows at which a row counts half; None: all rows count alike.
    has_offset
        Whether the blocks have offsets.
    keeps
        What is kept for inference.
    """

    def __init__(
        self,
        loss: Loss,
        n_dense: int,
        *,
        l2: float = 0.0,
        base: FloatArray,
        half_life: float | None = None,
        has_offset: bool = False,
        keeps: Keeps = NOTHING,
    ) -> None:
        self.loss, self.n_dense, self.half_life = loss, n_dense, half_life
        self.solution = OrdinalSolution(
            loss, n_dense, l2=l2, base=np.asarray(base, float), keeps=keeps
        )
        has_clusters = keeps.scores == "clusters"
        self._kept = Kept(n_dense, has_offset=has_offset, has_clusters=has_clusters)
        self._keep = 1.0
        """Product of the factors by which rows have faded since `hold`."""

    @staticmethod
    def nbytes(
        loss: Loss, n_dense: int, *, has_offset: bool = False, keeps: Keeps = NOTHING
    ) -> int:
        """Return the most bytes that `arrays` take, without making them."""
        n_weights, has_clusters = n_dense + loss.n_outputs, keeps.scores == "clusters"
        kept = Kept.nbytes(n_dense, n_weights, has_offset=has_offset, has_clusters=has_clusters)
        return OrdinalSolution.nbytes(loss, n_dense, keeps) + kept

    @staticmethod
    def working_bytes(loss: Loss, n_dense: int, *, keeps: Keeps = NOTHING) -> int:
        """Return the bytes to set aside for an instance that learns; see `Newton.working_bytes`."""
        n_weights = n_dense + loss.n_outputs
        rows = 3 * 8 * (n_weights + loss.n_outputs) * _LIMITS.first_block(n_weights)
        scores = 3 * scores_bytes(keeps.scores, n_weights, is_curved=False)
        return 8 * 8 * n_weights**2 + rows + scores

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight learnt so far."""
        return self.solution.n_rows

    @property
    def known_rows(self) -> int:
        """Number of rows learnt so far; rows that have faded count less."""
        past, counted = self.solution.past, float(self.solution.scaling.weight)
        return int(self.n_rows * past.share_left(counted))

    @property
    def block_rows(self) -> int:
        """Number of rows to learn at once; see `Newton.block_rows`."""
        size = self.solution.u.size
        if self.n_rows < least_rows(size):
            return _LIMITS.first_block(size)
        return _LIMITS.next_block(size, self.known_rows)

    def update(self, block: Block) -> FloatArray:
        """Learn a block in pieces; see `Updater.update`."""
        margins = [self._learn(piece) for piece in block.pieces(self.block_rows) if piece.n_rows]
        return np.concatenate(margins) if margins else self.predict(block)

    def predict(self, block: Block) -> FloatArray:
        """Return each threshold less the margin of each row, shape (n_rows, n_classes - 1)."""
        return self.solution.margins(self.solution.x(block), block.offset)

    def scout(self) -> Ordinal:
        """Return a copy that learns the same weights, and keeps no scores."""
        return deepcopy(self, {id(self.solution.past.scores): None})

    def foresee(self, block: Block) -> FloatArray:
        """Return the margins that `update` would return, without learning."""
        return self.predict(block)

    def fade(self, factor: float) -> None:
        """Multiply the weight of all rows so far by a factor."""
        self.solution.past.fade(factor)
        self._kept.weight *= factor
        self._keep *= factor

    def horizon(self, done: int, planned: int) -> None:
        """Do nothing: no rate depends on how many rows follow."""

    def linear(self) -> Linear:
        """Return weights on raw features of each threshold less the margin."""
        return self.solution.linear()

    def weights(self, repeats: float = 1.0) -> Weights:
        """Return the weights on raw features, with their covariance and the thresholds."""
        return self.solution.weights(repeats)

    def identified(self, repeats: float = 1.0) -> Identified | None:
        """Return what the rows determine: weights, and thresholds in place of the intercept."""
        return self.solution.identified(repeats)

    def objective(self) -> OrdinalObjective:
        """Return the objective that a batch rule minimises over all rows."""
        return self.solution.objective()

    def point(self) -> FloatArray:
        """Return weights and thresholds, flat, on the features of `objective`."""
        return self.solution.u.copy()

    def adopt(self, point: FloatArray, sums: Sums, *, trusted: bool) -> None:
        """Move to a point, and replace the past by all rows at it; see `Updater.adopt`."""
        self.solution.adopt(point, sums, trusted=trusted)
        self._kept.clear()

    @property
    def adds_up(self) -> bool:
        """Whether differences to this state can be merged; see `BlockLearner.rows_to_add_up`."""
        size = self.solution.u.size
        return self.n_rows >= max(kept_rows(size), 60 * size)

    def hold(self, n_shares: int, n_rows: int) -> None:
        """Keep the scale of the features from now on; see `Learns.hold`."""
        self.solution.scaling.is_held, self._keep = True, 1.0

    def difference(self, base: Ordinal) -> OrdinalDifference:
        """Return what has been learnt since `hold`; see `Learns.difference`."""
        own, of_base = self.solution, base.solution
        return OrdinalDifference.between(
            own.scaling, own.past, of_base.scaling, of_base.past, self._keep, own.u
        )

    def merge(self, found: OrdinalDifference) -> None:
        """Add a difference to this, its base, and move to the new minimum; see `Learns.merge`.

        Raises
        ------
        Diverged
            If the weights are no longer finite.
        """
        if found.is_empty:
            return
        own = self.solution
        found.add_to(own.scaling, own.past, own.u)
        if own.scaling.is_due():
            own.rescale()
        slope = own.past.h @ own.u - own.past.b + own.penalty() * own.u
        step = solve(own.past.h + np.diag(own.penalty()), slope)
        own.u = own.u - longest(own.thresholds, step[self.n_dense :]) * step
        self._check()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change; see `Updater.arrays`."""
        return self.solution.arrays() | self._kept.arrays()

    def restore(self, state: State) -> None:
        """Continue from a state; see `Updater.restore`."""
        state = {"anchor": np.zeros(()), **state}
        found = {
            name: checked(state, name, like, any_rows=name.startswith(("kept", "cluster")))
            for name, like in ({"anchor": np.zeros(())} | self.arrays()).items()
        }
        lengths = {name: len(found[name]) for name in found if name.startswith("kept")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"expected rows of one number, found {lengths}")
        if not rises(found["u"][self.n_dense :]):
            raise ValueError("expected thresholds that rise")
        self.solution.take(found)
        self._kept.take(found)

    def _learn(self, block: Block) -> FloatArray:
        """Learn a block as a whole; return the margins of `predict` from before."""
        weight = block.weight
        if self.half_life is not None:
            self.fade(0.5 ** (len(weight) / self.half_life))
            weight = weight * 0.5 ** (np.arange(len(weight))[::-1] / self.half_life)
        aged = replace(block, weight=np.asarray(weight))
        is_first, own = not self.n_rows, self.solution
        own.scaling.add(np.ascontiguousarray(block.dense), block.weight)
        if own.scaling.is_due():
            own.rescale()
        x = own.x(block)
        before = own.margins(x, block.offset)
        own.past.weight += aged.weight.sum()
        if own.keeps.likelihood:
            own.past.likelihood += label_sums(self.loss, aged)
        if is_first or len(self._kept):
            together = self._kept.with_more(aged)
            own.past.forget_expansions()
            self._fit(own.x(together), together)
            self._kept.keep(together, own.u.size)
        else:
            self._fit(x, aged)
        self._check()
        return before

    def _fit(self, x: FloatArray, block: Block) -> None:
        """Minimise the past plus the loss of rows, and add their expansion to the past."""
        own = self.solution
        is_first = self.n_rows <= 5 * own.u.size + block.n_rows
        fit = fit_ordered(own.past, own.u, x, block, own.penalty(), is_first=is_first)
        own.u = fit.w
        own.past.add(fit.expansion, fit.point)
        own.add_scores(x, block)

    def _check(self) -> None:
        if not np.isfinite(self.solution.u).all():
            raise Diverged("the weights of newton are no longer finite; look for absurd values")
