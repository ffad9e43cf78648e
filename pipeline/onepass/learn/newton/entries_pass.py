"""Compiled loops over sparse rows: learn the slots of their entries, and add up their weights.

An entry with the value x adds x times the weight of its slot to the margin. So it adds x^2 times
the variance of the slot, moves the slot by x times its share, and has x^2 times the curvature. With
x = 1 this is what `slots_pass` does with a hashed column; each hashed column counts as an entry.
"""

from __future__ import annotations

import numpy as np

from onepass.block import Float32Array, FloatArray, IntArray, SlotArray
from onepass.jit import reordered
from onepass.learn.firstorder.entries_steps import located, longest_row, prefetch_entries
from onepass.learn.firstorder.steps import prefetch_slots
from onepass.learn.implicit import implicit_gradient
from onepass.learn.newton.expansion import FLOOR
from onepass.learn.pointwise import HINGE, QUANTILE, SOFTMAX, curvature, majoriser, softmax

_NARROWEST = 1e-30
"""Least variance: one that huge values let vanish would make its inverse infinite."""


@reordered
def entries_pass(
    tempering: tuple[float, float, float],
    loss: int,
    a: float,
    width: float,
    dispersion: float,
    slots: SlotArray,
    start: IntArray,
    slot: SlotArray,
    value: Float32Array,
    offset: FloatArray,
    variance_of_offset: FloatArray,
    label: FloatArray,
    weight: FloatArray,
    hashed: Float32Array,
    margin: FloatArray,
    variance_of_own: FloatArray,
    variance_of_margin: FloatArray,
) -> None:
    """Learn sparse rows in order, each several times over if asked to.

    Parameters
    ----------
    tempering
        Arguments `rate`, `n_shares` and `unknown` of `slots_tempered.tempered_pass`; with a rate of
        0 each row counts once.
    start, slot, value
        Arrays of `onepass.block.Entries`.
    loss, a, width, dispersion, slots, offset, variance_of_offset, label, weight
        As for `slots_pass.filter_pass`.
    hashed, margin, variance_of_own
        As for `slots_pass.filter_pass`.
    variance_of_margin
        Output: variance of the first margin before its row is learnt, shape (n_rows,).
    """
    n_outputs = offset.shape[1]
    rate, n_shares, unknown = tempering
    p, z = np.empty(n_outputs), np.empty(n_outputs)
    flat, stride = hashed.reshape(hashed.size), np.uint64(2 * n_outputs)
    most, done = longest_row(slots, start), 0
    at, x, times = np.empty(most, np.uint64), np.empty(most), np.ones(most)
    for i in range(len(slots)):
        prefetch_slots(flat, stride, slots, i)
        done = prefetch_entries(flat, stride, slot, done, start[i + 1])
        n = located(stride, slots, start, slot, value, i, at, x)
        for o in range(n_outputs):
            own = 0.0
            for k in range(n):
                own += x[k] * flat[at[k] + np.uint64(2 * o)]
            margin[i, o] = own
            z[o] = offset[i, o] + own
        if weight[i] == 0.0:
            variance_of_margin[i] = 0.0
            continue
        share = weight[i] / dispersion
        if loss == SOFTMAX:
            softmax(z, p)
        for o in range(n_outputs):
            v = variance_of_offset[i, o]
            if rate > 0.0:
                for k in range(n):
                    variance = np.float64(flat[at[k] + np.uint64(2 * o + 1)])
                    hits = rate * (1.0 / variance - unknown)
                    times[k] = max(1.0, 0.5 * hits / (1.0 + hits / n_shares))
            own_variance = 0.0
            for k in range(n):
                variance = np.float64(flat[at[k] + np.uint64(2 * o + 1)])
                own_variance += x[k] * x[k] * variance
                v += times[k] * x[k] * x[k] * flat[at[k] + np.uint64(2 * o + 1)]
            variance_of_own[i, o] = own_variance
            if o == 0:
                variance_of_margin[i] = v
            if loss == SOFTMAX:
                c = share * p[o] * (1.0 - p[o])
                s = share * (p[o] - (1.0 if label[i] == o else 0.0)) / (1.0 + c * v)
            else:
                s = share * implicit_gradient(loss, a, z[o], label[i], share * v)
                if loss in (QUANTILE, HINGE):
                    c = curvature(loss, a, width, z[o], label[i])
                    c = share * (c + FLOOR * majoriser(loss, a, width, z[o], label[i]))
                else:
                    c = share * curvature(loss, a, 0.0, z[o] - v * s, label[i])
            shrink = 1.0 / (1.0 + c * v)
            for k in range(n):
                mean = at[k] + np.uint64(2 * o)
                variance = np.float64(flat[mean + np.uint64(1)])
                flat[mean] -= np.float32(times[k] * x[k] * variance * s)
                # The shrunk variance as a product of positive factors: the difference
                # 1 - own c / (1 + v c) would cancel where one value is large.
                own = times[k] * x[k] * x[k] * variance
                left = (1.0 + c * max(0.0, v - own)) * shrink
                flat[mean + np.uint64(1)] = np.float32(max(_NARROWEST, variance * left))


@reordered
def add_up_entries(
    slots: SlotArray,
    start: IntArray,
    slot: SlotArray,
    value: Float32Array,
    hashed: Float32Array,
    margin: FloatArray,
) -> None:
    """Write the sum of the weights that each row selects, times their values.

    `margin` has shape (n_rows, n_outputs).
    """
    n_outputs, done = margin.shape[1], 0
    flat, stride = hashed.reshape(hashed.size), np.uint64(2 * n_outputs)
    most = longest_row(slots, start)
    at, x = np.empty(most, np.uint64), np.empty(most)
    for i in range(len(slots)):
        prefetch_slots(flat, stride, slots, i)
        done = prefetch_entries(flat, stride, slot, done, start[i + 1])
        n = located(stride, slots, start, slot, value, i, at, x)
        for o in range(n_outputs):
            total = 0.0
            for k in range(n):
                total += x[k] * flat[at[k] + np.uint64(2 * o)]
            margin[i, o] = total
