"""The compiled loop of the first-order solvers: margins, gradients, one rule's steps, averages.

Numbers of a dense weight lie in layers, ``dense[number, output, feature]``: the features, the
intercept, and zeros up to a multiple of `LANES`, for what does not fill whole registers at the
end of a loop is done one by one. Those of a hashed weight lie side by side,
``hashed[slot, output, number]``, and in float32: most of their cost is the wait for memory.
Number 0 is the weight; with averaging the last two of a hashed weight are its average and the clock
at which that was brought up to date.

Each rule has a loop of its own, compiled at its first use: with the rule as a variable a row of 30
features takes sgd 240 ns, so 100. The steps of the loop are inlined for the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from onepass.block import Float32Array, FloatArray, SlotArray
from onepass.jit import APART, reordered
from onepass.learn.firstorder.rules import ADAGRAD, ADAM, DOG, FTRL, NAG, dog, scheduled
from onepass.learn.firstorder.steps import (
    adagrad_steps,
    adam_steps,
    added_distance,
    ask_ahead,
    dense_margin,
    ftrl_steps,
    gather,
    implicit_ratio,
    nag_steps,
    place,
    sgd_steps,
    slot_averages,
    slot_moves,
    square_length,
)
from onepass.learn.losses import exp_below, gradient, softmax

STEPS, ROWS, CLOCK, LENGTHS, FARTHEST, DISTANCE, GRADIENTS = range(7)
"""Scalars of the state: steps, rows, log-product of averaging, sum of squared normalised row
lengths, and of dog the greatest distance from the start, the squared distance now, and the sum of
squared gradient lengths."""

N_SCALARS = 7

LANES = 16
"""Numbers that a compiled loop over features takes at once."""

_AVERAGING_POWER = 8.0


@cache
def rows_learner(
    rule: int,
    n_remembered: int,
    *,
    averages: bool,
    has_slots: bool,
    has_classes: bool,
    has_batches: bool,
) -> Callable[..., None]:
    """The loop of one rule, compiled when it is first called.

    Parameters
    ----------
    rule
        One of `onepass.learn.firstorder.rules`.
    n_remembered
        Numbers of a hashed weight without its average.
    averages
        Whether predictions are those of averaged weights.
    has_slots, has_classes, has_batches
        Whether rows hit hashed slots, the loss is softmax, and steps are of several rows.
    """
    n_numbers = n_remembered + (2 if averages else 0)
    # The numbers of a row's slots are gathered once, for its margin and its step.
    gathers_once = has_slots and not has_classes and not has_batches

    @reordered
    def learn_rows(
        loss: int,
        a: float,
        rates: tuple[float, int, float, float],
        l1: float,
        l2: float,
        implicit: bool,
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
            Averages of the dense weights, shape (n_outputs, padded(n_dense + 1, LANES)).
        margin
            Output of shape (n_rows, n_outputs): margins from before each step.
        """
        n_rows, n_dense = x.shape
        n_columns = slots.shape[1] if has_slots else 0
        n_outputs = margin.shape[1] if has_classes else 1
        batch = minibatch if has_batches else 1
        width = dense.shape[2]
        alpha, schedule, done, planned = rates
        flat, stride = hashed.reshape(hashed.size), np.uint64(n_outputs * n_numbers)
        at = np.zeros(n_columns + APART, np.uint64)[:n_columns]
        row, moves = np.zeros(width + APART)[:width], np.zeros(n_columns + APART)[:n_columns]
        near = np.zeros((n_numbers, n_columns + APART))
        row[n_dense] = 1.0
        z, p = np.empty(n_outputs), np.empty(n_outputs)
        g, grad = np.empty((batch, n_outputs)), np.zeros((n_outputs + APART, width))
        step = np.zeros((n_outputs + APART, width))
        steps, rows, lengths = scalars[STEPS], scalars[ROWS], scalars[LENGTHS]
        distance, clock = scalars[DISTANCE], scalars[CLOCK]
        for first in range(0, n_rows, batch):
            last = min(n_rows, first + batch)
            share_of_row = 1.0 / (last - first)

            # Margins, gradients by them, and their sum by the dense weights.
            importance = 0.0
            for i in range(first, last):
                if has_slots:
                    ask_ahead(flat, stride, slots, i)
                for j in range(n_dense):
                    row[j] = x[i, j]
                for o in range(n_outputs):
                    total = dense_margin(row, dense, o)
                    if gathers_once:
                        gather(n_numbers, flat, stride, slots, i, o, at, near)
                        for k in range(n_columns):
                            total += near[0, k]
                    elif has_slots:
                        for k in range(n_columns):
                            total += flat[place(slots[i, k], stride, o, n_numbers)]
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
                        lengths += n_columns + square_length(row, dense) * rows
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
                    reach = adagrad_steps(rate, o, row, grad, dense, step)
                elif rule == NAG:
                    reach = nag_steps(rate, norm, rows, o, row, grad, dense, step)
                elif rule == ADAM:
                    reach = adam_steps(rate, steps, o, grad, dense, step)
                elif rule == FTRL:
                    reach = ftrl_steps(rate, l1, l2, n_dense, o, grad, dense, step)
                else:
                    reach = sgd_steps(rate, o, row, grad, step)

                # Steps of the slots, row by row, each with its share of the ridge penalty. Their
                # numbers are gathered first: side by side they fit into registers.
                ratio = 1.0
                for i in range(first, last):
                    decay = l2 * share_of_row * weight[i]
                    if has_slots and not gathers_once:
                        gather(n_numbers, flat, stride, slots, i, o, at, near)
                    if has_slots:
                        reach += slot_moves(
                            rule, rate, norm, steps, l1, l2, g[i - first, o], decay, near, moves
                        )
                    if implicit and g[i - first, o] != 0.0:
                        ratio = implicit_ratio(
                            loss, a, margin[i, o], label[i], weight[i], g[i - first, o], reach, o
                        )
                    if has_slots and averages:
                        slot_averages(n_numbers, ratio, share, clock_before, moves, near)
                    for k in range(n_columns):
                        # A slot that the row hits twice moves twice.
                        before, move = float(flat[at[k]]), ratio * moves[k]
                        after = before - move
                        flat[at[k]] = np.float32(after)
                        if rule == DOG:
                            distance += after * after - before * before
                        for number in range(1, n_remembered):
                            flat[at[k] + np.uint64(number)] = np.float32(near[number, k])
                        if averages:
                            mean = at[k] + np.uint64(n_numbers - 2)
                            if flat[mean + np.uint64(1)] == now:
                                # Hit a second time in this step, or in the very first: it has the
                                # share of the first move.
                                flat[mean] -= np.float32(share * move)
                            else:
                                flat[mean] = np.float32(near[n_numbers - 2, k])
                                flat[mean + np.uint64(1)] = now

                if rule == DOG:
                    distance += added_distance(ratio, base, n_dense, o, dense, step)
                for j in range(width):
                    dense[0, o, j] -= ratio * step[o, j]
                if averages:
                    for j in range(width):
                        average[o, j] += share * (dense[0, o, j] - average[o, j])
        scalars[STEPS], scalars[ROWS], scalars[LENGTHS] = steps, rows, lengths
        scalars[DISTANCE], scalars[CLOCK] = distance, clock

    return learn_rows


@reordered
def add_slot_margins(
    averages: bool, hashed: Float32Array, slots: SlotArray, clock: float, margin: FloatArray
) -> None:
    """Add to margins of shape (n_rows, n_outputs) what the rows' slots say of them.

    Parameters
    ----------
    averages
        Whether to take the averages of weights, brought up to date with the clock.
    """
    n_outputs, n_numbers = hashed.shape[1], hashed.shape[2]
    n_columns = slots.shape[1]
    flat, stride = hashed.reshape(hashed.size), np.uint64(n_outputs * n_numbers)
    at = np.zeros(n_columns, np.uint64)
    for i in range(len(slots)):
        ask_ahead(flat, stride, slots, i)
        for o in range(n_outputs):
            total = 0.0
            for k in range(n_columns):
                at[k] = place(slots[i, k], stride, o, n_numbers)
                total += flat[at[k]]
            if averages:
                for k in range(n_columns):
                    last = at[k] + np.uint64(n_numbers - 1)
                    behind = exp_below(clock - flat[last])
                    total += (np.float64(flat[last - np.uint64(1)]) - flat[at[k]]) * behind
            margin[i, o] += total
