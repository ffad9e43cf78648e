"""The weights of newton, with the moments, the past and the penalty that determine them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, Linear
from onepass.learn.curvature import Curvature, solve
from onepass.learn.kernels import dense_margins
from onepass.learn.label_sums import n_sums
from onepass.learn.losses import Loss
from onepass.learn.newton.identified import identified
from onepass.learn.newton.keeps import NOTHING, Keeps
from onepass.learn.newton.past import Past
from onepass.learn.newton.proximal import centred
from onepass.learn.newton.scores import make_scores, scores_bytes
from onepass.learn.newton.uncertainty import variance_of_margins
from onepass.learn.objective import Objective, Sums
from onepass.learn.pointwise import LOGISTIC, SOFTMAX, SQUARED
from onepass.learn.scaling import Standardiser
from onepass.learn.updater import Identified

_INTERCEPT_PRIOR = 1e-6

_NEGLIGIBLE = 0.02
"""Share of the start-up prior, before its cube is taken, from which on it counts as faded."""


class Solution:
    """Weights on standardised features, shape (n_outputs, n_dense + 1), intercepts last.

    Parameters
    ----------
    loss, n_dense, l2, base, careful, keeps
        As for `Newton`.
    """

    def __init__(
        self,
        loss: Loss,
        n_dense: int,
        *,
        l2: float,
        base: float | FloatArray,
        careful: bool = False,
        keeps: Keeps = NOTHING,
    ) -> None:
        self.loss, self.l2, self.base, self._careful = loss, l2, base, careful
        self.keeps = replace(keeps, likelihood=keeps.likelihood and n_sums(loss) > 0)
        rare = math.exp(-abs(float(base))) if loss.code == LOGISTIC else 1.0
        self._informative = 4 * rare / (1 + rare) ** 2
        """Information of a row at the start, beside that of a row of two equally frequent
        classes."""
        self.scaling = Standardiser(n_dense)
        self.w = np.zeros((loss.n_outputs, n_dense + 1))
        self.w[:, -1] = base
        kept_sums = n_sums(loss) if self.keeps.likelihood else 0
        self.past = Past(self.w.size, kept_sums, make_scores(keeps.scores, self.w.size))

    @staticmethod
    def nbytes(loss: Loss, n_dense: int, keeps: Keeps = NOTHING) -> int:
        """Return the most bytes that `arrays` take."""
        n_weights = loss.n_outputs * (n_dense + 1)
        sums = 8 * n_sums(loss) if keeps.likelihood else 0
        own = Past.nbytes(n_weights) + sums + scores_bytes(keeps.scores, n_weights)
        return Standardiser.nbytes(n_dense) + own + 8 * n_weights

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight so far."""
        return int(self.scaling.n_rows)

    @property
    def known_rows(self) -> int:
        """Number of rows so far; rows that have faded count less."""
        counted = float(self.scaling.weight)
        share = min(1.0, float(self.past.weight) / counted) if counted else 1.0
        return int(int(self.scaling.n_rows) * share)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays, by name, without copying them."""
        scaling = {f"scaling.{name}": array for name, array in self.scaling.arrays().items()}
        return scaling | self.past.arrays() | {"w": self.w}

    def take(self, state: dict[str, NDArray[Any]]) -> None:
        """Put arrays, named as in `arrays`, in place of the present ones."""
        for name in self.scaling.arrays():
            setattr(self.scaling, name, state[f"scaling.{name}"])
        self.past.take(state)
        self.w = state["w"]

    def margins(self, dense: Float32Array) -> FloatArray:
        """Return the margins of rows, shape (n_rows, n_outputs)."""
        return self.moved_by(self.w, dense)

    def moved_by(self, w: FloatArray, dense: Float32Array) -> FloatArray:
        """Return the margins of rows by given weights on standardised features."""
        margin = np.empty((len(dense), len(w)))
        dense_margins(np.ascontiguousarray(dense), self.scaling.raw_weights(w), margin)
        return margin

    def linear(self) -> Linear:
        """Return the weights on raw features."""
        found = self.scaling.raw_weights(self.w)
        return Linear(found[:, -1], found[:, :-1], np.empty((0, len(found))))

    def identified(self, repeats: float) -> Identified | None:
        """Return the weights on raw features that the rows determine, with their covariance.

        It is the inverse curvature (observed information) times the dispersion: 1 for logistic,
        softmax and poisson; the residual variance for squared; else the mean squared gradient over
        the mean curvature. For quantile that is the sparsity formula for identically distributed
        errors (R. Koenker, "Quantile Regression", 2005, sec. 3.2), for huber the one of P. Huber,
        "Robust Statistics", 1981, eq. 7.6.6. None for hinge, which is no likelihood.

        Parameters
        ----------
        repeats
            How often each row was learnt, on average.
        """
        return identified(
            self.loss,
            self.past,
            self.w,
            self.scaling,
            self.ridge(0.0),
            repeats,
            is_penalised=self.l2 > 0,
        )

    def margin_variance(self, dense: Float32Array) -> FloatArray:
        """Return the variance of each margin that the uncertainty of the weights implies.

        Returns
        -------
        Shape (n_rows, n_outputs).
        """
        covariance = Curvature(self.past.h + np.diag(self.penalty())).inverse()
        if self.n_rows:
            covariance *= self.past.dispersion(self.loss, self.w[0], self.n_rows)
        x = self.scaling.apply(np.ascontiguousarray(dense))
        of_classes = self.loss.code == SOFTMAX
        return variance_of_margins(covariance, x, len(self.w), of_classes=of_classes)

    def objective(self) -> Objective:
        """Return the objective that a batch rule minimises over all rows."""
        free = np.append(np.full(self.w.shape[1] - 1, self.l2), 0.0)
        return Objective(
            loss=self.loss,
            center=self.scaling.center,
            scale=self.scaling.scale,
            n_slots=0,
            ridge=np.tile(free, len(self.w)),
            prior=np.zeros(self.w.size),
            base=self.base,
            keeps=self.keeps,
        )

    def adopt(self, point: FloatArray, sums: Sums, *, trusted: bool) -> None:
        """Move to a point, and replace the past by all rows at it; see `Updater.adopt`."""
        self.w = centred(self.loss, point.reshape(self.w.shape).copy())
        # The ridge penalty is per unit of this weight.
        self.past.weight[()] = sums.weight
        penalty = self.ridge(0.0)
        self.past.replace(self.loss, self.w.ravel(), sums, penalty, trusted=trusted)

    def rescale(self) -> None:
        """Standardise features by their current moments, and move weights and past along."""
        move = self.scaling.refresh()
        move = np.asarray(np.kron(np.eye(len(self.w)), move), np.float64)
        before = self.w.ravel()
        self.w = (move @ before).reshape(self.w.shape)
        self.past.move(move, before)

    def solve_exactly(self, penalty: FloatArray) -> None:
        """Move to the minimum of the past and the penalty, for squared loss."""
        self.w[0] = solve(self.past.h + np.diag(penalty), self.past.b)

    def solve_step(self) -> None:
        """Move to the minimum of the past and the penalty by a step from the present weights.

        Weights stay where they are along directions in which no row has any curvature.
        """
        point, penalty = self.w.ravel(), self.penalty()
        slope = self.past.h @ point - self.past.b + penalty * point
        step = solve(self.past.h + np.diag(penalty), slope)
        self.w = centred(self.loss, (point - step).reshape(self.w.shape))

    def penalty(self) -> FloatArray:
        """Return the ridge penalty with the start-up prior, which fades with the rows."""
        return self.ridge(self._prior()) + self.past.anchor

    def foresight(self) -> FloatArray:
        """Return the weights that predict rows before they are learnt, of the shape of `w`.

        For squared loss, `w` is the exact solution without a prior. It may be far off while there
        are few rows, so that the predictions are made with the start-up prior.
        """
        is_exact = self.loss.code == SQUARED and self._careful and bool(self.past.weight)
        if not is_exact or self._share_of_prior() < _NEGLIGIBLE:
            return self.w
        return solve(self.past.h + np.diag(self.penalty()), self.past.b).reshape(self.w.shape)

    def _prior(self) -> float | FloatArray:
        """Return the coefficient of ``w^2 / 2`` in the start-up prior of the dense weights."""
        # The cube matters: a prior that fades more slowly still costs a tenth of the log loss after
        # tens of thousands of rows if features are ill-conditioned and the weights are large.
        prior = self._share_of_prior() ** 3
        if not self._careful:
            return prior
        # With hardly more rows than weights, the prior gives the margins a variance of about 1. It
        # ends soon: with the cube it would still cost 0.3 % of the loss at 100 rows a weight, where
        # features are ill-conditioned. Rows of two classes tell little where one class is rare.
        width = self.w.shape[1]
        rows = max(1, int(self.scaling.n_rows))
        prior += width * min(1.0, 4 * width / rows) ** 6
        prior += math.sqrt(width) * min(1.0, 4 * width / (rows * self._informative)) ** 6
        # A feature that has hardly varied, such as the time within the first day, lies many of its
        # deviations from 0, the center of the sample. By this prior the way to the center moves the
        # margin by about 1; otherwise one more day could move it by any amount. It fades slowly,
        # because it does nothing to a feature whose mean is within 0.3 deviations of the center.
        far = np.square(self.scaling.mean / self.scaling.scale)
        return np.asarray(prior + min(1.0, 200 * self.w.size / rows) * np.maximum(far - 0.1, 0.0))

    def _share_of_prior(self) -> float:
        return min(1.0, 20 * self.w.size / max(1, int(self.scaling.n_rows)))

    def ridge(self, prior: float | FloatArray) -> FloatArray:
        """Return the coefficient of ``w^2 / 2`` of each weight, flat, with a prior added."""
        # The penalty is on features of unit variance; those in use had it at the last refresh.
        unit = np.square(self.scaling.deviation() / self.scaling.scale)
        one = np.append(prior + self.l2 * float(self.past.weight) * unit, _INTERCEPT_PRIOR)
        return np.tile(one, len(self.w))
