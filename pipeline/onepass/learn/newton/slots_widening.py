"""A factor of the prior of slots, learnt from the loss of rows before they are learnt.

Beliefs that neglect how slots are related understate what they do not know, so the prior that
expectation maximisation finds in them is too narrow where few labels are positive or ids occur
together. The loss of a row before it is learnt tells so: with a wider prior, the weight of a slot
would be less shrunk. Its weight is its pull over (known + 1 / prior), where the pull and the known
precision come from rows, so it has the derivative

    d weight / d log(prior) = weight * variance / prior

which adds up to the derivative d of a row's margin. Over the rows since the prior was last learnt,
the loss has the slope G = sum(g d) in the logarithm of the prior, and the bend H = sum(c d^2),
where g and c are the derivatives of the loss by the margin, over the dispersion. The factor takes a
Newton step along them (gradient ascent on the prequential likelihood; A. P. Dawid, "Statistical
theory: the prequential approach", 1984).
"""

from __future__ import annotations

import math

import numpy as np

from onepass.block import Entries, Float32Array, FloatArray, IntArray, SlotArray
from onepass.jit import compiled
from onepass.learn.losses import Loss
from onepass.learn.pointwise import SOFTMAX

SAMPLED_ROWS = 4096
"""Rows of a piece whose derivatives are taken; only large models have pieces of more rows."""

_LARGEST_STEP = math.log(2)
"""Largest change of the logarithm of the factor at once: far off, the slope tells too much."""

_LEAST_BEND = 50.0
"""Bend of a step before any row, by which few rows change the factor little.

With 3 instead, the loss at 0.7 % positives was 1.2 % higher after one pass (mean of three orders);
from 20 to 200 it hardly mattered.
"""


def derivatives_by_prior(
    hashed: Float32Array, prior: float, slots: SlotArray, entries: Entries | None
) -> FloatArray:
    """Return the derivative of each row's margins by the logarithm of the prior.

    Returns
    -------
    Shape (n_rows, n_outputs), for the first `SAMPLED_ROWS` rows.
    """
    slots = np.ascontiguousarray(slots[:SAMPLED_ROWS])
    n_rows = len(slots)
    if entries is None:
        entries = Entries(
            np.zeros(n_rows + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)
        )
    found = np.empty((n_rows, hashed.shape[1]))
    _add_up_derivatives(slots, *entries.between(0, n_rows).arrays, hashed, 1 / prior, found)
    return found


def slope_and_bend(
    loss: Loss,
    z: FloatArray,
    label: FloatArray,
    weight: FloatArray,
    width: float,
    dispersion: float,
    by_prior: FloatArray,
) -> FloatArray:
    """Return the slope and the bend of the loss in the logarithm of the prior, shape (3,).

    Parameters
    ----------
    z
        Margins from before each row was learnt, shape (n_rows, n_outputs).
    width
        Width over which a kink of the loss is rounded.
    by_prior
        A result of `derivatives_by_prior` from before these rows were learnt.

    Returns
    -------
    The slope, the bend, and the sum of the squares of what rows add to the slope. Where the loss is
    that of the labels' distribution, the last two agree.
    """
    rows = slice(len(by_prior))
    z, label, weight = np.ascontiguousarray(z[rows]), label[rows], weight[rows]
    if loss.code == SOFTMAX:
        _, g, p = loss.expand_softmax(z, label, weight)
        slope = (g * by_prior).sum(axis=1)
        mean = (p * by_prior).sum(axis=1)
        bend = weight * ((p * by_prior * by_prior).sum(axis=1) - mean * mean)
    else:
        own = by_prior[:, 0]
        g, c = loss.derivatives(z[:, 0], label, weight, width=width)
        slope, bend = g * own, c * own * own
    square = (slope * slope).sum() / dispersion
    return np.array([slope.sum(), bend.sum(), square]) / dispersion


def widened(factor: float, sums: FloatArray) -> float:
    """Return the factor after a step along a sum of results of `slope_and_bend`."""
    slope, *bends = map(float, sums)
    step = -slope / (max(bends) + _LEAST_BEND)
    if not math.isfinite(step):
        return factor
    return factor * math.exp(min(max(step, -_LARGEST_STEP), _LARGEST_STEP))


@compiled
def _add_up_derivatives(
    slots: SlotArray,
    start: IntArray,
    slot: SlotArray,
    value: Float32Array,
    hashed: Float32Array,
    unknown: float,
    found: FloatArray,
) -> None:
    for i in range(len(found)):
        for o in range(found.shape[1]):
            total = 0.0
            for k in range(slots.shape[1]):
                belief = hashed[slots[i, k], o]
                total += np.float64(belief[0]) * belief[1]
            for e in range(start[i], start[i + 1]):
                belief = hashed[slot[e], o]
                total += np.float64(value[e]) * belief[0] * belief[1]
            found[i, o] = total * unknown
