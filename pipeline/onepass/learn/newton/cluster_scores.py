"""Sums of the scores of rows by cluster, for standard errors where rows of a cluster depend.

With the sum of the scores of each cluster in place of those of each row, the covariance of
`onepass.learn.newton.scores` holds for any dependence within clusters (K.-Y. Liang, S. Zeger,
Biometrika 73, 1986). While clusters are few, the curvature of each is kept as well. It moves the
scores of all rows to the last weights: exactly for squared loss, up to second order for the others.
Otherwise a row's score is taken at the weights after its block.

The memory is bounded. Clusters beyond a number of them are put together into groups by their hash.
Groups of whole clusters do not depend on each other either, so the covariance still holds; it is
only noisier, by a relative deviation of about ``sqrt(1 / (2 n_groups))`` of a standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray, IntArray, RealArray
from onepass.jit import compiled
from onepass.learn.newton.scored import Scored

_MOST_SCORES = 1 << 20
"""Most numbers in the scores of the clusters that are told apart, and in those of the groups."""

_MOST_CURVATURES = 1 << 22
"""Most numbers in the curvatures of clusters."""

_LEAST_CLUSTERS = 256
"""Clusters that are told apart however many weights there are."""


def most_clusters(n_weights: int) -> int:
    """Return how many clusters are told apart, which is also the number of groups of others."""
    return max(_LEAST_CLUSTERS, _MOST_SCORES // n_weights)


def most_curved(n_weights: int) -> int:
    """Return of how many clusters the curvatures are kept."""
    return _MOST_CURVATURES // n_weights**2


@dataclass(frozen=True, slots=True, eq=False)
class ClusterScoresDifference:
    """The map ``x -> keep * x + new`` of the sums of each cluster."""

    keys: IntArray
    scores: FloatArray
    curvature: FloatArray
    point: FloatArray
    """Weights of the learner that has found the difference."""

    def then(self, later: ClusterScoresDifference, keep: float) -> ClusterScoresDifference:
        """Return the map that applies this one and then a later one, which fades by `keep`."""
        keys = np.union1d(self.keys, later.keys)
        n_weights, parts = self.scores.shape[1], (self, later)
        is_curved = all(len(one.curvature) == len(one.keys) for one in parts)
        scores = np.zeros((len(keys), n_weights))
        curvature = np.zeros((len(keys) if is_curved else 0, n_weights**2))
        for one, factor in zip(parts, (keep, 1.0), strict=True):
            places = np.searchsorted(keys, one.keys)
            own = one.scores if is_curved else _at(one.scores, one.curvature, one.point)
            scores[places] += factor * own
            if is_curved:
                curvature[places] += factor * one.curvature
        return ClusterScoresDifference(keys, scores, curvature, later.point)


class ClusterScores:
    """The sum of the scores of each cluster.

    Parameters
    ----------
    n_weights
        Number of weights and intercepts of all outputs.
    is_curved
        Whether to keep the curvatures of clusters while they are few.
    """

    def __init__(self, n_weights: int, *, is_curved: bool = True) -> None:
        self._most = most_clusters(n_weights)
        self._most_curved = most_curved(n_weights) if is_curved else 0
        self.keys = np.empty(0, np.int64)
        """Hashes of the clusters, in rising order; those below `most_clusters` are of groups."""
        self.scores = np.empty((0, n_weights))
        """Sums of scores: at weights of 0 where curvatures are kept, else as they were added."""
        self.curvature = np.empty((0, n_weights**2))
        """Curvature of each cluster, flat lower triangles in squares; none if there are many."""

    @staticmethod
    def nbytes(n_weights: int, *, is_curved: bool = True) -> int:
        """Return the most bytes that `arrays` take."""
        table = 2 * most_clusters(n_weights) * 8 * (n_weights + 1)
        return table + (most_curved(n_weights) * 8 * n_weights**2 if is_curved else 0)

    @property
    def n_clusters(self) -> int:
        """Number of clusters, or of clusters and groups if there are too many to tell apart."""
        return len(self.keys)

    @property
    def is_curved(self) -> bool:
        """Whether the curvatures of the clusters are kept."""
        has_all = len(self.curvature) == len(self.keys)
        return has_all if len(self.keys) else self._most_curved > 0

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays, by name, without copying them."""
        return {
            "cluster_keys": self.keys,
            "cluster_scores": self.scores,
            "cluster_curvature": self.curvature,
        }

    def take(self, state: dict[str, NDArray[Any]]) -> None:
        """Put arrays, named as in `arrays`, in place of the present ones.

        Raises
        ------
        ValueError
            If their lengths do not fit.
        """
        keys, scores, curvature = (state[name] for name in self.arrays())
        if len(scores) != len(keys) or len(curvature) not in {0, len(keys)}:
            lengths = len(keys), len(scores), len(curvature)
            raise ValueError(f"expected clusters of one number, found {lengths}")
        if len(keys) > 2 * self._most or (np.diff(keys) <= 0).any():
            raise ValueError(f"expected at most {2 * self._most} clusters in rising order")
        self.keys, self.scores, self.curvature = keys, scores, curvature

    def add(self, found: Scored, cluster: IntArray | None) -> None:
        """Add the scores of rows."""
        assert cluster is not None
        places = self._places(cluster, found.point)
        g = found.g
        if self.is_curved:
            margins = found.x @ found.point.reshape(g.shape[1], -1).T
            g = g - np.einsum("ikl,il->ik", found.c, margins)
            _scatter_curvature(places, found.x, found.c, self.curvature)
        _scatter(places, found.x, g, self.scores)

    def add_all(self, other: ClusterScores) -> None:
        """Add the scores of other rows, at the same weights; neither keeps curvatures."""
        places = self._places(other.keys, np.zeros(self.scores.shape[1]))
        np.add.at(self.scores, places, other.scores)

    def fade(self, factor: float) -> None:
        """Multiply the weights of all rows by a factor."""
        self.scores *= factor
        self.curvature *= factor

    def forget(self) -> None:
        """Set the scores to 0, for rows that are about to be added again."""
        self.fade(0.0)

    def move(self, back: FloatArray) -> None:
        """Express the scores with respect to weights of which the present ones are `back` times."""
        self.scores = self.scores @ back
        if len(self.curvature):
            full = _full(self.curvature, len(back))
            self.curvature = (back.T @ full @ back).reshape(self.curvature.shape)

    def products(self, point: FloatArray) -> FloatArray:
        """Return the sum of the products of the clusters' scores, at weights where possible."""
        scores = _at(self.scores, self.curvature, point)
        return np.asarray(scores.T @ scores)

    def copy(self) -> ClusterScores:
        """Return a copy."""
        found = ClusterScores(self.scores.shape[1])
        found._most_curved = self._most_curved
        found.keys, found.scores = self.keys.copy(), self.scores.copy()
        found.curvature = self.curvature.copy()
        return found

    def difference(
        self, base: ClusterScores, keep: float, point: FloatArray
    ) -> ClusterScoresDifference:
        """Return what has been added since this was a copy of `base`.

        Parameters
        ----------
        point
            Weights of the learner.
        """
        places = np.searchsorted(self.keys, base.keys)
        scores, curvature = self.scores.copy(), self.curvature.copy()
        if self.is_curved:
            scores[places] -= keep * base.scores
            curvature[places] -= keep * base.curvature
        else:
            scores[places] -= keep * _at(base.scores, base.curvature, point)
        return ClusterScoresDifference(self.keys.copy(), scores, curvature, point.copy())

    def merge(self, found: ClusterScoresDifference, point: FloatArray) -> None:
        """Add a difference, after fading.

        Parameters
        ----------
        point
            Weights of the learner.
        """
        is_curved = len(found.curvature) == len(found.keys)
        if not is_curved:
            self._drop_curvature(point)
        places = self._places(found.keys, point)
        own = found.scores
        if is_curved and not self.is_curved:
            own = _at(found.scores, found.curvature, found.point)
        np.add.at(self.scores, places, own)
        if self.is_curved:
            np.add.at(self.curvature, places, found.curvature)

    def _drop_curvature(self, point: FloatArray) -> None:
        """Keep the scores at these weights for good."""
        self.scores = _at(self.scores, self.curvature, point)
        self.curvature = np.empty((0, self.curvature.shape[1]))

    def _places(self, cluster: IntArray, point: FloatArray) -> IntArray:
        """Return the place of the cluster of each row, or of its group; new ones are added."""
        places, is_known = self._look_up(cluster)
        if is_known.all():
            return places
        new = np.unique(cluster[~is_known])
        is_group = (new >= 0) & (new < self._most)
        own = new[~is_group]
        n_told = len(self.keys) - int(np.searchsorted(self.keys, self._most))
        n_told += int(np.searchsorted(self.keys, 0))
        admitted = own[: max(0, self._most - n_told)]
        groups = np.union1d(new[is_group], own[len(admitted) :] % self._most)
        self._insert(np.union1d(admitted, groups), point)
        places, is_known = self._look_up(cluster)
        if not is_known.all():
            places = self._look_up(np.where(is_known, cluster, cluster % self._most))[0]
        return places

    def _look_up(self, cluster: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
        if not len(self.keys):
            return np.zeros(len(cluster), np.int64), np.zeros(len(cluster), np.bool_)
        places = np.minimum(np.searchsorted(self.keys, cluster), len(self.keys) - 1)
        return places, self.keys[places] == cluster

    def _insert(self, keys: IntArray, point: FloatArray) -> None:
        keys = np.union1d(self.keys, keys)
        is_curved = self.is_curved and len(keys) <= self._most_curved
        if not is_curved:
            self._drop_curvature(point)
        before = np.searchsorted(keys, self.keys)
        scores = np.zeros((len(keys), self.scores.shape[1]))
        curvature = np.zeros((len(keys) if is_curved else 0, self.curvature.shape[1]))
        scores[before] = self.scores
        if is_curved:
            curvature[before] = self.curvature
        self.keys, self.scores, self.curvature = keys, scores, curvature


def _full(curvature: FloatArray, n_weights: int) -> FloatArray:
    """Return symmetric matrices, shape (n, n_weights, n_weights), of flat lower triangles."""
    lower = np.tril(curvature.reshape(-1, n_weights, n_weights))
    return np.asarray(lower + np.tril(lower, -1).transpose(0, 2, 1))


def _at(scores: FloatArray, curvature: FloatArray, point: FloatArray) -> FloatArray:
    """Return the scores at weights, of those at weights of 0; as they are without curvatures."""
    if not len(curvature):
        return scores
    return np.asarray(scores + _full(curvature, len(point)) @ point)


@compiled
def _scatter(places: IntArray, x: RealArray, g: FloatArray, scores: FloatArray) -> None:
    """Add the score of each row to its cluster."""
    width = x.shape[1]
    for i in range(len(x)):
        own = scores[places[i]]
        for k in range(g.shape[1]):
            for j in range(width):
                own[k * width + j] += g[i, k] * x[i, j]


@compiled
def _scatter_curvature(
    places: IntArray, x: RealArray, c: FloatArray, curvature: FloatArray
) -> None:
    """Add the curvature of each row to the lower triangle of its cluster."""
    width = x.shape[1]
    n_weights = c.shape[1] * width
    for i in range(len(x)):
        own = curvature[places[i]]
        for k in range(c.shape[1]):
            for m in range(k + 1):
                for j in range(width):
                    at = (k * width + j) * n_weights + m * width
                    curved = c[i, k, m] * x[i, j]
                    for n in range(j + 1 if m == k else width):
                        own[at + n] += curved * x[i, n]
