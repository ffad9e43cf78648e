"""Products of the scores of rows, for standard errors that hold for any variance of the labels.

The score of a row is the gradient of its loss. With the curvature H of all rows and the sum M of
the products of scores, ``H^-1 M H^-1`` is the covariance of the weights, whatever the variance of
the labels (H. White, Econometrica 48, 1980; P. Huber, 1967). A row's score is taken at the weights
after its block. It differs from that at the last weights by an amount that falls with the number of
rows known by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray, IntArray
from onepass.learn.curvature import gram
from onepass.learn.newton.cluster_scores import ClusterScores, ClusterScoresDifference
from onepass.learn.newton.keeps import ScoreKind
from onepass.learn.newton.scored import Scored


@dataclass(frozen=True, slots=True, eq=False)
class RowScoresDifference:
    """The map ``x -> keep^2 * x + new`` of the products."""

    new: FloatArray

    def then(self, later: RowScoresDifference, keep: float) -> RowScoresDifference:
        """Return the map that applies this one and then a later one, which fades by `keep`."""
        return RowScoresDifference(keep**2 * self.new + later.new)


class RowScores:
    """The sum of the products of the scores of rows that are independent.

    Parameters
    ----------
    n_weights
        Number of weights and intercepts of all outputs.
    """

    n_clusters, is_curved = None, False

    def __init__(self, n_weights: int) -> None:
        self.meat = np.zeros((n_weights, n_weights))

    @staticmethod
    def nbytes(n_weights: int) -> int:
        """Return the bytes of `arrays`."""
        return 8 * n_weights**2

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays, by name, without copying them."""
        return {"meat": self.meat}

    def take(self, state: dict[str, NDArray[Any]]) -> None:
        """Put arrays, named as in `arrays`, in place of the present ones."""
        self.meat = state["meat"]

    def add(self, found: Scored, cluster: IntArray | None) -> None:
        """Add the scores of rows."""
        self.meat += _products(found)

    def add_all(self, other: RowScores) -> None:
        """Add the scores of other rows, at the same weights."""
        self.meat += other.meat

    def fade(self, factor: float) -> None:
        """Multiply the weights of all rows by a factor."""
        self.meat *= factor**2

    def forget(self) -> None:
        """Set the scores to 0, for rows that are about to be added again."""
        self.meat *= 0.0

    def move(self, back: FloatArray) -> None:
        """Express the scores with respect to weights of which the present ones are `back` times."""
        self.meat = back.T @ self.meat @ back

    def products(self, point: FloatArray) -> FloatArray:
        """Return the sum of the products of scores."""
        return self.meat

    def copy(self) -> RowScores:
        """Return a copy."""
        found = RowScores(0)
        found.meat = self.meat.copy()
        return found

    def difference(self, base: RowScores, keep: float, point: FloatArray) -> RowScoresDifference:
        """Return what has been added since this was a copy of `base`."""
        return RowScoresDifference(self.meat - keep**2 * base.meat)

    def merge(self, found: RowScoresDifference, point: FloatArray) -> None:
        """Add a difference, after fading."""
        self.meat += found.new


def _products(found: Scored) -> FloatArray:
    if found.g.shape[1] == 1:
        return gram(found.x, np.square(found.g[:, 0]))
    total = np.zeros((found.g.shape[1] * found.x.shape[1],) * 2)
    for scores in found.pieces():
        total += scores.T @ scores
    return total


Scores: TypeAlias = RowScores | ClusterScores
ScoresDifference: TypeAlias = RowScoresDifference | ClusterScoresDifference


def make_scores(kind: ScoreKind, n_weights: int, *, is_curved: bool = True) -> Scores | None:
    """Return scores of no rows; None where none are kept."""
    match kind:
        case "rows":
            return RowScores(n_weights)
        case "clusters":
            return ClusterScores(n_weights, is_curved=is_curved)
        case "none":
            return None


def scores_bytes(kind: ScoreKind, n_weights: int, *, is_curved: bool = True) -> int:
    """Return the most bytes that the arrays of scores take."""
    match kind:
        case "rows":
            return RowScores.nbytes(n_weights)
        case "clusters":
            return ClusterScores.nbytes(n_weights, is_curved=is_curved)
        case "none":
            return 0
