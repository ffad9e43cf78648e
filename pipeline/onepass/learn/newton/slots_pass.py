"""Compiled loops over the hashed slots of rows: learn them, and add up their weights.

Beliefs about slots lie in one float32 array, ``hashed[slot, output]`` = (weight, variance). Most of
their cost is waiting for memory, so the loops prefetch the slots of rows ahead.
"""

from __future__ import annotations

import numpy as np

from onepass.block import Float32Array, FloatArray, SlotArray
from onepass.jit import reordered
from onepass.learn.firstorder.steps import prefetch_slots
from onepass.learn.implicit import implicit_gradient
from onepass.learn.newton.expansion import FLOOR
from onepass.learn.pointwise import HINGE, QUANTILE, SOFTMAX, curvature, majoriser, softmax


@reordered
def filter_pass(
    loss: int,
    a: float,
    width: float,
    dispersion: float,
    slots: SlotArray,
    offset: FloatArray,
    variance_of_offset: FloatArray,
    label: FloatArray,
    weight: FloatArray,
    hashed: Float32Array,
    margin: FloatArray,
    variance_of_own: FloatArray,
) -> None:
    """Learn rows in order, as described in `slots`.

    Parameters
    ----------
    width
        Width over which a kink is rounded.
    dispersion
        Divides the loss.
    slots
        Shape (n_rows, n_columns).
    offset, variance_of_offset
        Dense part of each margin, and its variance, shape (n_rows, n_outputs).
    hashed
        Weight and variance of each slot, shape (n_slots, n_outputs, 2), updated in place.
    margin, variance_of_own
        Output: the slots' part of each margin before its row is learnt, and the variance of this
        part, shape (n_rows, n_outputs). The variance of rows without weight is not written.
    """
    n_rows, n_columns = slots.shape
    n_outputs = offset.shape[1]
    p, z = np.empty(n_outputs), np.empty(n_outputs)
    flat, stride = hashed.reshape(hashed.size), np.uint64(2 * n_outputs)
    at = np.empty(n_columns, np.uint64)
    for i in range(n_rows):
        prefetch_slots(flat, stride, slots, i)
        for k in range(n_columns):
            at[k] = np.uint64(np.uint32(slots[i, k])) * stride
        for o in range(n_outputs):
            own = 0.0
            for k in range(n_columns):
                own += flat[at[k] + np.uint64(2 * o)]
            margin[i, o] = own
            z[o] = offset[i, o] + own
        if weight[i] == 0.0:
            continue
        share = weight[i] / dispersion
        if loss == SOFTMAX:
            softmax(z, p)
        for o in range(n_outputs):
            v = variance_of_offset[i, o]
            for k in range(n_columns):
                v += flat[at[k] + np.uint64(2 * o + 1)]
            variance_of_own[i, o] = v - variance_of_offset[i, o]
            if loss == SOFTMAX:
                c = share * p[o] * (1.0 - p[o])
                s = share * (p[o] - (1.0 if label[i] == o else 0.0)) / (1.0 + c * v)
            else:
                s = share * implicit_gradient(loss, a, z[o], label[i], share * v)
                if loss in (QUANTILE, HINGE):
                    # At the end of the step the curvature is infinite on the kink and 0 elsewhere,
                    # so take the one of the rounded loss at z.
                    c = curvature(loss, a, width, z[o], label[i])
                    c = share * (c + FLOOR * majoriser(loss, a, width, z[o], label[i]))
                else:
                    c = share * curvature(loss, a, 0.0, z[o] - v * s, label[i])
            shrunk = c / (1.0 + c * v)
            for k in range(n_columns):
                mean = at[k] + np.uint64(2 * o)
                variance = float(flat[mean + np.uint64(1)])
                flat[mean] -= np.float32(variance * s)
                # A slot that a row hits twice shrinks twice; its variance stays positive.
                flat[mean + np.uint64(1)] = np.float32(variance - variance * variance * shrunk)


@reordered
def add_up(slots: SlotArray, hashed: Float32Array, margin: FloatArray) -> None:
    """Write the sum of the weights that each row hits, shape (n_rows, n_outputs)."""
    n_outputs = margin.shape[1]
    flat, stride = hashed.reshape(hashed.size), np.uint64(2 * n_outputs)
    for i in range(len(slots)):
        prefetch_slots(flat, stride, slots, i)
        for o in range(n_outputs):
            total = 0.0
            for k in range(slots.shape[1]):
                total += flat[np.uint64(np.uint32(slots[i, k])) * stride + np.uint64(2 * o)]
            margin[i, o] = total
