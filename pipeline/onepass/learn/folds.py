"""Keep the loss of each fold of the rows as a quadratic of the weights, for cross-validation.

Beside the learner, each fold has the sum of the second-order expansions of its rows, around the
weights after the block in which they were learnt. So one pass knows what the rows of all folds but
one would have given, and how far off the rows of the left fold would be; see `cross_validation`.
The sums are exact for squared loss, of the second order for others.

It is renewable estimation (L. Luo, P. X.-K. Song, JRSS-B 82, 2020, sec. 2.2) by fold. For the
accuracy of leaving rows out of a quadratic see A. Beirami et al., NeurIPS 2017, sec. 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, IntArray, Linear
from onepass.learn.curvature import gram
from onepass.learn.kernels import moments, standardise
from onepass.learn.losses import LOG_LINK, Loss
from onepass.learn.newton.limits import kept_rows
from onepass.learn.pointwise import SQUARED
from onepass.learn.updater import State, checked, copied

FOLDED = frozenset({"squared", "huber", "logistic", "poisson", "gamma"})
"""Losses of one smooth margin, which a quadratic follows."""

_CHUNK_BYTES = 8 << 20
"""Size of the standardised rows that are expanded at once."""

_MOST_STEPS = 20
"""Newton steps to the best constant of a block and the past; three or four are enough."""

_SUMS = ("h", "b", "value", "least", "weight", "first", "second", "constant")


class Folds:
    """Quadratic models of the loss of each fold, on features that are standardised once for all.

    Rows are expanded in double precision. The first rows are kept as they are until there are
    `kept_rows` of them, since an expansion around weights that few rows determine is poor.

    Parameters
    ----------
    loss
        One of `FOLDED`, on scaled labels.
    n_dense
        Number of dense features.
    n_folds
        Number of folds.
    base
        Intercept to start from.
    half_life
        Age in rows at which a row counts half; None: all rows count alike.
    """

    def __init__(
        self, loss: Loss, n_dense: int, n_folds: int, *, base: float, half_life: float | None
    ) -> None:
        width = n_dense + 1
        self.loss, self._base, self._half_life = loss, base, half_life
        self.h = np.zeros((n_folds, width, width))
        """Sum of the curvatures of the rows of each fold."""
        self.b = np.zeros((n_folds, width))
        self.value = np.zeros(n_folds)
        """Loss of each fold at weights of 0, by its quadratic."""
        self.least = np.zeros(n_folds)
        """Loss of a model that predicts each label, where deviance is counted from it."""
        self.weight = np.zeros(n_folds)
        """Sum of the weights of the rows."""
        self.first = np.zeros((n_folds, n_dense))
        """Weighted sum of each feature."""
        self.second = np.zeros((n_folds, n_dense))
        """Weighted sum of its square."""
        self.constant = np.zeros((n_folds, 3))
        """Curvature, slope and value of the loss of a model of an intercept alone."""
        self.center = np.zeros(n_dense)
        """Subtracted from the features; the mean of the first rows that are expanded."""
        self.scale = np.zeros(n_dense)
        """Divides the features; 0 before the first rows are expanded."""
        self._keep = 1.0
        """Product of the factors by which rows have faded since `hold`."""
        self._rows = _Rows.none(n_dense)

    @staticmethod
    def nbytes(n_dense: int, n_folds: int) -> int:
        """Return the most bytes that `arrays` take, without making them."""
        width = n_dense + 1
        sums = n_folds * (width**2 + 3 * width + 4) + 2 * n_dense
        return 8 * sums + (kept_rows(width) - 1) * (4 * n_dense + 4 * 8)

    @staticmethod
    def working_bytes(n_dense: int, n_folds: int) -> int:
        """Return the bytes to set aside: three times the sums (one for the commit), and rows."""
        return 3 * Folds.nbytes(n_dense, n_folds) + 4 * _CHUNK_BYTES

    def add(self, block: Block, fold: IntArray, linear: Linear) -> None:
        """Add the rows of a block.

        Parameters
        ----------
        block
            Rows on the learner's scale.
        fold
            Number of the fold of each row, shape (n_rows,).
        linear
            Weights on raw features after the block was learnt.
        """
        weight = block.weight
        if self._half_life is not None:
            age = np.arange(block.n_rows)[::-1] / self._half_life
            self.fade(0.5 ** (block.n_rows / self._half_life))
            weight = weight * 0.5**age
        self._rows = self._rows.followed_by(_Rows.of(block, weight, fold))
        is_known = self.loss.code == SQUARED or bool(self.weight.any())
        if is_known or len(self._rows.fold) >= kept_rows(self.b.shape[1]):
            self._expand(linear)

    def fade(self, factor: float) -> None:
        """Multiply the weight of all rows so far by a factor."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) * factor)
        self._rows = replace(self._rows, weight=self._rows.weight * factor)
        self._keep *= factor

    def expanded(self, linear: Linear) -> Folds:
        """Return the sums over all rows, with those that are kept expanded at given weights."""
        found = copy(self)
        for name in _SUMS:
            setattr(found, name, getattr(self, name).copy())
        found._expand(linear)
        return found

    @property
    def adds_up(self) -> bool:
        """Whether differences to this state can be merged; see `Learns.adds_up`."""
        return not len(self._rows.fold) and bool(self.weight.any())

    def hold(self) -> None:
        """Begin to learn a share of a round; see `Learns.hold`."""
        self._keep = 1.0

    def difference(self, base: Folds) -> FoldsDifference:
        """Return what has been added since `hold`; see `Learns.difference`."""
        keep = self._keep
        new = (getattr(self, n) - keep * getattr(base, n) for n in _SUMS)
        return FoldsDifference(keep, tuple(new))

    def merge(self, found: FoldsDifference) -> None:
        """Add what others have learnt that began as copies of this; see `Learns.merge`."""
        for name, new in zip(_SUMS, found.new, strict=True):
            setattr(self, name, found.keep * getattr(self, name) + new)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change; see `Updater.arrays`."""
        sums: dict[str, NDArray[np.generic]] = {
            name: getattr(self, name) for name in (*_SUMS, "center", "scale")
        }
        return sums | self._rows.arrays()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def restore(self, state: State) -> None:
        """Continue from a state; see `Updater.restore`."""
        found = {
            name: checked(state, name, like, any_rows=name.startswith("kept_"))
            for name, like in self.arrays().items()
        }
        for name in (*_SUMS, "center", "scale"):
            setattr(self, name, found[name])
        own = {name: found[f"kept_{name}"] for name in _Rows.__slots__}
        if len({len(array) for array in own.values()}) > 1:
            raise ValueError("expected as many folds as rows that are kept")
        self._rows = _Rows(**own)

    def _expand(self, linear: Linear) -> None:
        """Add the expansions of the rows that are kept, around given weights, and drop the rows."""
        rows = self._rows
        if not rows.weight.any():
            return
        self._rows = _Rows.none(len(self.center))
        if not self.weight.any():
            self._standardise_by(rows)
        dense = linear.dense[0]
        w = np.append(dense * self.scale, linear.intercept[0] + dense @ self.center)
        intercept = self._best_constant(rows)
        for k, part in rows.by_fold(len(self.weight), self.b.shape[1]):
            self._add(k, part, w)
            self._add_constant(k, part, intercept)

    def _standardise_by(self, rows: _Rows) -> None:
        mean, m2 = np.zeros_like(self.center), np.zeros_like(self.center)
        total = moments(rows.dense, rows.weight, mean, m2)
        deviation = np.sqrt(m2 / total)
        self.center = mean
        self.scale = np.where(deviation > 1e-7 * np.abs(mean), deviation, 1.0)

    def _add(self, k: int, part: _Rows, w: FloatArray) -> None:
        x = np.empty((len(part.fold), len(w)))
        standardise(part.dense, self.center, self.scale, x)
        value, g, c = self.loss.expand(x @ w + part.offset, part.label, part.weight)
        curvature, slope = gram(x, c), g @ x
        pull = curvature @ w
        self.h[k] += curvature
        self.b[k] += pull - slope
        self.value[k] += value - slope @ w + 0.5 * (pull @ w)
        self.weight[k] += part.weight.sum()
        self.first[k] += part.weight @ x[:, :-1]
        self.second[k] += part.weight @ np.square(x[:, :-1])
        if self.loss.name in LOG_LINK:
            exact = np.log(np.maximum(part.label, 1e-300))
            self.least[k] += self.loss.total(exact, part.label, part.weight)

    def _add_constant(self, k: int, part: _Rows, intercept: float) -> None:
        value, g, c = self.loss.expand(part.offset + intercept, part.label, part.weight)
        slope, bend = g.sum(), c.sum()
        pull = bend * intercept
        at_zero = value - slope * intercept + 0.5 * pull * intercept
        self.constant[k] += (bend, pull - slope, at_zero)

    def _best_constant(self, rows: _Rows) -> float:
        """Return the intercept that fits the rows so far and these best, with no feature."""
        bend, pull, _ = self.constant.sum(axis=0)
        point = pull / bend if bend > 0 else self._base
        for _ in range(_MOST_STEPS):
            g, c = self.loss.derivatives(rows.offset + point, rows.label, rows.weight)
            step = (bend * point - pull + g.sum()) / max(bend + c.sum(), 1e-12)
            point -= float(np.clip(step, -2.0, 2.0))
            if abs(step) < 1e-9:
                break
        return float(point)


@dataclass(frozen=True, slots=True, eq=False)
class FoldsDifference:
    """The map ``x -> keep * x + new`` of all sums of `Folds`; see `PastDifference`."""

    keep: float
    """The factor by which all rows of the base have faded; 1 without a half-life."""
    new: tuple[FloatArray, ...]

    def then(self, later: FoldsDifference) -> FoldsDifference:
        """Return the map that applies this one, and then a later one."""
        pairs = zip(self.new, later.new, strict=True)
        new = tuple(later.keep * one + other for one, other in pairs)
        return FoldsDifference(later.keep * self.keep, new)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows that are kept until their expansion."""

    dense: NDArray[np.float32]
    label: FloatArray
    weight: FloatArray
    offset: FloatArray
    fold: IntArray

    @classmethod
    def none(cls, n_dense: int) -> _Rows:
        """Return no rows."""
        none = np.empty(0)
        dense = np.empty((0, n_dense), np.float32)
        return cls(dense, none, none, none, np.empty(0, np.int64))

    @classmethod
    def of(cls, block: Block, weight: FloatArray, fold: IntArray) -> _Rows:
        """Return the rows of a block, with weights that age."""
        offset = np.zeros(block.n_rows) if block.offset is None else block.offset
        return cls(np.ascontiguousarray(block.dense), block.label, weight, offset, fold)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays, by the names that a state has for them."""
        return {f"kept_{name}": getattr(self, name) for name in self.__slots__}

    def followed_by(self, later: _Rows) -> _Rows:
        """Return these rows and later ones."""
        if not len(self.fold):
            return later
        both = ((getattr(self, n), getattr(later, n)) for n in self.__slots__)
        return _Rows(*map(np.concatenate, both))

    def by_fold(self, n_folds: int, width: int) -> Iterator[tuple[int, _Rows]]:
        """Yield the rows of each fold that count, a bounded number at once, with its number."""
        step = max(256, _CHUNK_BYTES // (8 * width))
        for k in range(n_folds):
            own = np.flatnonzero((self.fold == k) & (self.weight > 0))
            for first in range(0, len(own), step):
                rows = own[first : first + step]
                yield k, _Rows(*(getattr(self, name)[rows] for name in self.__slots__))
