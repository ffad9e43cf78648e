"""Differences of learners: what each of several learners has learnt since all were one, the base.

Learners of a round begin as copies of one base, hold what they share, and learn different rows.
Their differences are merged into the base in the order of the rows. Neither the place nor the time
at which a difference was computed matters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, Self, TypeAlias, TypeVar

import numpy as np

from onepass.block import FloatArray
from onepass.learn.folds import FoldsDifference
from onepass.learn.newton.difference import NewtonDifference
from onepass.learn.newton.hybrid import HybridDifference
from onepass.learn.newton.ordinal_difference import OrdinalDifference


class Composes(Protocol):
    """A difference that can be composed with later ones; it can be pickled, and never changes."""

    def then(self, later: Self) -> Self:
        """Return the difference of one learner that learns these rows and then the later ones.

        Both differences are to the same base.

        The operation is associative up to rounding. The difference of a base to itself is its
        neutral element.
        """
        ...


Found = TypeVar("Found", bound=Composes)


def composed(differences: Iterable[Found]) -> Found | None:
    """Return the composition of differences in order; None if there are none."""
    rest = iter(differences)
    first = next(rest, None)
    return None if first is None else reduce(lambda one, later: one.then(later), rest, first)


HeadDifference: TypeAlias = NewtonDifference | HybridDifference | OrdinalDifference


@dataclass(frozen=True, slots=True, eq=False)
class LearnerDifference:
    """The difference between a `Learner` and the base that it was copied from."""

    heads: tuple[HeadDifference, ...]
    label_range: FloatArray
    """Least and largest label, those of the base included."""
    free: FloatArray | None = None
    """Sums of `Overdispersion.difference`; None for a loss without a free shape."""
    folds: FoldsDifference | None = None
    """None without cross-validation."""

    def then(self, later: LearnerDifference) -> LearnerDifference:
        """Return the difference of a learner that learns these rows, then the later ones."""
        low, high = zip(self.label_range, later.label_range, strict=True)
        heads = zip(self.heads, later.heads, strict=True)
        return LearnerDifference(
            tuple(one.then(other) for one, other in heads),  # type: ignore[arg-type]
            np.array([min(low), max(high)]),
            None if self.free is None or later.free is None else self.free + later.free,
            folds=self.folds.then(later.folds) if self.folds and later.folds else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class CandidatesDifference:
    """The difference between `Candidates` and the base that they were copied from."""

    learners: tuple[LearnerDifference | None, ...]
    """None for a candidate that is excluded."""
    losses: FloatArray
    """Sum of each candidate's losses on held-out rows."""
    weight: float
    """Sum of the weights of these rows."""
    n_rows: int

    def then(self, later: CandidatesDifference) -> CandidatesDifference:
        """Return the difference of a learner that learns these rows, then the later ones."""
        learners = zip(self.learners, later.learners, strict=True)
        return CandidatesDifference(
            tuple(one.then(other) if one and other else None for one, other in learners),
            self.losses + later.losses,
            self.weight + later.weight,
            self.n_rows + later.n_rows,
        )


Difference: TypeAlias = LearnerDifference | CandidatesDifference
