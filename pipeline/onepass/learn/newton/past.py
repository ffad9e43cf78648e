"""The quadratic model of the loss of all rows so far."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.learn.label_sums import CONSTANT, PEARSON
from onepass.learn.losses import Loss
from onepass.learn.newton.expansion import Expansion
from onepass.learn.newton.restraint import Restraint
from onepass.learn.newton.scores import Scores
from onepass.learn.objective import Sums
from onepass.learn.pointwise import SQUARED

_ANCHOR = 3e-3
"""Anchor of refined weights, as a share of the curvature of standardised rows.

Without it, one block trained after refining multiplied the loss of nearly separable classes by 200.
With a third of it some blocks still did, with three times as much nothing was gained.
"""

_STEEPEST = 0.25
"""Largest curvature of logistic loss."""


class Past:
    """Q(w) = w'Hw/2 - b'w, the sum of the second-order expansions of all blocks so far.

    The model is up to a constant, which is among the sums of the likelihood. The penalty is not
    part of it.

    Parameters
    ----------
    n_weights
        Number of weights and intercepts of all outputs.
    n_sums
        Number of the sums of the likelihood; 0 if they are not kept.
    scores
        Scores of rows or clusters; None if they are not kept.
    """

    def __init__(self, n_weights: int, n_sums: int = 0, scores: Scores | None = None) -> None:
        self.weight = np.zeros(())
        """Sum of the weights of the rows."""
        self.label_square = np.zeros(())
        """Weighted sum of squared labels, for squared loss; 0 for the others."""
        self.noise = np.zeros(())
        """Sum of squared gradients with respect to the margin; see `Expansion.noise`."""
        self.bend = np.zeros(())
        """Sum of second derivatives with respect to the margin; see `Expansion.bend`."""
        self.h = np.zeros((n_weights, n_weights))
        self.b = np.zeros(n_weights)
        self.anchor = np.zeros(())
        """Coefficient of the squared distance from refined weights, which holds later steps back; 0
        for most models. Its linear part is in `b`, its quadratic part is in no matrix."""
        self.likelihood = np.zeros(n_sums)
        """Sums of `onepass.learn.likelihood`, over all rows."""
        self.scores = scores

    @staticmethod
    def nbytes(n_weights: int) -> int:
        """Return the bytes of `arrays`."""
        return 5 * 8 + 8 * n_weights**2 + 8 * n_weights

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays, by name, without copying them, but for those of which there is none.

        States of models that were made before there were anchors, likelihoods and scores keep their
        bytes.
        """
        names = ["weight", "label_square", "noise", "bend", "h", "b"]
        names += ["anchor"] if self.anchor else []
        names += ["likelihood"] if len(self.likelihood) else []
        found = {name: getattr(self, name) for name in names}
        return found if self.scores is None else found | self.scores.arrays()

    def take(self, state: dict[str, NDArray[Any]]) -> None:
        """Put arrays, named as in `arrays`, in place of the present ones."""
        if self.scores is not None:
            self.scores.take(state)
        of_scores = {} if self.scores is None else self.scores.arrays()
        for name in {*self.arrays(), "anchor"} - of_scores.keys():
            setattr(self, name, state[name])

    def share_left(self, counted: float) -> float:
        """Return the share that is left of rows whose weight was once `counted`, after fading."""
        return min(1.0, float(self.weight) / counted) if counted else 1.0

    def copy(self) -> Past:
        """Return a copy."""
        found = Past(0, 0, None if self.scores is None else self.scores.copy())
        for name in ("weight", "label_square", "noise", "bend", "h", "b", "anchor", "likelihood"):
            setattr(found, name, getattr(self, name).copy())
        return found

    def fade(self, factor: float) -> None:
        """Multiply the contribution of all rows so far by a factor."""
        sums = (self.weight, self.label_square, self.noise, self.bend)
        for array in (self.h, self.b, *sums, self.anchor, self.likelihood):
            array *= factor
        if self.scores is not None:
            self.scores.fade(factor)

    def forget_expansions(self) -> None:
        """Set the model to 0, for rows that are about to be expanded again.

        Their weight stays counted.
        """
        for array in (self.h, self.b, self.noise, self.bend, self.likelihood[: PEARSON + 1]):
            array *= 0.0
        if self.scores is not None:
            self.scores.forget()

    def add(self, found: Expansion, point: FloatArray) -> None:
        """Add the expansion of a block's loss around a point, flat weights."""
        self.h += found.curvature
        self.b += found.curvature @ point - found.slope
        self.noise += found.noise
        self.bend += found.bend
        if len(self.likelihood):
            value = found.value - found.slope @ point + 0.5 * (point @ found.curvature @ point)
            self.likelihood[CONSTANT] += value
            self.likelihood[PEARSON] += found.pearson

    def value(self, point: FloatArray) -> float:
        """Return the loss at flat weights, of a loss other than squared, by the quadratic model."""
        constant = float(self.likelihood[CONSTANT])
        bend = point @ self.h @ point + float(self.anchor) * (point @ point)
        return constant - float(self.b @ point) + 0.5 * float(bend)

    def add_squares(self, curvature: FloatArray, b: FloatArray) -> None:
        """Add the squared loss of a block, which is quadratic itself."""
        self.h += curvature
        self.b += b

    def add_labels(self, y: FloatArray, weight: FloatArray) -> None:
        """Add the squares of labels, less the part of the margin that comes from elsewhere."""
        self.label_square += (weight * y * y).sum()

    def move(self, move: FloatArray, w: FloatArray) -> None:
        """Express the model in weights ``move @ w``; an anchor moves to the flat weights `w`."""
        back = np.asarray(np.linalg.inv(move), np.float64)
        value = self.value(w) if len(self.likelihood) else 0.0
        self.h = back.T @ self.h @ back
        if self.scores is not None:
            self.scores.move(back)
        if self.anchor:
            self.b = back.T @ (self.b - self.anchor * w) + self.anchor * (move @ w)
        else:
            self.b = back.T @ self.b
        if self.anchor and len(self.likelihood):
            # The anchor keeps its form, and the loss at the present weights is the same.
            self.likelihood[CONSTANT] += value - self.value(move @ w)

    def replace(
        self, loss: Loss, point: FloatArray, sums: Sums, penalty: Restraint, *, trusted: bool
    ) -> None:
        """Replace the model by one with its minimum, and the curvature of all rows, at a point.

        Squared loss is quadratic, and its own minimum is kept. For the other losses a slope that is
        left at the point is dropped: where rows are saturated there is hardly any curvature, and
        the minimum of the expansion may be far away, where the loss is many times as large.

        Parameters
        ----------
        point
            All dense weights, flat.
        sums
            Derivatives at the point; its slope may go on with slots.
        penalty
            Penalties and constraints of the weights, flat.
        trusted
            Whether the curvature at the point tells what happens at some distance. If not, an
            anchor makes up for the curvature that rows have as soon as they are fitted less well.
        """
        assert sums.curvature is not None
        self.h = sums.curvature.copy()
        curved = max(_STEEPEST * loss.unit * sums.weight, sums.bend)
        self.anchor[()] = 0.0 if trusted or loss.code == SQUARED else _ANCHOR * curved
        pull = -sums.slope[: len(self.b)]
        if loss.code != SQUARED:
            pull = (penalty.ridge + self.anchor) * point
            pull = pull if penalty.pull is None else pull - penalty.pull
            # An l1 penalty and bounds are left to balance their part of the slope.
            own = sums.slope[: len(self.b)] + penalty.slope(point)
            pull = pull - penalty.balance(own, point)
        self.b = self.h @ point + pull
        self.noise[()], self.bend[()] = sums.noise, sums.bend
        # Twice the value of squared loss is the sum of squared residuals, y'y - 2 b'w + w'Hw.
        square = 2 * sums.value + 2 * self.b @ point - point @ self.h @ point
        self.label_square[()] = square if loss.code == SQUARED else 0.0
        if sums.labels is not None:
            self.likelihood[:] = sums.labels
            self.likelihood[CONSTANT] += sums.plain - self.value(point)
        if sums.scores is not None:
            self.scores = sums.scores

    def dispersion(self, loss: Loss, w: FloatArray, freedom: float) -> float:
        """Return the factor by which the inverse curvature is the covariance of the weights.

        1 for losses with unit dispersion; the residual variance for squared loss; else the mean
        squared gradient over the mean curvature.

        Parameters
        ----------
        w
            Weights of the first output.
        freedom
            Number of rows, less that of weights where they are many.
        """
        if loss.code == SQUARED:
            residual = float(self.label_square - 2 * self.b @ w + w @ self.h @ w)
            return max(0.0, residual) / freedom
        if loss.has_unit_dispersion:
            return 1.0
        return float(self.noise) / max(float(self.bend), 1e-300)
