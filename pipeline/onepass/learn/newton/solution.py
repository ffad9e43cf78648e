"""The weights of newton, with the moments, the past and the penalty that determine them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, Linear
from onepass.learn.curvature import Curvature
from onepass.learn.kernels import dense_margins
from onepass.learn.label_sums import n_sums
from onepass.learn.losses import Loss
from onepass.learn.newton.identified import identified
from onepass.learn.newton.keeps import NOTHING, Keeps
from onepass.learn.newton.past import Past
from onepass.learn.newton.proximal import centred
from onepass.learn.newton.restraint import Kinks, Restraint, kinks_of
from onepass.learn.newton.scores import make_scores, scores_bytes
from onepass.learn.newton.start_prior import information_at, start_prior
from onepass.learn.newton.uncertainty import variance_of_margins
from onepass.learn.objective import Objective, Sums
from onepass.learn.penalties import NONE, Penalties
from onepass.learn.pointwise import SOFTMAX, SQUARED
from onepass.learn.scaling import Standardiser
from onepass.learn.updater import Identified

_INTERCEPT_PRIOR = 1e-6

_NEGLIGIBLE = 0.02
"""Share of the start-up prior, before its cube is taken, from which on it counts as faded."""


class Solution:
    """Weights on standardised features, shape (n_outputs, n_dense + 1), intercepts last.

    Parameters
    ----------
    loss, n_dense, l2, base, careful, keeps, penalties
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
        penalties: Penalties = NONE,
    ) -> None:
        self.loss, self.base, self._careful = loss, base, careful
        self.keeps = replace(keeps, likelihood=keeps.likelihood and n_sums(loss) > 0)
        self.penalties, self._l2 = penalties, l2
        self.chosen = np.zeros(0)
        """Penalties that a user has chosen since: l1, l2, and 1 if by column; empty for none."""
        self._informative = information_at(loss, base)
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
        return int(self.n_rows * self.past.share_left(float(self.scaling.weight)))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays, by name, without copying them."""
        scaling = {f"scaling.{name}": array for name, array in self.scaling.arrays().items()}
        # Only models whose penalties were chosen from the path have this array.
        chosen = {"chosen": self.chosen} if len(self.chosen) else {}
        return scaling | self.past.arrays() | {"w": self.w} | chosen

    def take(self, state: dict[str, NDArray[Any]]) -> None:
        """Put arrays, named as in `arrays`, in place of the present ones."""
        for name in self.scaling.arrays():
            setattr(self.scaling, name, state[f"scaling.{name}"])
        self.past.take(state)
        self.w, self.chosen = state["w"], state.get("chosen", np.zeros(0))

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
        if self.has_kinks:
            # The weights are no smooth function of the rows, so no inverse curvature is their
            # covariance (R. Tibshirani, JRSS-B 58, 1996, sec. 2.5).
            return None
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
        else:
            covariance *= self.loss.unit
        x = self.scaling.apply(np.ascontiguousarray(dense))
        of_classes = self.loss.code == SOFTMAX
        return variance_of_margins(covariance, x, len(self.w), of_classes=of_classes)

    def objective(self) -> Objective:
        """Return the objective that a batch rule minimises over all rows."""
        return Objective(
            loss=self.loss,
            center=self.scaling.center,
            scale=self.scaling.scale,
            n_slots=0,
            ridge=np.tile(np.append(self.l2 * self._unit_penalty(), 0.0), len(self.w)),
            prior=np.zeros(self.w.size),
            target=self.target(),
            base=self.base,
            keeps=self.keeps,
            unit_kinks=self._kinks(1.0),
        )

    def adopt(self, point: FloatArray, sums: Sums, *, trusted: bool) -> None:
        """Move to a point, and replace the past by all rows at it; see `Updater.adopt`."""
        self.w = centred(self.loss, point.reshape(self.w.shape).copy())
        # The ridge penalty is per unit of this weight.
        self.past.weight[()] = sums.weight
        self.past.replace(
            self.loss, self.w.ravel(), sums, self.restrained(self.ridge(0.0)), trusted=trusted
        )

    def rescale(self) -> None:
        """Standardise features by their current moments, and move weights and past along."""
        move = self.scaling.refresh()
        move = np.asarray(np.kron(np.eye(len(self.w)), move), np.float64)
        before = self.w.ravel()
        self.w = (move @ before).reshape(self.w.shape)
        self.past.move(move, before)
        kinks = self._kinks(float(self.past.weight))
        if kinks is not None:
            # The weights of 0 at the start need not be within the bounds.
            self.w[0] = kinks.nearest(self.w[0])

    def solve_exactly(self, *, with_prior: bool) -> None:
        """Move to the minimum of the past and the penalty, for squared loss.

        Parameters
        ----------
        with_prior
            Whether the start-up prior is a part of the penalty.
        """
        restraint = self.restraint() if with_prior else self.restrained(self.ridge(0.0))
        self.w[0] = restraint.solve(self.past.h, self.past.b, self.w[0])

    def solve_step(self) -> None:
        """Move to the minimum of the past and the penalty by a step from the present weights.

        Weights stay where they are along directions in which no row has any curvature.
        """
        point, penalty = self.w.ravel(), self.restraint()
        slope = self.past.h @ point - self.past.b + penalty.slope(point)
        step = penalty.step(self.past.h, slope, point)
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
        found = self.restraint().solve(self.past.h, self.past.b, self.w[0])
        return found.reshape(self.w.shape)

    @property
    def l1(self) -> float:
        """L1 penalty per row."""
        return float(self.chosen[0]) if len(self.chosen) else self.penalties.l1

    @property
    def l2(self) -> float:
        """Ridge penalty per row."""
        return float(self.chosen[1]) if len(self.chosen) else self._l2

    @property
    def has_kinks(self) -> bool:
        """Whether an l1 penalty or constraints hold the weights back."""
        return self.l1 > 0 or self.penalties.is_constrained

    def restraint(self) -> Restraint:
        """Return all penalties and constraints, with the start-up prior."""
        return self.restrained(self.ridge(self._prior()), self.past.anchor)

    def restrained(self, ridge: FloatArray, anchor: float | FloatArray = 0.0) -> Restraint:
        """Return penalties and constraints with this coefficient of ``w^2 / 2``, flat.

        Parameters
        ----------
        anchor
            Coefficient of the past's anchor, whose linear part is in the past.
        """
        target = self.target()
        pull = None if target is None else ridge * target
        return Restraint(ridge + anchor, pull, self._kinks(float(self.past.weight)))

    def target(self) -> FloatArray | None:
        """Return the weights to which the ridge penalty pulls, flat; None for 0."""
        if not self.penalties.target:
            return None
        return np.append(np.array(self.penalties.target) * self.scaling.scale, 0.0)

    def _kinks(self, weight: float) -> Kinks | None:
        """Return the kinks for rows of this total weight."""
        by_column = len(self.chosen) > 0 and bool(self.chosen[2])
        if not self.has_kinks:
            return None
        return kinks_of(self.penalties, self.scaling, self.l1 * weight, by_column=by_column)

    def _prior(self) -> float | FloatArray:
        return start_prior(
            self.loss.unit,
            self.scaling,
            self.w.shape,
            self._share_of_prior(),
            self._informative if self._careful else None,
        )

    def _share_of_prior(self) -> float:
        return min(1.0, 20 * self.w.size / max(1, int(self.scaling.n_rows)))

    def ridge(self, prior: float | FloatArray) -> FloatArray:
        """Return the coefficient of ``w^2 / 2`` of each weight, flat, with a prior added."""
        unit = self._unit_penalty()
        one = np.append(prior + self.l2 * float(self.past.weight) * unit, _INTERCEPT_PRIOR)
        return np.tile(one, len(self.w))

    def _unit_penalty(self) -> FloatArray:
        """Return the ridge penalty of each feature for `l2` of 1 and one row."""
        # The penalty is on features of unit variance; those in use had it at the last refresh.
        unit = np.square(self.scaling.deviation() / self.scaling.scale)
        return unit * np.array(self.penalties.factors) if self.penalties.factors else unit
