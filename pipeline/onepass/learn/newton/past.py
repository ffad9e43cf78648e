"""The quadratic model of the loss of all rows so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.learn.losses import Loss
from onepass.learn.newton.expansion import Expansion
from onepass.learn.objective import Sums
from onepass.learn.pointwise import SQUARED

if TYPE_CHECKING:
    from onepass.learn.newton.restraint import Restraint

_ANCHOR = 3e-3
"""Anchor of refined weights, as a share of the curvature of standardised rows.

Without it, one block trained after refining multiplied the loss of nearly separable classes by 200.
With a third of it some blocks still did, with three times as much nothing was gained.
"""

_STEEPEST = 0.25
"""Largest curvature of logistic loss."""


class Past:
    """Q(w) = w'Hw/2 - b'w, the sum of the second-order expansions of all blocks so far.

    The model is up to a constant. The penalty is not part of it.

    Parameters
    ----------
    n_weights
        Number of weights and intercepts of all outputs.
    """

    def __init__(self, n_weights: int) -> None:
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

    @staticmethod
    def nbytes(n_weights: int) -> int:
        """Return the bytes of `arrays`."""
        return 5 * 8 + 8 * n_weights**2 + 8 * n_weights

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays, by name, without copying them; the anchor only if there is one."""
        names = ["weight", "label_square", "noise", "bend", "h", "b"]
        # States of models that were made before there were anchors keep their bytes.
        names += ["anchor"] if self.anchor else []
        return {name: getattr(self, name) for name in names}

    def take(self, state: dict[str, NDArray[Any]]) -> None:
        """Put arrays, named as in `arrays`, in place of the present ones."""
        for name in (*self.arrays(), "anchor"):
            setattr(self, name, state[name])

    def copies(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of `arrays`."""
        return {name: array.copy() for name, array in self.arrays().items()}

    def fade(self, factor: float) -> None:
        """Multiply the contribution of all rows so far by a factor."""
        sums = (self.weight, self.label_square, self.noise, self.bend)
        for array in (self.h, self.b, *sums, self.anchor):
            array *= factor

    def forget_expansions(self) -> None:
        """Set the model to 0, for rows that are about to be expanded again.

        Their weight stays counted.
        """
        for array in (self.h, self.b, self.noise, self.bend):
            array *= 0.0

    def add(self, found: Expansion, point: FloatArray) -> None:
        """Add the expansion of a block's loss around a point, flat weights."""
        self.h += found.curvature
        self.b += found.curvature @ point - found.slope
        self.noise += found.noise
        self.bend += found.bend

    def add_squares(self, curvature: FloatArray, b: FloatArray) -> None:
        """Add the squared loss of a block, which is quadratic itself."""
        self.h += curvature
        self.b += b

    def add_labels(self, y: FloatArray, weight: FloatArray) -> None:
        """Add the squares of labels, less the part of the margin that comes from elsewhere."""
        self.label_square += (weight * y * y).sum()

    def move(self, move: FloatArray, w: FloatArray) -> None:
        """Express the model in weights ``move @ w``; an anchor moves to the flat weights `w`."""
        back = np.linalg.inv(move)
        self.h = back.T @ self.h @ back
        if self.anchor:
            self.b = back.T @ (self.b - self.anchor * w) + self.anchor * (move @ w)
        else:
            self.b = back.T @ self.b

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
            Penalty of the weights, flat, without kinks.
        trusted
            Whether the curvature at the point tells what happens at some distance. If not, an
            anchor makes up for the curvature that rows have as soon as they are fitted less well.
        """
        assert sums.curvature is not None
        self.h = sums.curvature.copy()
        curved = max(_STEEPEST * sums.weight, sums.bend)
        self.anchor[()] = 0.0 if trusted or loss.code == SQUARED else _ANCHOR * curved
        pull = -sums.slope[: len(self.b)]
        if loss.code != SQUARED:
            pull = (penalty.ridge + self.anchor) * point
            pull = pull if penalty.pull is None else pull - penalty.pull
        self.b = self.h @ point + pull
        self.noise[()], self.bend[()] = sums.noise, sums.bend
        # Twice the value of squared loss is the sum of squared residuals, y'y - 2 b'w + w'Hw.
        square = 2 * sums.value + 2 * self.b @ point - point @ self.h @ point
        self.label_square[()] = square if loss.code == SQUARED else 0.0

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
