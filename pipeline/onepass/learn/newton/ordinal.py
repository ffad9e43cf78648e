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
from onepass.learn.losses import Loss
from onepass.learn.newton.kept import Kept
from onepass.learn.newton.limits import Limits, kept_rows, least_rows
from onepass.learn.newton.ordinal_difference import OrdinalDifference, on_thresholds
from onepass.learn.newton.ordinal_fit import fit_ordered, longest, margins
from onepass.learn.newton.ordinal_identified import identified
from onepass.learn.newton.past import Past
from onepass.learn.newton.restraint import Restraint
from onepass.learn.objective import Sums
from onepass.learn.ordinal_objective import OrdinalObjective
from onepass.learn.scaling import Standardiser
from onepass.learn.updater import Identified, State, Weights, checked, copied

_LIMITS = Limits(settled_rows=32_768)

_THRESHOLD_PRIOR = 1e-6


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
    ) -> None:
        self.loss, self.n_dense, self.l2, self.half_life = loss, n_dense, l2, half_life
        self._base = np.asarray(base, float)
        self.scaling = Standardiser(n_dense)
        self.u = np.append(np.zeros(n_dense), self._base)
        """Weights on standardised features, then thresholds."""
        self.past = Past(self.u.size)
        self._kept = Kept(n_dense, has_offset=has_offset)
        self._keep = 1.0
        """Product of the factors by which rows have faded since `hold`."""

    @staticmethod
    def nbytes(loss: Loss, n_dense: int, *, has_offset: bool = False) -> int:
        """Return the most bytes that `arrays` take, without making them."""
        n_weights = n_dense + loss.n_outputs
        kept = Kept.nbytes(n_dense, n_weights, has_offset=has_offset)
        return Standardiser.nbytes(n_dense) + Past.nbytes(n_weights) + 8 * n_weights + kept

    @staticmethod
    def working_bytes(loss: Loss, n_dense: int) -> int:
        """Return the bytes to set aside for an instance that learns; see `Newton.working_bytes`."""
        n_weights = n_dense + loss.n_outputs
        rows = 3 * 8 * (n_weights + loss.n_outputs) * _LIMITS.first_block(n_weights)
        return 8 * 8 * n_weights**2 + rows

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight learnt so far."""
        return int(self.scaling.n_rows)

    @property
    def known_rows(self) -> int:
        """Number of rows learnt so far; rows that have faded count less."""
        return int(self.n_rows * self.past.share_left(float(self.scaling.weight)))

    @property
    def block_rows(self) -> int:
        """Number of rows to learn at once; see `Newton.block_rows`."""
        if self.n_rows < least_rows(self.u.size):
            return _LIMITS.first_block(self.u.size)
        return _LIMITS.next_block(self.u.size, self.known_rows)

    def update(self, block: Block) -> FloatArray:
        """Learn a block in pieces; see `Updater.update`."""
        margins = [self._learn(piece) for piece in block.pieces(self.block_rows) if piece.n_rows]
        return np.concatenate(margins) if margins else self.predict(block)

    def predict(self, block: Block) -> FloatArray:
        """Return each threshold less the margin of each row, shape (n_rows, n_classes - 1)."""
        return self._cumulative_margins(self._x(block), block.offset)

    def scout(self) -> Ordinal:
        """Return a copy that learns the same weights."""
        return deepcopy(self)

    def foresee(self, block: Block) -> FloatArray:
        """Return the margins that `update` would return, without learning."""
        return self.predict(block)

    def fade(self, factor: float) -> None:
        """Multiply the weight of all rows so far by a factor."""
        self.past.fade(factor)
        self._kept.weight *= factor
        self._keep *= factor

    def horizon(self, done: int, planned: int) -> None:
        """Do nothing: no rate depends on how many rows follow."""

    def linear(self) -> Linear:
        """Return weights on raw features of each threshold less the margin."""
        w, thresholds = self._raw()
        n = len(thresholds)
        return Linear(thresholds, np.tile(-w, (n, 1)), np.empty((0, n)))

    def weights(self, repeats: float = 1.0) -> Weights:
        """Return the weights on raw features, with their covariance and the thresholds."""
        known = self.identified(repeats)
        w, thresholds = self._raw()
        return Weights(
            intercept=-float(thresholds[0]),
            dense=w,
            hashed=np.empty(0),
            covariance=known.covariance[:-1, :-1] if known else None,
            identified=known,
        )

    def identified(self, repeats: float = 1.0) -> Identified | None:
        """Return what the rows determine: weights, and thresholds in place of the intercept."""
        return identified(self.past, self.u, self.scaling, self._ridge(0.0), repeats)

    def objective(self) -> OrdinalObjective:
        """Return the objective that a batch rule minimises over all rows."""
        return OrdinalObjective(
            loss=self.loss,
            center=self.scaling.center,
            scale=self.scaling.scale,
            ridge=np.append(np.full(self.n_dense, self.l2), np.zeros(len(self._base))),
            base=self._base,
        )

    def point(self) -> FloatArray:
        """Return weights and thresholds, flat, on the features of `objective`."""
        return self.u.copy()

    def adopt(self, point: FloatArray, sums: Sums, *, trusted: bool) -> None:
        """Move to a point, and replace the past by all rows at it; see `Updater.adopt`."""
        self.u = point.copy()
        self.past.weight[()] = sums.weight
        held = Restraint(self._ridge(0.0))
        self.past.replace(self.loss, self.u, sums, held, trusted=trusted)
        self._kept.clear()

    @property
    def adds_up(self) -> bool:
        """Whether differences to this state can be merged; see `BlockLearner.rows_to_add_up`."""
        return self.n_rows >= max(kept_rows(self.u.size), 60 * self.u.size)

    def hold(self, n_shares: int, n_rows: int) -> None:
        """Keep the scale of the features from now on; see `Learns.hold`."""
        self.scaling.is_held, self._keep = True, 1.0

    def difference(self, base: Ordinal) -> OrdinalDifference:
        """Return what has been learnt since `hold`; see `Learns.difference`."""
        return OrdinalDifference.between(
            self.scaling, self.past, base.scaling, base.past, self._keep, self.u
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
        found.add_to(self.scaling, self.past, self.u)
        if self.scaling.is_due():
            self._rescale()
        slope = self.past.h @ self.u - self.past.b + self._penalty() * self.u
        step = solve(self.past.h + np.diag(self._penalty()), slope)
        self.u = self.u - longest(self.u[self.n_dense :], step[self.n_dense :]) * step
        self._check()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change; see `Updater.arrays`."""
        scaling = {f"scaling.{name}": array for name, array in self.scaling.arrays().items()}
        return scaling | self.past.arrays() | {"u": self.u} | self._kept.arrays()

    def restore(self, state: State) -> None:
        """Continue from a state; see `Updater.restore`."""
        state = {"anchor": np.zeros(()), **state}
        found = {
            name: checked(state, name, like, any_rows=name.startswith("kept"))
            for name, like in ({"anchor": np.zeros(())} | self.arrays()).items()
        }
        lengths = {name: len(found[name]) for name in found if name.startswith("kept")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"expected rows of one number, found {lengths}")
        if not rises(found["u"][self.n_dense :]):
            raise ValueError("expected thresholds that rise")
        for name in self.scaling.arrays():
            setattr(self.scaling, name, found[f"scaling.{name}"])
        self.past.take(found)
        self.u = found["u"]
        self._kept.take(found)

    def _learn(self, block: Block) -> FloatArray:
        """Learn a block as a whole; return the margins of `predict` from before."""
        weight = block.weight
        if self.half_life is not None:
            self.fade(0.5 ** (len(weight) / self.half_life))
            weight = weight * 0.5 ** (np.arange(len(weight))[::-1] / self.half_life)
        aged = replace(block, weight=np.asarray(weight))
        is_first = not self.n_rows
        self.scaling.add(np.ascontiguousarray(block.dense), block.weight)
        if self.scaling.is_due():
            self._rescale()
        x = self._x(block)
        before = self._cumulative_margins(x, block.offset)
        self.past.weight += aged.weight.sum()
        if is_first or len(self._kept):
            together = self._kept.with_more(aged)
            self.past.forget_expansions()
            self._fit(self._x(together), together)
            self._kept.keep(together, self.u.size)
        else:
            self._fit(x, aged)
        self._check()
        return before

    def _fit(self, x: FloatArray, block: Block) -> None:
        """Minimise the past plus the loss of rows, and add their expansion to the past."""
        is_first = self.n_rows <= 5 * self.u.size + block.n_rows
        fit = fit_ordered(self.past, self.u, x, block, self._penalty(), is_first=is_first)
        self.u = fit.w
        self.past.add(fit.expansion, fit.point)

    def _rescale(self) -> None:
        """Standardise features by their current moments, and move weights and past along."""
        move, before = on_thresholds(self.scaling.refresh(), len(self._base)), self.u
        self.u = move @ before
        self.past.move(move, before)

    def _raw(self) -> tuple[FloatArray, FloatArray]:
        w = self.u[: self.n_dense] / self.scaling.scale
        return w, self.u[self.n_dense :] + w @ self.scaling.center

    def _x(self, block: Block) -> FloatArray:
        x = self.scaling.apply(np.ascontiguousarray(block.dense))
        return np.asarray(x[:, :-1], np.float64)

    def _cumulative_margins(self, x: FloatArray, offset: FloatArray | None) -> FloatArray:
        return self.u[self.n_dense :] - margins(x, self.u, offset)[:, None]

    def _penalty(self) -> FloatArray:
        """Return the ridge penalty with a start-up prior, which fades as rows arrive."""
        share = min(1.0, 20 * self.u.size / max(1, self.n_rows))
        return self._ridge(share**3) + self.past.anchor

    def _ridge(self, prior: float) -> FloatArray:
        unit = np.square(self.scaling.deviation() / self.scaling.scale)
        own = prior + self.l2 * float(self.past.weight) * unit
        return np.append(own, np.full(len(self._base), _THRESHOLD_PRIOR))

    def _check(self) -> None:
        if not np.isfinite(self.u).all():
            raise Diverged("the weights of newton are no longer finite; look for absurd values")
