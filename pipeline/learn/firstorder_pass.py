"""The compiled loop of the first-order solvers: margins, gradients, one rule's steps, averages.

Numbers of a dense weight lie in layers, ``dense[number, output, feature]``: the features, the
intercept, and zeros up to a multiple of `LANES`, for a loop that does not fill whole registers at
its end takes half as long again. Those of a hashed weight lie side by side,
``hashed[slot, output, number]``, and in float32: most of their cost is the wait for memory.
Number 0 is the weight; with averaging the last two of a hashed weight are its average and the clock
at which that was brought up to date.

Each rule has a loop of its own, compiled at its first use: with the rule as a variable a row of 30
features takes 240 ns, so 70. The steps of the loop are inlined for the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from pipeline.block import Float32Array, FloatArray, SlotArray
from pipeline.compiled import inlined, prefetch, reordered
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
    square_share,
)

STEPS, ROWS, CLOCK, LENGTHS, FARTHEST, DISTANCE, GRADIENTS = range(7)
"""Scalars of the state: steps, rows, log-product of averaging, sum of squared normalised row
lengths, and of dog the greatest distance from the start, the squared distance now, and the sum of
squared gradient lengths."""

N_SCALARS = 7

LANES = 16
"""Numbers that a compiled loop over features takes at once."""

_AVERAGING_POWER = 8.0

_AHEAD = 4
"""Rows after this one whose slots are asked for."""


def padded(width: int) -> int:
    """The least multiple of `LANES` that holds `width` numbers."""
    return -(-width // LANES) * LANES


# The steps below take whole arrays and the number of the output: a view of one output would be
# counted as a reference for each row, which takes as long as the sum over its features.


@inlined
def _margin(row: FloatArray, dense: FloatArray, o: int) -> float:
    total = 0.0
    for j in range(len(row)):
        total += row[j] * dense[0, o, j]
    return total


@inlined
def _decayed(x: float) -> float:
    """exp(x) for x <= 0; slots that are often hit are little behind, and need no exponential."""
    if x > -0.01:
        return 1.0 + x * (1.0 + x * (0.5 + x * (1.0 / 6.0)))
    return math.exp(x)


@inlined
def _implicit_ratio(
    loss: int, a: float, z: float, y: float, weight: float, g: float, reach: float, output: int
) -> float:
    """Gradient at the end of a step over that at its start, `g`, which has the weight in it."""
    if loss == SOFTMAX:
        # To first order: classes depend on each other, and have no closed form.
        p = g / weight + (1.0 if y == output else 0.0)
        return 1.0 / (1.0 + reach * weight * p * (1.0 - p))
    return weight * implicit_gradient(loss, a, z, y, reach * weight) / g


@inlined
def _square_length(row: FloatArray, dense: FloatArray) -> float:
    """Add a row to the sums of squares; return its squared length with each feature over its sum.

    The squares of the features are the same for all outputs.
    """
    length = 0.0
    for j in range(len(row)):
        own = row[j] * row[j]
        total = dense[2, 0, j] + own
        dense[2, 0, j] = total
        length += square_share(own, total)
    return length


# Each of these writes the steps of one output's dense weights, and returns how far they move the
# margin per unit of gradient, where the rule has rates.


@inlined
def _sgd_steps(rate: float, o: int, row: FloatArray, grad: FloatArray, step: FloatArray) -> float:
    reach = 0.0
    for j in range(len(row)):
        step[o, j] = rate * grad[o, j]
        reach += row[j] * row[j]
    return rate * reach


@inlined
def _adagrad_steps(
    rate: float, o: int, row: FloatArray, grad: FloatArray, dense: FloatArray, step: FloatArray
) -> float:
    reach = 0.0
    for j in range(len(row)):
        own, total = adagrad(rate, grad[o, j], dense[1, o, j])
        dense[1, o, j] = total
        step[o, j] = own * grad[o, j]
        reach += own * row[j] * row[j]
    return reach


@inlined
def _nag_steps(
    rate: float,
    norm: float,
    rows: float,
    o: int,
    row: FloatArray,
    grad: FloatArray,
    dense: FloatArray,
    step: FloatArray,
) -> float:
    reach, per_row = 0.0, 1.0 / rows
    for j in range(len(row)):
        square = dense[2, 0, j] * per_row
        own, total = nag(rate, grad[o, j], dense[1, o, j], square, norm)
        dense[1, o, j] = total
        step[o, j] = own * grad[o, j]
        reach += own * row[j] * row[j]
    return reach


@inlined
def _adam_steps(
    rate: float, t: float, o: int, grad: FloatArray, dense: FloatArray, step: FloatArray
) -> float:
    for j in range(step.shape[1]):
        step[o, j], dense[1, o, j], dense[2, o, j] = adam(
            rate, grad[o, j], dense[1, o, j], dense[2, o, j], t
        )
    return 0.0


@inlined
def _ftrl_steps(
    rate: float,
    l1: float,
    l2: float,
    n_dense: int,
    o: int,
    grad: FloatArray,
    dense: FloatArray,
    step: FloatArray,
) -> float:
    for j in range(n_dense + 1):
        # The intercept, last, is free of penalties.
        on = 1.0 if j < n_dense else 0.0
        w = dense[0, o, j]
        new, dense[1, o, j], dense[2, o, j] = ftrl(
            rate, on * l1, on * l2, grad[o, j], w, dense[1, o, j], dense[2, o, j]
        )
        step[o, j] = w - new
    return 0.0


@inlined
def _added_distance(
    ratio: float, base: float, n_dense: int, o: int, dense: FloatArray, step: FloatArray
) -> float:
    """By how much a step adds to the squared distance from the start."""
    added = 0.0
    for j in range(step.shape[1]):
        before = dense[0, o, j] - (base if j == n_dense else 0.0)
        after = before - ratio * step[o, j]
        added += after * after - before * before
    return added


@inlined
def _ask_ahead(flat: Float32Array, stride: np.uint64, slots: SlotArray, i: int) -> None:
    ahead = min(i + _AHEAD, len(slots) - 1)
    for k in range(slots.shape[1]):
        prefetch(flat, np.uint64(slots[ahead, k]) * stride)


@cache
def rows_learner(
    rule: int, *, has_slots: bool, has_classes: bool, has_batches: bool
) -> Callable[..., None]:
    """The loop of one rule, compiled when it is first called.

    Parameters
    ----------
    rule
        One of `pipeline.learn.rules`.
    has_slots, has_classes, has_batches
        Whether rows hit hashed slots, the loss is softmax, and steps are of several rows.
    """

    @reordered
    def learn_rows(
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

        Parameters
        ----------
        rates
            alpha, schedule, rows before the plan, rows of the plan.
        average
            Averages of the dense weights, shape (n_outputs, padded(n_dense + 1)).
        margin
            Output of shape (n_rows, n_outputs): margins from before each step.
        """
        n_rows, n_dense = x.shape
        n_columns = slots.shape[1] if has_slots else 0
        n_numbers = hashed.shape[2]
        n_outputs = margin.shape[1] if has_classes else 1
        batch = minibatch if has_batches else 1
        width = dense.shape[2]
        alpha, schedule, done, planned = rates
        flat, stride = hashed.reshape(hashed.size), np.uint64(n_outputs * n_numbers)
        row, moves = np.zeros(width), np.empty(n_columns)
        row[n_dense] = 1.0
        z, p = np.empty(n_outputs), np.empty(n_outputs)
        g, grad = np.empty((batch, n_outputs)), np.empty((n_outputs, width))
        step = np.zeros((n_outputs, width))
        steps, rows, lengths = scalars[STEPS], scalars[ROWS], scalars[LENGTHS]
        distance, clock = scalars[DISTANCE], scalars[CLOCK]
        for first in range(0, n_rows, batch):
            last = min(n_rows, first + batch)
            share_of_row = 1.0 / (last - first)

            # Margins, gradients by them, and their sum by the dense weights.
            importance = 0.0
            for i in range(first, last):
                if has_slots:
                    _ask_ahead(flat, stride, slots, i)
                for j in range(n_dense):
                    row[j] = x[i, j]
                for o in range(n_outputs):
                    total = _margin(row, dense, o)
                    for k in range(n_columns):
                        total += hashed[np.uint32(slots[i, k]), o, 0]
                    z[o] = margin[i, o] = total
                importance += share_of_row * weight[i]
                if has_classes:
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
                        lengths += n_columns + _square_length(row, dense) * rows
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
            if has_slots and averages and steps > 1.0:
                clock += math.log1p(-share)
            now = np.float32(clock)

            for o in range(n_outputs):
                # Steps of the dense weights, and how far they move the margin per unit of gradient.
                if rule == ADAGRAD:
                    reach = _adagrad_steps(rate, o, row, grad, dense, step)
                elif rule == NAG:
                    reach = _nag_steps(rate, norm, rows, o, row, grad, dense, step)
                elif rule == ADAM:
                    reach = _adam_steps(rate, steps, o, grad, dense, step)
                elif rule == FTRL:
                    reach = _ftrl_steps(rate, l1, l2, n_dense, o, grad, dense, step)
                else:
                    reach = _sgd_steps(rate, o, row, grad, step)

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
                            moves[k], m, v = adam(
                                rate, own, hashed[s, o, 1], hashed[s, o, 2], steps
                            )
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
                        ratio = _implicit_ratio(
                            loss, a, margin[i, o], label[i], weight[i], g[i - first, o], reach, o
                        )
                    # A weight that no row hits does not move, so the steps that its average has
                    # missed are one: it has come nearer by the product of all 1 - share since,
                    # whose logarithm is the clock.
                    for k in range(n_columns):
                        s = np.uint32(slots[i, k])
                        before, move = float(hashed[s, o, 0]), ratio * moves[k]
                        after = before - move
                        hashed[s, o, 0] = np.float32(after)
                        if rule == DOG:
                            distance += after * after - before * before
                        if averages and hashed[s, o, n_numbers - 1] == now:
                            # Hit a second time in this step, or in the very first: it has the share
                            # of the first move.
                            hashed[s, o, n_numbers - 2] -= np.float32(share * move)
                        elif averages:
                            behind = _decayed(clock_before - hashed[s, o, n_numbers - 1])
                            mean = before + (hashed[s, o, n_numbers - 2] - before) * behind
                            mean += share * (after - mean)
                            hashed[s, o, n_numbers - 2] = np.float32(mean)
                            hashed[s, o, n_numbers - 1] = now

                if rule == DOG:
                    distance += _added_distance(ratio, base, n_dense, o, dense, step)
                for j in range(width):
                    dense[0, o, j] -= ratio * step[o, j]
                if averages:
                    for j in range(width):
                        average[o, j] += share * (dense[0, o, j] - average[o, j])
        scalars[STEPS], scalars[ROWS], scalars[LENGTHS] = steps, rows, lengths
        scalars[DISTANCE], scalars[CLOCK] = distance, clock

    return learn_rows
