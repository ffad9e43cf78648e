"""The prior variance of slot weights, learnt from the slots in use.

Expectation maximisation (D. MacKay, "Bayesian interpolation", 1992, sec. 4). The prior decides how
far the weights of rare levels are trusted, which no fixed value gets right for all data.

Beliefs are float32 pairs (weight, variance). A slot is in use when its variance is below that of
the prior.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray
from onepass.jit import compiled, reordered

SlotPrior: TypeAlias = Literal["believed", "widened", "bounded"]
"""How the prior is found; see `ModelFile.slot_prior`."""

FIRST_PRIOR = 0.3
"""Prior variance of a weight before anything is known, on labels of unit scale."""

_NARROWEST, _WIDEST = 1e-8, 10.0
_GROWTH = 4.0
"""Most that a bounded prior is multiplied by as the rows double.

The first positives of rare ids may tell a prior that is 20 times as wide as the one before. Rows
that were learnt with it moved their slots too far, and later rows hardly took that back: without
the bound, the loss after one pass over 0.7 % of positives was 2.5 and 4.3 % higher in two of eight
simulations. In the others it differed by 0.2 % at most.
"""
_N_STEPS = 100
_N_SAMPLED = 65_536
"""Slots that are sampled at most; as many determine the variance of millions to half a percent."""

_N_PRIOR_SLOTS = 2
"""Slots with the first prior's variance that are counted in, so that few slots change it little."""


def learnt_prior(beliefs: Float32Array, prior: float) -> float:
    """Return a new prior variance.

    Parameters
    ----------
    beliefs
        Shape (n, 2).
    prior
        Present prior variance.
    """
    step = max(1, _n_used(beliefs, prior) // _N_SAMPLED)
    found = _maximised(*_used(beliefs, prior, step), prior)
    return bounded(found)


def bounded(prior: float) -> float:
    """Return the prior variance nearest to a given one that any slots may have."""
    return min(max(prior, _NARROWEST), _WIDEST)


def steadied(prior: float, before: float) -> float:
    """Return the prior variance nearest to a given one that may follow another."""
    return min(prior, _GROWTH * before)


@reordered
def _maximised(pull: FloatArray, known: FloatArray, prior: float) -> float:
    """Return the prior variance after `_N_STEPS` steps of expectation maximisation.

    Parameters
    ----------
    pull, known
        For each slot in use: weight over variance, and the part of its precision (the inverse
        variance) that comes from rows.
    prior
        Variance to start from.
    """
    for _ in range(_N_STEPS):
        moment = 0.0
        for k in range(len(pull)):
            variance = 1.0 / (known[k] + 1.0 / prior)
            weight = pull[k] * variance
            moment += weight * weight + variance
        prior = (moment + _N_PRIOR_SLOTS * FIRST_PRIOR) / (len(pull) + _N_PRIOR_SLOTS)
    return prior


@compiled
def _n_used(beliefs: Float32Array, prior: float) -> int:
    """Return the number of slots in use."""
    widest, n = np.float32(prior), 0
    for k in range(len(beliefs)):
        n += beliefs[k, 1] < widest
    return n


@compiled
def _used(beliefs: Float32Array, prior: float, step: int) -> tuple[FloatArray, FloatArray]:
    """Return `pull` and `known` of `_maximised` for every `step`-th slot in use."""
    widest, n = np.float32(prior), -(-_n_used(beliefs, prior) // step)
    pull, known = np.empty(n), np.empty(n)
    place = 0
    for k in range(len(beliefs)):
        if beliefs[k, 1] < widest:
            if place % step == 0:
                variance = np.float64(beliefs[k, 1])
                pull[place // step] = beliefs[k, 0] / variance
                known[place // step] = 1.0 / variance - 1.0 / prior
            place += 1
    return pull, known


def variances(hashed: Float32Array, prior: float, repeats: float) -> FloatArray:
    """Return the variance of each weight, shape (n_slots, n_outputs).

    Parameters
    ----------
    hashed
        Beliefs, shape (n_slots, n_outputs, 2).
    prior
        Variance of a slot that no row has hit.
    repeats
        How often each row was learnt, on average; a row gives its information once.
    """
    known = np.maximum(1.0 / hashed[:, :, 1].astype(np.float64) - 1.0 / prior, 0.0)
    return 1.0 / (known / repeats + 1.0 / prior)


@compiled
def reweigh(beliefs: Float32Array, prior: float, factor: float, new_prior: float) -> None:
    """Multiply the precision that comes from rows by a factor, and replace the prior.

    Parameters
    ----------
    beliefs
        Shape (n, 2), updated in place.
    prior, new_prior
        Prior variance before and after.
    """
    widest = np.float32(prior)
    for k in range(len(beliefs)):
        if beliefs[k, 1] < widest:
            before = np.float64(beliefs[k, 1])
            variance = 1.0 / ((1.0 / before - 1.0 / prior) * factor + 1.0 / new_prior)
            if new_prior != prior:
                beliefs[k, 0] = np.float32(beliefs[k, 0] / before * variance)
            beliefs[k, 1] = np.float32(variance)
        else:
            beliefs[k, 1] = np.float32(new_prior)


@compiled
def add_evidence(
    beliefs: Float32Array,
    prior: float,
    index: NDArray[np.integer],
    precision: Float32Array,
    pull: Float32Array,
) -> None:
    """Add precision, and precision times weight, to some beliefs.

    Parameters
    ----------
    beliefs
        Shape (n, 2), updated in place.
    index, precision, pull
        Flat indices of beliefs, and what is added to each; see `slots_difference`.
    """
    for k in range(len(index)):
        at = index[k]
        before = np.float64(beliefs[at, 1])
        variance = 1.0 / (1.0 / before + np.float64(precision[k]))
        weight = np.float64(beliefs[at, 0]) / before + np.float64(pull[k])
        beliefs[at, 0] = np.float32(weight * variance)
        beliefs[at, 1] = np.float32(variance)
