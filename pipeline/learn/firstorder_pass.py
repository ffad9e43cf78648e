"""The compiled loop of the first-order solvers: margins, gradients, one rule's steps, averages.

Numbers of a dense weight lie in layers, ``dense[number, output, feature]`` with the intercept as
the last feature; those of a hashed weight lie side by side, ``hashed[slot, output, number]``, and
in float32: most of their cost is the wait for memory.
Number 0 is the weight; with averaging the last two of a hashed weight are its average and the clock
at which that was brought up to date.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.block import Float32Array, FloatArray, SlotArray
from pipeline.compiled import compiled, prefetch, reordered
from pipeline.learn.losses import SOFTMAX, gradient, implicit_gradient, softmax
from pipeline.learn.rules import (
    ADAGRAD,
    ADAM,
    DOG,
    FTRL,
    NAG,
    adagrad,
    adam,
    dog,
    ftrl,
    nag,
    scheduled,
)

STEPS, ROWS, CLOCK, LENGTHS, FARTHEST, DISTANCE, GRADIENTS = range(7)
"""Scalars of the state: steps, rows, log-product of averaging, sum of squared normalised row
lengths, and of dog the greatest distance from the start, the squared distance now, and the sum of
squared gradient lengths."""

N_SCALARS = 7

_AVERAGING_POWER = 8.0

_AHEAD = 4
"""Rows after this one whose slots are asked for."""


@compiled
def decayed(x: float) -> float:
    """exp(x) for x <= 0; slots that are often hit are little behind, and need no exponential."""
    if x > -0.01:
        return 1.0 + x * (1.0 + x * (0.5 + x * (1.0 / 6.0)))
    return math.exp(x)


@compiled
def implicit_ratio(
    loss: int, a: float, z: float, y: float, weight: float, g: float, reach: float, output: int
) -> float:
    """Gradient at the end of a step over that at its start, `g`, which has the weight in it."""
    if loss == SOFTMAX:
        # To first order: classes depend on each other, and have no closed form.
        p = g / weight + (1.0 if y == output else 0.0)
        return 1.0 / (1.0 + reach * weight * p * (1.0 - p))
    return weight * implicit_gradient(loss, a, z, y, reach * weight) / g


@reordered
def learn_rows(
    rule: int,
    loss: int,
    a: float,
    rates: tuple[float, int, float, float],
    l1: float,
    l2: float,
    implicit: bool,
    averages: bool,
    minibatch: int,
    base: float,
    x: Float32Array,
    slots: SlotArray,
    label: FloatArray,
    weight: FloatArray,
    dense: FloatArray,
    hashed: Float32Array,
    average: FloatArray,
    scalars: FloatArray,
    margin: FloatArray,
) -> None:
    """Learn rows in order, a step for each `minibatch` of them.

    One long function on purpose: split into steps that take arrays, it takes four times as long.

    Parameters
    ----------
    rates
        alpha, schedule, rows before the plan, rows of the plan.
    average
        Averages of the dense weights, shape (n_outputs, n_dense + 1).
    margin
        Output of shape (n_rows, n_outputs): margins from before each step.
    """
    n_rows, n_dense = x.shape
    n_columns, n_numbers = slots.shape[1], hashed.shape[2]
    n_outputs, width = margin.shape[1], n_dense + 1
    alpha, schedule, done, planned = rates
    flat, stride = hashed.reshape(hashed.size), np.uint64(n_outputs * n_numbers)
    row, moves = np.ones(width), np.empty(n_columns)
    z, p = np.empty(n_outputs), np.empty(n_outputs)
    g, grad = np.empty((minibatch, n_outputs)), np.empty((n_outputs, width))
    step = np.empty((n_outputs, width))
    steps, rows, lengths = scalars[STEPS], scalars[ROWS], scalars[LENGTHS]
    distance, clock = scalars[DISTANCE], scalars[CLOCK]
    for first in range(0, n_rows, minibatch):
        last = min(n_rows, first + minibatch)
        share_of_row = 1.0 / (last - first)

        # Margins, gradients by them, and their sum by the dense weights.
        importance = 0.0
        for i in range(first, last):
            ahead = min(i + _AHEAD, n_rows - 1)
            for k in range(n_columns):
                prefetch(flat, np.uint64(slots[ahead, k]) * stride)
            for j in range(n_dense):
                row[j] = x[i, j]
            for o in range(n_outputs):
                total = 0.0
                for j in range(width):
                    total += row[j] * dense[0, o, j]
                for k in range(n_columns):
                    total += hashed[np.uint32(slots[i, k]), o, 0]
                z[o] = margin[i, o] = total
            importance += share_of_row * weight[i]
            if loss == SOFTMAX:
                softmax(z, p)
                p[int(label[i])] -= 1.0
            else:
                p[0] = gradient(loss, a, 0.0, z[0], label[i])
            for o in range(n_outputs):
                own = share_of_row * weight[i] * p[o]
                g[i - first, o] = own
                if i == first:
                    for j in range(width):
                        grad[o, j] = own * row[j]
                else:
                    for j in range(width):
                        grad[o, j] += own * row[j]
            # A row of weight 0 might as well not be there.
            if weight[i] > 0.0:
                rows += 1.0
                if rule == NAG:
                    for o in range(1, n_outputs):
                        for j in range(width):
                            dense[2, o, j] += row[j] * row[j]
                    length = 0.0
                    for j in range(width):
                        own = row[j] * row[j]
                        square = dense[2, 0, j] + own
                        dense[2, 0, j] = square
                        length += own / square if square > 0.0 else 0.0
                    lengths += n_columns + length * rows
        if importance == 0.0:
            continue
        steps += 1.0
        if rule != FTRL and l2 > 0.0:
            for o in range(n_outputs):
                for j in range(n_dense):
                    grad[o, j] += l2 * importance * dense[0, o, j]

        # The rate, and the clock of averages.
        norm = math.sqrt(lengths / rows) if rule == NAG else 1.0
        if rule == DOG:
            squares = 0.0
            for o in range(n_outputs):
                for j in range(width):
                    squares += grad[o, j] * grad[o, j]
                for i in range(last - first):
                    squares += n_columns * g[i, o] * g[i, o]
            scalars[GRADIENTS] += squares
            scalars[FARTHEST] = max(scalars[FARTHEST], math.sqrt(max(0.0, distance)))
            rate = dog(scalars[FARTHEST], scalars[GRADIENTS])
        else:
            rate = scheduled(schedule, alpha, rows, done, planned)
        share, clock_before = (_AVERAGING_POWER + 1.0) / (steps + _AVERAGING_POWER), clock
        if averages and steps > 1.0:
            clock += math.log1p(-share)
        now = np.float32(clock)

        for o in range(n_outputs):
            # Steps of the dense weights, and how far they move the margin per unit of gradient.
            reach = 0.0
            if rule == ADAGRAD:
                for j in range(width):
                    own, total = adagrad(rate, grad[o, j], dense[1, o, j])
                    dense[1, o, j] = total
                    step[o, j] = own * grad[o, j]
                    reach += own * row[j] * row[j]
            elif rule == NAG:
                for j in range(width):
                    square = dense[2, o, j] / rows
                    own, total = nag(rate, grad[o, j], dense[1, o, j], square, norm)
                    dense[1, o, j] = total
                    step[o, j] = own * grad[o, j]
                    reach += own * row[j] * row[j]
            elif rule == ADAM:
                for j in range(width):
                    step[o, j], dense[1, o, j], dense[2, o, j] = adam(
                        rate, grad[o, j], dense[1, o, j], dense[2, o, j], steps
                    )
            elif rule == FTRL:
                for j in range(width):
                    # The intercept, last, is free of penalties.
                    on = 1.0 if j < n_dense else 0.0
                    w = dense[0, o, j]
                    new, dense[1, o, j], dense[2, o, j] = ftrl(
                        rate, on * l1, on * l2, grad[o, j], w, dense[1, o, j], dense[2, o, j]
                    )
                    step[o, j] = w - new
            else:
                for j in range(width):
                    step[o, j] = rate * grad[o, j]
                    reach += rate * row[j] * row[j]

            # Steps of the slots, row by row, each with its share of the ridge penalty.
            ratio = 1.0
            for i in range(first, last):
                decay = l2 * share_of_row * weight[i]
                for k in range(n_columns):
                    s = np.uint32(slots[i, k])
                    w = hashed[s, o, 0]
                    own = g[i - first, o] + (0.0 if rule == FTRL else decay * w)
                    if rule == ADAGRAD:
                        moved, total = adagrad(rate, own, hashed[s, o, 1])
                        hashed[s, o, 1] = np.float32(total)
                    elif rule == NAG:
                        moved, total = nag(rate, own, hashed[s, o, 1], 1.0, norm)
                        hashed[s, o, 1] = np.float32(total)
                    elif rule == ADAM:
                        moves[k], m, v = adam(rate, own, hashed[s, o, 1], hashed[s, o, 2], steps)
                        hashed[s, o, 1], hashed[s, o, 2] = np.float32(m), np.float32(v)
                        continue
                    elif rule == FTRL:
                        new, m, v = ftrl(rate, l1, l2, own, w, hashed[s, o, 1], hashed[s, o, 2])
                        hashed[s, o, 1], hashed[s, o, 2] = np.float32(m), np.float32(v)
                        moves[k] = w - new
                        continue
                    else:
                        moved = rate
                    moves[k] = moved * own
                    reach += moved
                if implicit and g[i - first, o] != 0.0:
                    ratio = implicit_ratio(
                        loss, a, margin[i, o], label[i], weight[i], g[i - first, o], reach, o
                    )
                # A weight that no row hits does not move, so the steps that its average has missed
                # are one: it has come nearer by the product of all 1 - share since, whose logarithm
                # is the clock.
                for k in range(n_columns):
                    s = np.uint32(slots[i, k])
                    before, move = float(hashed[s, o, 0]), ratio * moves[k]
                    after = before - move
                    hashed[s, o, 0] = np.float32(after)
                    if rule == DOG:
                        distance += after * after - before * before
                    if averages and hashed[s, o, n_numbers - 1] == now:
                        # Hit a second time in this step, or in the very first: it has the share of
                        # the first move.
                        hashed[s, o, n_numbers - 2] -= np.float32(share * move)
                    elif averages:
                        behind = decayed(clock_before - hashed[s, o, n_numbers - 1])
                        mean = before + (hashed[s, o, n_numbers - 2] - before) * behind
                        mean += share * (after - mean)
                        hashed[s, o, n_numbers - 2] = np.float32(mean)
                        hashed[s, o, n_numbers - 1] = now

            if rule == DOG:
                for j in range(width):
                    origin = base if j == n_dense else 0.0
                    before = dense[0, o, j] - origin
                    after = before - ratio * step[o, j]
                    distance += after * after - before * before
            for j in range(width):
                dense[0, o, j] -= ratio * step[o, j]
            if averages:
                for j in range(width):
                    average[o, j] += share * (dense[0, o, j] - average[o, j])
    scalars[STEPS], scalars[ROWS], scalars[LENGTHS] = steps, rows, lengths
    scalars[DISTANCE], scalars[CLOCK] = distance, clock
