"""Weights and thresholds of ordered classes, with the moments and the past that determine them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.learn.cumulative import scores
from onepass.learn.label_sums import n_sums
from onepass.learn.losses import Loss
from onepass.learn.newton.keeps import NOTHING, Keeps
from onepass.learn.newton.ordinal_difference import on_thresholds
from onepass.learn.newton.ordinal_fit import margins
from onepass.learn.newton.ordinal_identified import identified
from onepass.learn.newton.past import Past
from onepass.learn.newton.restraint import Restraint
from onepass.learn.newton.scored import of_rows
from onepass.learn.newton.scores import make_scores, scores_bytes
from onepass.learn.objective import Sums
from onepass.learn.ordinal_objective import OrdinalObjective
from onepass.learn.scaling import Standardiser
from onepass.learn.updater import Identified, Weights

_THRESHOLD_PRIOR = 1e-6


class OrdinalSolution:
    """Weights on standardised features, then thresholds.

    Parameters
    ----------
    loss, n_dense, l2, base, keeps
        As for `Ordinal`.
    """

    def __init__(
        self, loss: Loss, n_dense: int, *, l2: float, base: FloatArray, keeps: Keeps = NOTHING
    ) -> None:
        self.loss, self.n_dense, self.l2, self.base, self.keeps = loss, n_dense, l2, base, keeps
        self.scaling = Standardiser(n_dense)
        self.u = np.append(np.zeros(n_dense), base)
        """Weights on standardised features, then thresholds."""
        # The curvature of a cluster is not kept, so its score is that at the weights of each block.
        kept = make_scores(keeps.scores, self.u.size, is_curved=False)
        self.past = Past(self.u.size, n_sums(loss) if keeps.likelihood else 0, kept)

    @staticmethod
    def nbytes(loss: Loss, n_dense: int, keeps: Keeps = NOTHING) -> int:
        """Return the most bytes that `arrays` take."""
        n_weights = n_dense + loss.n_outputs
        sums = 8 * n_sums(loss) if keeps.likelihood else 0
        own = Past.nbytes(n_weights) + sums + 8 * n_weights
        own += scores_bytes(keeps.scores, n_weights, is_curved=False)
        return Standardiser.nbytes(n_dense) + own

    @property
    def thresholds(self) -> FloatArray:
        """The thresholds, on standardised features."""
        return self.u[self.n_dense :]

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight so far."""
        return int(self.scaling.n_rows)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays, by name, without copying them."""
        scaling = {f"scaling.{name}": array for name, array in self.scaling.arrays().items()}
        return scaling | self.past.arrays() | {"u": self.u}

    def take(self, state: dict[str, NDArray[Any]]) -> None:
        """Put arrays, named as in `arrays`, in place of the present ones."""
        for name in self.scaling.arrays():
            setattr(self.scaling, name, state[f"scaling.{name}"])
        self.past.take(state)
        self.u = state["u"]

    def x(self, block: Block) -> FloatArray:
        """Return standardised features without a column of ones, shape (n_rows, n_dense)."""
        x = self.scaling.apply(np.ascontiguousarray(block.dense))
        return np.asarray(x[:, :-1], np.float64)

    def margins(self, x: FloatArray, offset: FloatArray | None) -> FloatArray:
        """Return each threshold less the margin of each row, shape (n_rows, n_classes - 1)."""
        return self.thresholds - margins(x, self.u, offset)[:, None]

    def add_scores(self, x: FloatArray, block: Block) -> None:
        """Add the scores of rows at the present weights."""
        if self.past.scores is not None:
            z = margins(x, self.u, block.offset)
            found = scores(x, z, block.label, block.weight, self.thresholds)
            self.past.scores.add(of_rows(found), block.cluster)

    def raw(self) -> tuple[FloatArray, FloatArray]:
        """Return the weights and thresholds on raw features."""
        w = self.u[: self.n_dense] / self.scaling.scale
        return w, self.thresholds + w @ self.scaling.center

    def linear(self) -> Linear:
        """Return weights on raw features of each threshold less the margin."""
        w, thresholds = self.raw()
        n = len(thresholds)
        return Linear(thresholds, np.tile(-w, (n, 1)), np.empty((0, n)))

    def weights(self, repeats: float) -> Weights:
        """Return the weights on raw features, with their covariance and the thresholds."""
        known = self.identified(repeats)
        w, thresholds = self.raw()
        return Weights(
            intercept=-float(thresholds[0]),
            dense=w,
            hashed=np.empty(0),
            covariance=known.covariance[:-1, :-1],
            identified=known,
        )

    def identified(self, repeats: float) -> Identified:
        """Return what the rows determine: weights, and thresholds in place of the intercept."""
        return identified(
            self.loss,
            self.past,
            self.u,
            self.scaling,
            self.ridge(0.0),
            repeats,
            is_penalised=self.l2 > 0,
        )

    def objective(self) -> OrdinalObjective:
        """Return the objective that a batch rule minimises over all rows."""
        unit = self.l2 * np.square(self.scaling.deviation() / self.scaling.scale)
        return OrdinalObjective(
            loss=self.loss,
            center=self.scaling.center,
            scale=self.scaling.scale,
            ridge=np.append(unit, np.zeros(len(self.base))),
            base=self.base,
            keeps=self.keeps,
        )

    def adopt(self, point: FloatArray, sums: Sums, *, trusted: bool) -> None:
        """Move to a point, and replace the past by all rows at it; see `Updater.adopt`."""
        self.u = point.copy()
        self.past.weight[()] = sums.weight
        held = Restraint(self.ridge(0.0))
        self.past.replace(self.loss, self.u, sums, held, trusted=trusted)

    def rescale(self) -> None:
        """Standardise features by their current moments, and move weights and past along."""
        move, before = on_thresholds(self.scaling.refresh(), len(self.base)), self.u
        self.u = move @ before
        self.past.move(move, before)

    def penalty(self) -> FloatArray:
        """Return the ridge penalty with a start-up prior, which fades as rows arrive."""
        share = min(1.0, 20 * self.u.size / max(1, self.n_rows))
        return self.ridge(share**3) + self.past.anchor

    def ridge(self, prior: float) -> FloatArray:
        """Return the coefficient of ``u^2 / 2`` of each weight and threshold, a prior added."""
        unit = np.square(self.scaling.deviation() / self.scaling.scale)
        own = prior + self.l2 * float(self.past.weight) * unit
        return np.append(own, np.full(len(self.base), _THRESHOLD_PRIOR))
