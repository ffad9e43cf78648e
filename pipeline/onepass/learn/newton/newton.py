"""Block-proximal streaming Newton: the batch optimum in one pass, without a learning rate.

The past is one quadratic model of its loss, Q(w) = w'Hw/2 - b'w, in O(width^2) memory. For each
block, newton finds the w that minimises Q plus the block's own loss. It then replaces the block's
loss by its second-order expansion at this w, and adds the expansion to Q. For squared loss the
expansion is exact, so this is recursive ridge regression, and neither the order nor the split of
the rows matters.

The method is minibatch-prox (J. Wang, W. Wang, N. Srebro, COLT 2017) with the curvature of the past
as the metric, which makes it renewable estimation (L. Luo, P. X.-K. Song, JRSS-B 82, 2020, sec.
2.2). Where the loss is not quadratic, H is singular at first and a start-up prior bounds the steps;
it fades as rows arrive. A kink is rounded over a width, because the second derivative at the kink
holds the information (for quantile as in M. Fernandes, E. Guerre, E. Horta, JBES 39, 2021).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.errors import Diverged
from onepass.learn.known import with_offset
from onepass.learn.losses import Loss
from onepass.learn.newton.block_learner import BlockLearner
from onepass.learn.newton.difference import NewtonDifference
from onepass.learn.newton.keeps import NOTHING, Keeps
from onepass.learn.newton.kept import Kept
from onepass.learn.newton.limits import Limits, least_rows
from onepass.learn.newton.proximal import shaped
from onepass.learn.newton.saturated import Saturated
from onepass.learn.newton.scores import scores_bytes
from onepass.learn.newton.solution import Solution
from onepass.learn.objective import Objective, Sums
from onepass.learn.penalties import NONE, Penalties
from onepass.learn.pointwise import SOFTMAX, SQUARED
from onepass.learn.updater import Identified, State, Weights, copied

MAX_WIDTH = 512
"""Widest dense design that `newton` takes by default; its cost per row grows with the square."""

_LIMITS = Limits()


class Newton:
    """Streaming Newton on standardised dense features; see `Updater`.

    Parameters
    ----------
    loss
        Loss to minimise.
    n_dense
        Number of dense features of a block.
    l2
        Ridge penalty: adds ``l2 / 2 * |w|^2`` per row, on standardised features, intercept free.
    base
        Intercept to start from, or one for each output.
    half_life
        Age in rows at which a row counts half; None: all rows count alike.
    cautious
        Whether squared loss has the start-up prior, too. The first rows then mislead no other
        learner that builds on these margins, but the result is not exactly ridge regression.
    careful
        Whether the start-up prior is on features in the unit in which they arrive, and stronger
        while there are hardly more rows than weights; see `Solution`. Rows are then predicted with
        the prior before they are learnt, also for squared loss.
    by_columns
        Whether `column_pass` learns settled blocks in place of `expansion_pass`.
    has_offset
        Whether the blocks have offsets.
    keeps
        What is kept for inference.
    penalties
        Penalties and constraints beside `l2`; all but factors are for losses with one margin.
    saturated
        How rows of nearly separable classes are learnt; see `ModelFile.saturated`.
    limits
        Sizes of blocks.
    """

    def __init__(
        self,
        loss: Loss,
        n_dense: int,
        *,
        l2: float = 0.0,
        base: float | FloatArray = 0.0,
        half_life: float | None = None,
        cautious: bool = False,
        careful: bool = False,
        by_columns: bool = False,
        has_offset: bool = False,
        keeps: Keeps = NOTHING,
        penalties: Penalties = NONE,
        saturated: Saturated = "fitted",
        limits: Limits = _LIMITS,
    ) -> None:
        self.loss, self.n_dense, self.half_life = loss, n_dense, half_life
        self._limits = limits
        self.solution = Solution(
            loss, n_dense, l2=l2, base=base, careful=careful, keeps=keeps, penalties=penalties
        )
        self._blocks = BlockLearner(
            self.solution,
            cautious=cautious,
            by_columns=by_columns,
            has_offset=has_offset,
            saturated=saturated,
            limits=limits,
        )
        self._keep = 1.0
        """Product of the factors by which rows have faded since `hold`."""

    @staticmethod
    def nbytes(
        loss: Loss,
        n_dense: int,
        *,
        cautious: bool = False,
        has_offset: bool = False,
        keeps: Keeps = NOTHING,
    ) -> int:
        """Return the most bytes that `arrays` take, without making them."""
        kept = 0
        if loss.code != SQUARED and not cautious:
            n_weights, has_clusters = loss.n_outputs * (n_dense + 1), keeps.scores == "clusters"
            kept = Kept.nbytes(n_dense, n_weights, has_offset=has_offset, has_clusters=has_clusters)
        return Solution.nbytes(loss, n_dense, keeps) + 1 + kept

    @staticmethod
    def working_bytes(loss: Loss, n_dense: int, *, keeps: Keeps = NOTHING) -> int:
        """Return the bytes to set aside for an instance that learns, state and temporaries.

        The result counts eight matrices of the size of H (H itself, a block's curvature, their sum,
        moved and scaled copies, a copy for the commit). It counts three more of the size of the
        first block's standardised rows (the rows, scaled by their weights, and by their
        curvatures). All other arrays are small beside them, but for the scores: they are counted
        thrice (themselves, a copy for the commit, a temporary).
        """
        n_weights = loss.n_outputs * (n_dense + 1)
        matrices = 8 * 8 * n_weights**2
        scores = 3 * scores_bytes(keeps.scores, n_weights)
        return matrices + scores + 3 * 8 * (n_dense + 1) * _LIMITS.first_block(n_weights)

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight learnt so far."""
        return self.solution.n_rows

    @property
    def known_rows(self) -> int:
        """Number of rows learnt so far; rows that have faded count less."""
        return self.solution.known_rows

    @property
    def block_rows(self) -> int:
        """Number of rows to learn at once.

        The first block is large, because its expansion starts from the initial weights. Where
        positives are rare, its size decides how close the result is to the batch optimum.
        """
        if self.solution.n_rows < least_rows(self.solution.w.size):
            return self._limits.first_block(self.solution.w.size)
        return self._limits.next_block(self.solution.w.size, self.known_rows)

    def update(self, block: Block) -> FloatArray:
        """Learn a block in pieces; see `Updater.update`."""
        margins = [self.learn(piece) for piece in block.pieces(self.block_rows) if piece.n_rows]
        return np.concatenate(margins) if margins else self.predict(block)

    def learn(self, block: Block, others: FloatArray | None = None) -> FloatArray:
        """Learn one block as a whole; return the margins from before, with all their parts.

        Parameters
        ----------
        others
            Part of each margin that another learner knows, beside the offset of the block; shape
            (n_rows, n_outputs).

        Raises
        ------
        Diverged
            If the weights are no longer finite.
        """
        aged = replace(
            block, dense=np.ascontiguousarray(block.dense), weight=self._aged(block.weight)
        )
        known = np.zeros((block.n_rows, 1)) if others is None else others
        before = self._blocks.learn(aged, block.weight, with_offset(known, block))
        self._check()
        return before

    def fade(self, factor: float) -> None:
        """Multiply the weight of all rows so far by a factor."""
        self.solution.past.fade(factor)
        self._blocks.kept.weight *= factor
        self._keep *= factor

    def predict(self, block: Block) -> FloatArray:
        """Return the margin of each row."""
        return shaped(self.loss, with_offset(self.solution.margins(block.dense), block))

    def foresee(self, block: Block) -> FloatArray:
        """Return the margins that `update` would return, without learning."""
        margins = self.solution.moved_by(self.solution.foresight(), block.dense)
        return shaped(self.loss, with_offset(margins, block))

    def scout(self) -> Newton:
        """Return a copy that learns the same weights, and keeps no scores."""
        return deepcopy(self, {id(self.solution.past.scores): None})

    def horizon(self, done: int, planned: int) -> None:
        """Do nothing: no rate depends on how many rows follow."""

    def linear(self) -> Linear:
        """Return the weights on raw features."""
        return self.solution.linear()

    def weights(self, repeats: float = 1.0) -> Weights:
        """Return the weights on raw features with their covariance; see `covariance`."""
        return Weights.of(
            self.linear(), self.identified(repeats), several=self.loss.code == SOFTMAX
        )

    def identified(self, repeats: float = 1.0) -> Identified | None:
        """Return what the rows determine; see `Solution.identified`."""
        return self.solution.identified(repeats)

    def covariance(self) -> FloatArray | None:
        """Return the covariance of the weights; see `Solution.identified`."""
        found = self.identified()
        return None if found is None else found.covariance

    def margin_variance(self, block: Block) -> FloatArray:
        """Return the variance of each margin; see `Solution.margin_variance`."""
        return self.solution.margin_variance(block.dense)

    def objective(self) -> Objective:
        """Return the objective that a batch rule minimises over all rows."""
        return self.solution.objective()

    def point(self) -> FloatArray:
        """Return all weights, flat, on the features of `objective`."""
        return self.solution.w.ravel().copy()

    def adopt(self, point: FloatArray, sums: Sums, *, trusted: bool) -> None:
        """Move to a point, and replace the past by all rows at it; see `Updater.adopt`."""
        self.solution.adopt(point, sums, trusted=trusted)
        self._blocks.kept.clear()

    @property
    def adds_up(self) -> bool:
        """Whether differences to this state can be merged; see `Learns.adds_up`."""
        return self.solution.n_rows >= self._blocks.rows_to_add_up()

    def hold(self, n_shares: int, n_rows: int) -> None:
        """Keep the scale of the features from now on; see `Learns.hold`."""
        self.solution.scaling.is_held, self._keep = True, 1.0

    def difference(self, base: Newton) -> NewtonDifference:
        """Return what has been learnt since `hold`; see `Learns.difference`."""
        return NewtonDifference.between(self.solution, base.solution, self._keep)

    def merge(self, found: NewtonDifference) -> None:
        """Add a difference to this, its base, and move to the new minimum; see `Learns.merge`.

        Raises
        ------
        Diverged
            If the weights are no longer finite.
        """
        if not found.is_empty:
            self._blocks.merge(found)
            self._check()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def restore(self, state: State) -> None:
        """Continue from a state; see `Updater.restore`."""
        self._blocks.restore(state)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change; see `Updater.arrays`."""
        return self._blocks.arrays()

    def _check(self) -> None:
        if not np.isfinite(self.solution.w).all():
            raise Diverged("the weights of newton are no longer finite; look for absurd values")

    def _aged(self, weight: FloatArray) -> FloatArray:
        """Fade the past by the rows of a block; return their weights, faded by their own age."""
        if self.half_life is None:
            return weight
        self.fade(0.5 ** (len(weight) / self.half_life))
        return np.asarray(weight * 0.5 ** (np.arange(len(weight))[::-1] / self.half_life))
