"""What a learner of hashed slots has learnt since it was a copy of another one, its base.

The belief about a slot is a normal distribution. In natural parameters (precision, and precision
times weight) the evidence of rows adds up: independent observations of one weight multiply their
likelihoods (as in expectation propagation; T. Minka, "A family of algorithms for approximate
Bayesian inference", 2001, sec. 3.2). Only slots that rows have changed are in a difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray
from onepass.learn.newton.slots_prior import add_evidence, reweigh
from onepass.learn.newton.slots_tempered import Tempering

_FADED = 1e-5
"""Relative error of a variance that has faded block by block, each time rounded to float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What one share of rows tells about the slots, after the base has faded."""

    keep: float
    """The factor by which the rows of the base have faded; 1 without a half-life."""
    index: NDArray[np.integer]
    """Flat indices of the beliefs that have changed, rising."""
    precision: Float32Array
    """Precision that the rows have added to each of them."""
    pull: Float32Array
    """Precision times weight that they have added."""

    @classmethod
    def between(
        cls,
        now: Float32Array,
        base: Float32Array,
        prior: float,
        keep: float,
        tempering: Tempering | None,
    ) -> Evidence:
        """Return the evidence between two sets of beliefs, shape (n, 2), of the same prior."""
        index = _changed(now, base, prior, keep)
        before, after = base[index].astype(np.float64), now[index].astype(np.float64)
        known = _known(before[:, 1], prior) * keep
        reached = np.maximum(_known(after[:, 1], prior), known)
        precision = reached - known
        pull = after[:, 0] / after[:, 1] - before[:, 0] * (known + 1 / prior)
        if tempering is not None:
            once = tempering.once(known, reached)
            precision, pull = precision * once, pull * once
        return cls(keep, index, precision.astype(np.float32), pull.astype(np.float32))

    def add_to(self, beliefs: Float32Array, prior: float) -> None:
        """Fade the beliefs, and add the evidence, in place."""
        if self.keep != 1.0:
            reweigh(beliefs, prior, self.keep, prior)
        add_evidence(beliefs, prior, self.index, self.precision, self.pull)


@dataclass(frozen=True, slots=True, eq=False)
class SlotsDifference:
    """What `SlotFilter` has learnt since it was a copy of a base."""

    evidence: tuple[Evidence, ...]
    """Of each share of rows, in order. They are not added up before the merge, because a belief
    that fades keeps its weight, which is no sum."""
    n_rows: int
    """Rows of positive weight."""
    dispersion: tuple[float, FloatArray]
    """The map ``x -> keep * x + new`` of the sums that give the dispersion."""

    def then(self, later: SlotsDifference) -> SlotsDifference:
        """Return what is learnt by this and then by a later share of rows."""
        (keep, new), (later_keep, later_new) = self.dispersion, later.dispersion
        return SlotsDifference(
            self.evidence + later.evidence,
            self.n_rows + later.n_rows,
            (later_keep * keep, later_keep * new + later_new),
        )


def _changed(
    now: Float32Array, base: Float32Array, prior: float, keep: float
) -> NDArray[np.integer]:
    """Return the flat indices of the beliefs that rows have changed."""
    if keep == 1.0:
        # A belief is a pair of float32; as one integer, its bits are compared at once.
        found = now.view(np.uint64)[:, 0] != base.view(np.uint64)[:, 0]
    else:
        # Fading changes variances and no weight.
        faded = 1 / (_known(base[:, 1].astype(np.float64), prior) * keep + 1 / prior)
        found = (now[:, 0] != base[:, 0]) | (np.abs(now[:, 1] / faded - 1) > _FADED)
    index = np.flatnonzero(found)
    return index.astype(np.int32) if len(now) < 1 << 31 else index


def _known(variance: FloatArray, prior: float) -> FloatArray:
    """Return the precision that comes from rows; 0 for slots that no row has hit."""
    in_use = variance < np.float32(prior)
    return np.where(in_use, np.maximum(1 / variance - 1 / prior, 0.0), 0.0)
