"""The difference between a learner of ordered classes and its base; see `difference`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray
from onepass.learn.newton.difference import MomentsDifference, PastDifference
from onepass.learn.newton.past import Past
from onepass.learn.scaling import Standardiser


@dataclass(frozen=True, slots=True, eq=False)
class OrdinalDifference:
    """The difference in moments of features, and in the past."""

    moments: MomentsDifference
    past: PastDifference

    @classmethod
    def between(
        cls,
        scaling: Standardiser,
        past: Past,
        base: Standardiser,
        of_base: Past,
        keep: float,
        point: FloatArray,
    ) -> OrdinalDifference:
        """Return what has been learnt since moments and past were copies of those of the base.

        Both have the same center and scale, because a held scale is never refreshed.

        Parameters
        ----------
        keep
            The factor by which all rows of the base have faded since.
        point
            Weights and thresholds now.
        """
        return cls(
            MomentsDifference.between(scaling, base),
            PastDifference.between(past, of_base, keep, point),
        )

    def then(self, later: OrdinalDifference) -> OrdinalDifference:
        """Return what is learnt by this and then by a later share of rows."""
        return OrdinalDifference(self.moments.then(later.moments), self.past.then(later.past))

    def add_to(self, scaling: Standardiser, past: Past, point: FloatArray) -> None:
        """Add moments and past to those of the base, whose weights and thresholds are `point`."""
        self.moments.add_to(scaling)
        self.past.add_to(past, point)

    @property
    def is_empty(self) -> bool:
        """Whether no row has been learnt and nothing has faded."""
        return self.moments.n_rows == 0 and self.past.keep == 1.0


def on_thresholds(move: FloatArray, n_thresholds: int) -> FloatArray:
    """Return the matrix that moves weights and thresholds as one of `Standardiser` moves weights.

    A margin gains what each threshold must gain as well.
    """
    n = len(move) - 1
    found = np.eye(n + n_thresholds)
    found[:n, :n] = move[:n, :n]
    found[n:, :n] = -move[-1, :n]
    return found
