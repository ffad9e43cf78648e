"""The compiled loop of the first-order solvers: margins, gradients, one rule's steps, averages.

The numbers of a dense weight lie in layers, ``dense[number, output, feature]``. The features are
followed by the intercept and by zeros up to a multiple of `LANES`, because a compiled loop handles
the rest of an incomplete register one by one. The numbers of a hashed weight lie side by side,
``hashed[slot, output, number]``, in float32, because most of their cost is waiting for memory.
Number 0 is the weight. With averaging, the last two numbers of a hashed weight are its average and
the clock when the average was brought up to date; see `slot_averages`.

Each rule has its own loop, compiled at its first use. A loop with the rule as a variable takes more
than twice as long, since each step would branch; the steps are inlined for the same reason.
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
    dense_margin,
    ftrl_steps,
    gather,
    implicit_ratio,
    nag_steps,
    place,
    prefetch_slots,
    sgd_steps,
    slot_averages,
    slot_moves,
    square_length,
)
from onepass.learn.pointwise import exp_below, gradient, softmax

STEPS, ROWS, CLOCK, LENGTHS, FARTHEST, DISTANCE, GRADIENTS = range(7)
"""Scalars of the state: number of steps, number of rows, clock of the averages, sum of squared
normalised row lengths (nag), and for dog the greatest distance from the start so far, the present
squared distance, and the sum of squared gradient lengths."""

N_SCALARS = 7

LANES = 16
"""Numbers that a compiled loop over features handles at once, at most."""

AVERAGING_POWER = 8.0


@cache
def rows_learner(
    rule: int,
    n_remembered: int,
    *,
    averages: bool,
    has_slots: bool,
    has_classes: bool,
    has_batches: bool,
    has_offset: bool,
) -> Callable[..., None]:
    """Return the loop of one rule, to be compiled when it is first called.

    Parameters
    ----------
    rule
        A code of `onepass.learn.firstorder.rules`.
    n_remembered
        Numbers of a hashed weight, not counting its average and clock.
    averages
        Whether weights are averaged.
    has_slots, has_classes, has_batches, has_offset
        Whether rows hit slots, the loss is softmax, a step takes several rows, rows have offsets.
    """
    n_numbers = n_remembered + (2 if averages else 0)
    # With one margin and one row a step, the numbers of a row's slots are gathered once, for both
    # its margin and its step.
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
        offset: FloatArray,
        dense: FloatArray,
        hashed: Float32Array,
        average: FloatArray,
        scalars: FloatArray,
        margin: FloatArray,
    ) -> None:
        """Learn rows in order, with one step for each `minibatch` of them.

        Parameters
        ----------
        a
            Shape parameter of the loss.
        rates
            Arguments of `scheduled`: alpha, schedule, done, planned.
        base
            Intercept at the start, from which dog counts distances.
        dense, hashed, average, scalars
            State, updated in place.
        average
            Averages of the dense weights, shape (n_outputs, padded(n_dense + 1, LANES)).
        margin
            Output: margins from before each step, shape (n_rows, n_outputs).
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

            # Margins, gradients with respect to them, and gradients of the dense weights.
            importance = 0.0
            for i in range(first, last):
                if has_slots:
                    prefetch_slots(flat, stride, slots, i)
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
                    if has_offset:
                        total += offset[i]
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
                # A row of weight 0 changes nothing.
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
            share, clock_before = (AVERAGING_POWER + 1.0) / (steps + AVERAGING_POWER), clock
            if has_slots and averages and steps > 1.0:
                clock += math.log1p(-share)
            now = np.float32(clock)

            for o in range(n_outputs):
                # Steps of the dense weights, and their reach.
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
                # numbers are gathered side by side first, so that they fit into registers.
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
                                # The average is up to date: the slot is hit for the second time
                                # in this step, or this is the very first step.
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
    """Add the weights of the rows' slots to margins.

    Parameters
    ----------
    averages
        Whether to use averaged weights; they are brought up to date with the clock first.
    margin
        Margins to add to, shape (n_rows, n_outputs).
    """
    n_outputs, n_numbers = hashed.shape[1], hashed.shape[2]
    n_columns = slots.shape[1]
    flat, stride = hashed.reshape(hashed.size), np.uint64(n_outputs * n_numbers)
    at = np.zeros(n_columns, np.uint64)
    for i in range(len(slots)):
        prefetch_slots(flat, stride, slots, i)
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
