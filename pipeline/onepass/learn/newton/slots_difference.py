"""Compute, compose and add the difference between a filter of hashed slots and its base.

The base is the filter that it was copied from.

The belief about a slot is a normal distribution. In natural parameters (precision, and precision
times weight) the evidence of rows adds up: independent observations of one weight multiply their
likelihoods (as in expectation propagation; T. Minka, "A family of algorithms for approximate
Bayesian inference", 2001, sec. 3.2). Only slots that rows have changed are in a difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray
from onepass.jit import compiled, pasted
from onepass.learn.newton.slots_prior import add_evidence, reweigh
from onepass.learn.newton.slots_tempered import Tempering, counted_once

_FADED = 1e-5
"""Relative error of a variance that has faded block by block, each time rounded to float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Precision and pull that one share of rows adds to the slots, after the base has faded."""

    keep: float
    """The factor by which the rows of the base have faded; 1 without a half-life."""
    n_beliefs: int
    """Number of beliefs of the base."""
    prior: float
    """Variance of a belief of the base that no row has hit."""
    index: NDArray[np.integer]
    """Flat indices of the beliefs that have changed, rising."""
    precision: Float32Array
    """Precision that the rows have added to each of them."""
    pull: Float32Array
    """Precision times weight that they have added."""
    before: Float32Array
    """The changed beliefs as they are in the base, shape (n, 2); empty without a half-life."""

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
        rate, n_shares = (0.0, 1) if tempering is None else (tempering.rate, tempering.n_shares)
        index = _changed(now, base, prior, keep)
        precision, pull = np.empty(len(index), np.float32), np.empty(len(index), np.float32)
        _add_up(now, base, prior, keep, rate, float(n_shares), index, precision, pull)
        before = base[index if keep != 1.0 else index[:0]]
        return cls(keep, len(base), prior, index, precision, pull, before)

    def add_to(self, beliefs: Float32Array, prior: float) -> None:
        """Fade the beliefs, and add the evidence, in place."""
        if self.keep != 1.0:
            reweigh(beliefs, prior, self.keep, prior)
        add_evidence(beliefs, prior, self.index, self.precision, self.pull)


@dataclass(frozen=True, slots=True, eq=False)
class SlotsDifference:
    """The difference between a `SlotFilter` and the base that it was copied from."""

    evidence: tuple[Evidence, ...]
    """Evidence of each share of rows, in order, or its sum."""
    n_rows: int
    """Rows of positive weight."""
    dispersion: tuple[float, FloatArray]
    """The map ``x -> keep * x + new`` of the sums that give the dispersion."""
    slope: FloatArray
    """Sum that the rows add to `SlotFilter.slope`; 0 if the prior has no factor."""

    def then(self, later: SlotsDifference) -> SlotsDifference:
        """Return the difference of a learner that learns these rows, then the later ones."""
        (keep, new), (later_keep, later_new) = self.dispersion, later.dispersion
        return SlotsDifference(
            _compact(self.evidence + later.evidence),
            self.n_rows + later.n_rows,
            (later_keep * keep, later_keep * new + later_new),
            self.slope + later.slope,
        )


def _compact(evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """Add evidence up once it takes more memory than all beliefs; below that, adding costs more."""
    first = evidence[0]
    if len(evidence) == 1 or sum(len(one.index) for one in evidence) <= first.n_beliefs:
        return evidence
    if any(one.keep != 1.0 for one in evidence):
        return (_replayed(evidence),)
    sums = np.zeros((2, first.n_beliefs))
    for one in evidence:
        sums[0, one.index] += one.precision
        sums[1, one.index] += one.pull
    index = np.flatnonzero(sums.any(axis=0)).astype(first.index.dtype)
    precision, pull = sums[:, index].astype(np.float32)
    return (replace(first, index=index, precision=precision, pull=pull),)


def _replayed(evidence: tuple[Evidence, ...]) -> Evidence:
    """Add up evidence that fades, by adding it to the beliefs of the base in order.

    A belief that fades keeps its weight, so the sum holds for these beliefs alone. It is exact if
    the first evidence is that of the first share, as in a composition from the left.
    """
    first = evidence[0]
    index = np.unique(np.concatenate([one.index for one in evidence]))
    places = [np.searchsorted(index, one.index).astype(index.dtype) for one in evidence]
    base = np.empty((len(index), 2), np.float32)
    for one, place in zip(evidence, places, strict=True):
        base[place] = one.before
    now, keep = base.copy(), 1.0
    for one, place in zip(evidence, places, strict=True):
        replace(one, index=place).add_to(now, first.prior)
        keep *= one.keep
    precision, pull = np.empty(len(index), np.float32), np.empty(len(index), np.float32)
    every = np.arange(len(index), dtype=index.dtype)
    _add_up(now, base, first.prior, keep, 0.0, 1.0, every, precision, pull)
    return Evidence(keep, first.n_beliefs, first.prior, index, precision, pull, base)


def _changed(
    now: Float32Array, base: Float32Array, prior: float, keep: float
) -> NDArray[np.integer]:
    """Return the indices of the beliefs that rows have changed."""
    if keep == 1.0:
        # A belief is a pair of float32; as one integer, its bits are compared at once.
        found = now.view(np.uint64)[:, 0] != base.view(np.uint64)[:, 0]
    else:
        found = np.empty(len(now), np.bool_)
        _compare_faded(now, base, prior, keep, found)
    index = np.flatnonzero(found)
    # int32 halves what travels; a table of more beliefs would take 17 GB.
    return index.astype(np.int32) if len(now) < 1 << 31 else index


@compiled
def _compare_faded(
    now: Float32Array, base: Float32Array, prior: float, keep: float, found: NDArray[np.bool_]
) -> None:
    """Write whether rows have changed each belief; fading changes variances and no weight."""
    for k in range(len(now)):
        faded = 1.0 / (keep * _known(base[k, 1], prior) + 1.0 / prior)
        is_same = abs(np.float64(now[k, 1]) / faded - 1.0) < _FADED
        found[k] = now[k, 0] != base[k, 0] or not is_same


@compiled
def _add_up(
    now: Float32Array,
    base: Float32Array,
    prior: float,
    keep: float,
    rate: float,
    n_shares: float,
    index: NDArray[np.integer],
    precision: Float32Array,
    pull: Float32Array,
) -> None:
    """Write the evidence about the beliefs at `index`; see `Evidence`.

    Parameters
    ----------
    rate, n_shares
        See `Tempering`; a rate of 0 for rows that counted once.
    """
    for i in range(len(index)):
        k = index[i]
        known = keep * _known(base[k, 1], prior)
        reached = max(known, _known(now[k, 1], prior))
        moved = np.float64(now[k, 0]) / np.float64(now[k, 1])
        moved -= np.float64(base[k, 0]) * (known + 1.0 / prior)
        once = counted_once(known, reached, rate, n_shares)
        precision[i] = np.float32((reached - known) * once)
        pull[i] = np.float32(moved * once)


@pasted
def _known(variance: float, prior: float) -> float:
    """Return the precision that comes from rows; 0 for slots that no row has hit."""
    if variance < np.float32(prior):
        return max(1.0 / np.float64(variance) - 1.0 / prior, 0.0)
    return 0.0
