"""The batch objective of ordered classes, as sums over blocks; see `objective`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import Block, FloatArray
from onepass.learn.cumulative import cumulative, rises, scores, total
from onepass.learn.kernels import standardise
from onepass.learn.label_sums import label_sums
from onepass.learn.losses import Loss
from onepass.learn.newton.keeps import NOTHING, Keeps
from onepass.learn.newton.scored import of_rows
from onepass.learn.newton.scores import Scores, make_scores
from onepass.learn.objective import Sums


@dataclass(frozen=True, slots=True)
class OrdinalObjective:
    """The function of weights and thresholds that a batch rule minimises; see `Objective`."""

    loss: Loss
    center: FloatArray
    scale: FloatArray
    ridge: FloatArray
    """Coefficient of ``u^2 / 2`` for each weight and threshold, per unit of row weight."""
    base: FloatArray
    """Thresholds from which learning began, shape (n_classes - 1,)."""
    keeps: Keeps = NOTHING
    """Sums for standard errors and statistics of the fit that a pass computes as well."""

    @property
    def n_dense_weights(self) -> int:
        """Number of weights and thresholds."""
        return len(self.ridge)

    @property
    def origin(self) -> FloatArray:
        """Weights of 0 with the thresholds from which learning began."""
        return np.append(np.zeros(len(self.center)), self.base)

    def penalty(self, weight: float) -> FloatArray:
        """Return the coefficient of ``u^2 / 2`` for rows of this total weight."""
        return weight * self.ridge

    def kinks(self, weight: float) -> None:
        """Return None: there are no l1 penalties or constraints."""

    def away(self, point: FloatArray) -> FloatArray:
        """Return how far each weight is from that to which the penalty pulls: from 0."""
        return point

    def sums(
        self, point: FloatArray, block: Block, *, width: float = 0.0, curvature: bool = False
    ) -> Sums:
        """Evaluate the loss of a block at a point; see `Objective.sums`."""
        n = len(self.center)
        x = np.empty((block.n_rows, n + 1))
        standardise(np.ascontiguousarray(block.dense), self.center, self.scale, x)
        x = np.ascontiguousarray(x[:, :-1])
        z = x @ point[:n]
        offset = 0.0 if block.offset is None else block.offset
        z = z + offset
        label, weight = block.label, block.weight
        at_origin = total(np.zeros(len(z)) + offset, label, weight, self.base) if curvature else 0.0
        rows, size = int(np.count_nonzero(weight)), len(point)
        if not rises(point[n:]):
            value, slope, bend = np.inf, np.zeros(size), np.zeros((size, size))
            of_margins, lengths = np.zeros(len(z)), 0.0
        else:
            found = cumulative(z, label, weight, point[n:])
            value, of_margins = found.value, found.slope
            slope, bend = found.on_features(x)
            lengths = float(found.curvature @ (np.einsum("ij,ij->i", x, x) + 2))
        return Sums(
            value=value,
            plain=value,
            at_origin=at_origin,
            slope=slope,
            curvature=bend if curvature else None,
            slot_curvature=np.zeros(0) if curvature else None,
            noise=float((of_margins**2 / np.maximum(weight, 1e-300)).sum()),
            bend=float(np.trace(bend)),
            norm=lengths,
            weight=float(weight.sum()),
            n_rows=rows,
            labels=label_sums(self.loss, block) if curvature and self.keeps.likelihood else None,
            scores=self._scores(x, z, block, point[n:]) if curvature else None,
        )

    def _scores(
        self, x: FloatArray, z: FloatArray, block: Block, thresholds: FloatArray
    ) -> Scores | None:
        found = make_scores(self.keeps.scores, self.n_dense_weights, is_curved=False)
        if found is not None and rises(thresholds):
            own = scores(x, z, block.label, block.weight, thresholds)
            found.add(of_rows(own), block.cluster)
        return found
