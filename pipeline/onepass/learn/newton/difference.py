"""Compute, compose and add the difference between a newton learner and its base.

The base is the learner that it was copied from. The sums that newton keeps of the past add up. With
a half-life, rows that follow make them fade first, so that a share of rows maps a sum x to ``keep *
x + new``. Such maps compose: rows learnt by several learners from one base give the sums of one
learner that learns them in order. Only the points around which blocks are expanded differ. For
squared loss nothing depends on them, and the result is that of one learner, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray
from onepass.learn.newton.past import Past
from onepass.learn.newton.scores import ScoresDifference
from onepass.learn.newton.solution import Solution
from onepass.learn.scaling import Standardiser


@dataclass(frozen=True, slots=True, eq=False)
class MomentsDifference:
    """Sums of rows about the base's means, as `Standardiser.add_sums` takes them; they add up."""

    n_rows: int
    weight: float
    first: FloatArray
    second: FloatArray

    @classmethod
    def between(cls, scaling: Standardiser, base: Standardiser) -> MomentsDifference:
        """Return the sums of the rows that have been added since `scaling` was a copy of `base`."""
        total = float(scaling.weight)
        moved = scaling.mean - base.mean
        return cls(
            int(scaling.n_rows) - int(base.n_rows),
            total - float(base.weight),
            total * moved,
            scaling.m2 + total * np.square(moved) - base.m2,
        )

    def then(self, later: MomentsDifference) -> MomentsDifference:
        """Return the sums of both."""
        return MomentsDifference(
            self.n_rows + later.n_rows,
            self.weight + later.weight,
            self.first + later.first,
            self.second + later.second,
        )

    def add_to(self, base: Standardiser) -> None:
        """Add the rows to the moments of the base."""
        if self.weight > 0:
            base.add_sums(self.n_rows, self.weight, self.first, self.second)


@dataclass(frozen=True, slots=True, eq=False)
class PastDifference:
    """The map ``x -> keep * x + new`` of the quadratic model, in the coordinates of the base."""

    keep: float
    """The factor by which all rows of the base have faded; 1 without a half-life."""
    sums: FloatArray
    """New parts of the weight, and of the sums of squared labels, of noise and of bend."""
    h: FloatArray
    b: FloatArray
    likelihood: FloatArray
    """New parts of the sums of the likelihood; empty if they are not kept."""
    scores: ScoresDifference | None

    @classmethod
    def between(cls, past: Past, base: Past, keep: float, point: FloatArray) -> PastDifference:
        """Return the map from `base` to `past`, which is in the same coordinates.

        Parameters
        ----------
        point
            Weights of the learner of `past`, flat.
        """
        scores = None
        if past.scores is not None:
            scores = past.scores.difference(base.scores, keep, point)  # type: ignore[arg-type]
        return cls(
            keep,
            _sums(past) - _faded(_sums(base), keep),
            past.h - _faded(base.h, keep),
            past.b - _faded(base.b, keep),
            past.likelihood - _faded(base.likelihood, keep),
            scores,
        )

    def then(self, later: PastDifference) -> PastDifference:
        """Return the map that applies this one, and then a later one."""
        scores = None
        if self.scores is not None:
            scores = self.scores.then(later.scores, later.keep)  # type: ignore[arg-type]
        return PastDifference(
            later.keep * self.keep,
            _faded(self.sums, later.keep) + later.sums,
            _faded(self.h, later.keep) + later.h,
            _faded(self.b, later.keep) + later.b,
            _faded(self.likelihood, later.keep) + later.likelihood,
            scores,
        )

    def add_to(self, base: Past, point: FloatArray) -> None:
        """Apply the map to the model of the base, in place.

        Parameters
        ----------
        point
            Weights of the base, flat.
        """
        if self.keep != 1.0:
            base.fade(self.keep)
        base.h += self.h
        base.b += self.b
        for array, new in zip(_arrays(base), self.sums, strict=True):
            array += new
        base.likelihood += self.likelihood
        if base.scores is not None:
            base.scores.merge(self.scores, point)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, eq=False)
class NewtonDifference:
    """The difference between `Newton` and its base: in moments of features, and in the past."""

    moments: MomentsDifference
    past: PastDifference

    @classmethod
    def between(cls, solution: Solution, base: Solution, keep: float) -> NewtonDifference:
        """Return what `solution` has learnt since it was a copy of `base`.

        Parameters
        ----------
        keep
            The factor by which all rows of the base have faded since.
        """
        moments = MomentsDifference.between(solution.scaling, base.scaling)
        past, point = solution.past, solution.w.ravel()
        if not _same_map(solution.scaling, base.scaling):
            past, point = _moved_back(solution, base.scaling)
        return cls(moments, PastDifference.between(past, base.past, keep, point))

    def then(self, later: NewtonDifference) -> NewtonDifference:
        """Return what is learnt by this and then by a later share of rows; see `PastDifference`."""
        return NewtonDifference(self.moments.then(later.moments), self.past.then(later.past))

    def add_to(self, base: Solution) -> None:
        """Add moments and past to those of the base; its weights and its scale stay as they are."""
        self.moments.add_to(base.scaling)
        self.past.add_to(base.past, base.w.ravel())

    @property
    def is_empty(self) -> bool:
        """Whether no row has been learnt and nothing has faded."""
        return self.moments.n_rows == 0 and self.past.keep == 1.0


def _faded(x: FloatArray, keep: float) -> FloatArray:
    # A matrix of 512 columns is not multiplied by 1, which would take as long as adding it.
    return x if keep == 1.0 else keep * x


def _arrays(past: Past) -> tuple[FloatArray, ...]:
    return past.weight, past.label_square, past.noise, past.bend


def _sums(past: Past) -> FloatArray:
    return np.array([float(array) for array in _arrays(past)])


def _same_map(one: Standardiser, other: Standardiser) -> bool:
    return np.array_equal(one.center, other.center) and np.array_equal(one.scale, other.scale)


def _moved_back(solution: Solution, base: Standardiser) -> tuple[Past, FloatArray]:
    """Return the past and the flat weights in the coordinates of the base.

    A learner that sees a feature vary for the first time rescales all features, also amid a round.
    """
    one = solution.scaling.move_to(base.center, base.scale)
    move: FloatArray = np.asarray(np.kron(np.eye(len(solution.w)), one), np.float64)
    moved, point = solution.past.copy(), solution.w.ravel()
    moved.move(move, point)
    return moved, move @ point
