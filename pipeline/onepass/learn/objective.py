"""The batch objective of a learner: loss and derivatives at one point, as sums over blocks.

A batch pass evaluates the loss, its slope and, for the dense weights, its curvature over all rows.
The sums over a lake are the sums of those over its blocks. So a pass over a lake larger than memory
is a map over blocks, on any worker, and a reduction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import Block, FloatArray
from onepass.learn.curvature import gram, softmax_gram
from onepass.learn.kernels import standardise
from onepass.learn.known import with_offset
from onepass.learn.label_sums import PEARSON, label_sums, loss_and_pearson
from onepass.learn.losses import Loss
from onepass.learn.newton.expansion import floored
from onepass.learn.newton.keeps import NOTHING, Keeps
from onepass.learn.newton.restraint import Kinks
from onepass.learn.newton.scored import Scored
from onepass.learn.newton.scores import Scores, make_scores
from onepass.learn.pointwise import SOFTMAX
from onepass.learn.sparse import add_products, add_spread, square_lengths


@dataclass(slots=True)
class Sums:
    """Loss and derivatives at one point, summed over some rows, without the penalty."""

    value: float
    """Loss, with its kink rounded if the loss has one."""
    plain: float
    """Loss, with no kink rounded."""
    at_origin: float
    """Loss at `Objective.origin`, no kink rounded; 0 if no curvature was asked for."""
    slope: FloatArray
    """Gradient with respect to all weights, flat: output by output the dense weights and the
    intercept, then the slots."""
    curvature: FloatArray | None
    """Second derivatives with respect to dense weights and intercepts; None if not asked for."""
    slot_curvature: FloatArray | None
    """Second derivative with respect to each hashed weight, flat; None if not asked for."""
    noise: float
    """Sum of squared gradients with respect to the margin."""
    bend: float
    """Sum of second derivatives with respect to the margin."""
    norm: float
    """Sum over rows of curvature times squared length; it bounds the largest eigenvalue of the
    curvature of all weights."""
    weight: float
    """Sum of the weights of the rows."""
    n_rows: int
    """Number of rows of positive weight."""
    labels: FloatArray | None = None
    """Sums of the likelihood; None if not asked for."""
    scores: Scores | None = None
    """Scores with respect to the dense weights; None if not asked for."""

    def add(self, other: Sums) -> None:
        """Add the sums over other rows."""
        self.value += other.value
        self.plain += other.plain
        self.at_origin += other.at_origin
        self.slope += other.slope
        for name in ("curvature", "slot_curvature"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None:
                mine += theirs
        self.noise += other.noise
        self.bend += other.bend
        self.norm += other.norm
        self.weight += other.weight
        self.n_rows += other.n_rows
        if self.labels is not None and other.labels is not None:
            self.labels += other.labels
        if self.scores is not None and other.scores is not None:
            self.scores.add_all(other.scores)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Objective:
    """The function that one updater minimises over all rows, on the features that it uses."""

    loss: Loss
    center: FloatArray
    """Subtracted from the dense features, shape (n_dense,)."""
    scale: FloatArray
    """Divides the dense features, shape (n_dense,)."""
    n_slots: int
    ridge: FloatArray
    """Coefficient of ``w^2 / 2`` for each weight, per unit of row weight, flat."""
    prior: FloatArray
    """Coefficient of ``w^2 / 2`` for each weight, independent of the rows, flat."""
    target: FloatArray | None = None
    """Dense weights to which the penalty pulls, flat; None for 0."""
    base: float | FloatArray = 0.0
    """Intercepts of `origin`, the point from which learning began: one, or shape (n_outputs,)."""
    keeps: Keeps = NOTHING
    """Sums for standard errors and statistics of the fit that a pass computes as well."""
    unit_kinks: Kinks | None = None
    """L1 penalties, per unit of row weight, and constraints of the dense weights."""

    @property
    def n_dense_weights(self) -> int:
        """Number of dense weights and intercepts."""
        return self.loss.n_outputs * (len(self.center) + 1)

    @property
    def origin(self) -> FloatArray:
        """Weights of 0 with the intercepts from which learning began, flat.

        Where constraints exclude 0, they are the nearest that meet them.
        """
        dense = np.zeros((self.loss.n_outputs, len(self.center) + 1))
        dense[:, -1] = self.base
        if self.unit_kinks is not None:
            dense[0] = self.unit_kinks.nearest(dense[0])
        return np.append(dense, np.zeros(self.n_slots * self.loss.n_outputs))

    def sums(
        self, point: FloatArray, block: Block, *, width: float = 0.0, curvature: bool = False
    ) -> Sums:
        """Evaluate the loss of a block at a point; labels are on the updater's scale.

        Parameters
        ----------
        point
            All weights, flat, as in `Sums.slope`.
        width
            Width over which a kink of the loss is rounded.
        curvature
            Whether to compute second derivatives.
        """
        # Margins overflow at points that a rule only tries, or where a learner went astray.
        with np.errstate(over="ignore", invalid="ignore"):
            return self._sums(point, block, width, curvature)

    def _sums(self, point: FloatArray, block: Block, width: float, curvature: bool) -> Sums:
        x = np.empty((block.n_rows, len(self.center) + 1))
        standardise(np.ascontiguousarray(block.dense), self.center, self.scale, x)
        dense, hashed = self.split(point)
        z = x @ dense.T
        for column in block.slots.T:
            z += hashed[column]
        if block.entries is not None:
            add_products(block.entries, hashed, z)
        z = with_offset(z, block)
        value, g, c, p = self._derivatives(z, block, width)
        slope = np.concatenate([(g.T @ x).ravel(), self._scatter(block, g, 1)])
        lengths = np.einsum("ij,ij->i", x, x) + block.slots.shape[1]
        if block.entries is not None:
            lengths += square_lengths(block.entries)
        return Sums(
            value=value,
            plain=self._total(z, block) if self.loss.is_kinked else value,
            at_origin=self._at_origin(x, z, block) if curvature else 0.0,
            slope=slope,
            curvature=self._dense_curvature(x, block, c, p) if curvature else None,
            slot_curvature=self._scatter(block, c, 2) if curvature else None,
            noise=float((g * g / np.maximum(block.weight, 1e-300)[:, None]).sum()),
            bend=float(c.sum()),
            norm=float((c.max(axis=1, initial=0.0) * lengths).sum()),
            weight=float(block.weight.sum()),
            n_rows=int(np.count_nonzero(block.weight)),
            labels=self._labels(z, block) if curvature and self.keeps.likelihood else None,
            scores=self._scores(x, g, block) if curvature else None,
        )

    def penalty(self, weight: float) -> FloatArray:
        """Return the coefficient of ``w^2 / 2`` for each weight, for rows of this total weight."""
        return self.prior + weight * self.ridge

    def kinks(self, weight: float) -> Kinks | None:
        """Return l1 penalties and constraints of the dense weights; None if there are none."""
        return None if self.unit_kinks is None else self.unit_kinks.times(weight)

    def away(self, point: FloatArray) -> FloatArray:
        """Return how far each weight is from that to which the penalty pulls, flat."""
        if self.target is None:
            return point
        away = point.copy()
        away[: len(self.target)] -= self.target
        return away

    def split(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return dense weights, (n_outputs, n_dense + 1), and hashed ones, (n_slots, n_outputs)."""
        at, n_outputs = self.n_dense_weights, self.loss.n_outputs
        return point[:at].reshape(n_outputs, -1), point[at:].reshape(self.n_slots, n_outputs)

    def _at_origin(self, x: FloatArray, z: FloatArray, block: Block) -> float:
        start = np.full_like(z, self.base)
        if self.unit_kinks is not None:
            start = x @ self.split(self.origin)[0].T
        return self._total(with_offset(start, block), block)

    def _labels(self, z: FloatArray, block: Block) -> FloatArray:
        found = label_sums(self.loss, block)
        own = loss_and_pearson(self.loss, z, block.label, block.weight, is_final=True)
        found[PEARSON] = own[1]
        return found

    def _scores(self, x: FloatArray, g: FloatArray, block: Block) -> Scores | None:
        scores = make_scores(self.keeps.scores, self.n_dense_weights, is_curved=False)
        if scores is not None:
            none = np.empty((0, 1, 1))
            scores.add(Scored(x, g, none, np.empty(0), np.empty((0, 1))), block.cluster)
        return scores

    def _total(self, z: FloatArray, block: Block) -> float:
        margins = z if self.loss.code == SOFTMAX else np.ascontiguousarray(z[:, 0])
        return self.loss.total(margins, block.label, block.weight)

    def _derivatives(
        self, z: FloatArray, block: Block, width: float
    ) -> tuple[float, FloatArray, FloatArray, FloatArray | None]:
        y, weight = block.label, block.weight
        if self.loss.code == SOFTMAX:
            value, g, p = self.loss.expand_softmax(z, y, weight)
            return value, g, weight[:, None] * p * (1 - p), p
        z = np.ascontiguousarray(z[:, 0])
        value, g, c = self.loss.expand(z, y, weight, width=width)
        c = floored(self.loss, c, z, y, weight, width)
        return value, g[:, None], c[:, None], None

    def _dense_curvature(
        self, x: FloatArray, block: Block, c: FloatArray, p: FloatArray | None
    ) -> FloatArray:
        return gram(x, c[:, 0]) if p is None else softmax_gram(x, p, block.weight)

    def _scatter(self, block: Block, values: FloatArray, power: int) -> FloatArray:
        """Return the sum over each slot of the values of the rows that hit it, flat.

        The value of a row counts times the `power` of the value of its entry, 1 for a column.
        """
        found = np.zeros((self.n_slots, values.shape[1]))
        n_columns = block.slots.shape[1]
        if n_columns:
            places = block.slots.ravel()
            for output in range(values.shape[1]):
                spread = np.repeat(values[:, output], n_columns)
                found[:, output] = np.bincount(places, spread, self.n_slots)
        if block.entries is not None:
            add_spread(block.entries, values, power, found)
        return found.ravel()
