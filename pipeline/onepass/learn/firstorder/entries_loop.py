"""The compiled loop of the first-order solvers for sparse rows; `loop` has the one without entries.

The gradient of a weight is that of the margin times the value of the row's entry. A hashed column
counts as an entry of the value 1. The arrays of weights are those of `loop`.

This loop is compiled apart, so that rows without entries keep their loop, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from onepass.block import Float32Array, FloatArray, IntArray, SlotArray
from onepass.jit import APART, reordered
from onepass.learn.firstorder.entries_steps import (
    averages_of_entries,
    entry_moves,
    located,
    longest_row,
    near_numbers,
    prefetch_entries,
)
from onepass.learn.firstorder.loop import (
    AVERAGING_POWER,
    CLOCK,
    DISTANCE,
    FARTHEST,
    GRADIENTS,
    LENGTHS,
    ROWS,
    STEPS,
)
from onepass.learn.firstorder.rules import ADAGRAD, ADAM, DOG, FTRL, NAG, dog, scheduled
from onepass.learn.firstorder.steps import (
    adagrad_steps,
    adam_steps,
    added_distance,
    dense_margin,
    ftrl_steps,
    implicit_ratio,
    nag_steps,
    prefetch_slots,
    sgd_steps,
    square_length,
)
from onepass.learn.pointwise import exp_below, gradient, softmax


@cache
def entries_learner(
    rule: int,
    n_remembered: int,
    *,
    averages: bool,
    has_classes: bool,
    has_batches: bool,
    has_offset: bool,
) -> Callable[..., None]:
    """Return the loop of one rule for sparse rows; see `onepass.learn.firstorder.loop`."""
    n_numbers = n_remembered + (2 if averages else 0)

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
        start: IntArray,
        slot: SlotArray,
        value: Float32Array,
        label: FloatArray,
        weight: FloatArray,
        offset: FloatArray,
        dense: FloatArray,
        hashed: Float32Array,
        average: FloatArray,
        scalars: FloatArray,
        margin: FloatArray,
    ) -> None:
        """Learn rows in order, as `rows_learner` does.

        Parameters
        ----------
        start, slot, value
            Arrays of `onepass.block.Entries`.
        """
        n_rows, n_dense = x.shape
        n_outputs = margin.shape[1] if has_classes else 1
        batch = minibatch if has_batches else 1
        width = dense.shape[2]
        alpha, schedule, done, planned = rates
        flat, stride = hashed.reshape(hashed.size), np.uint64(n_outputs * n_numbers)
        most, fetched, n = longest_row(slots, start), 0, 0
        at, own_x = np.zeros(most + APART, np.uint64), np.zeros(most + APART)
        row, moves = np.zeros(width + APART)[:width], np.zeros(most + APART)
        near = np.zeros((n_numbers, most + APART))
        row[n_dense] = 1.0
        z, p = np.empty(n_outputs), np.empty(n_outputs)
        g, grad = np.empty((batch, n_outputs)), np.zeros((n_outputs + APART, width))
        step, length = np.zeros((n_outputs + APART, width)), np.zeros(batch)
        steps, rows, lengths = scalars[STEPS], scalars[ROWS], scalars[LENGTHS]
        distance, clock = scalars[DISTANCE], scalars[CLOCK]
        for first in range(0, n_rows, batch):
            last = min(n_rows, first + batch)
            share_of_row = 1.0 / (last - first)

            # Margins, gradients with respect to them, and gradients of the dense weights.
            importance = 0.0
            for i in range(first, last):
                prefetch_slots(flat, stride, slots, i)
                fetched = prefetch_entries(flat, stride, slot, fetched, start[i + 1])
                n = located(stride, slots, start, slot, value, i, at, own_x)
                squares_of_row = 0.0
                for k in range(n):
                    squares_of_row += own_x[k] * own_x[k]
                length[i - first] = squares_of_row
                for j in range(n_dense):
                    row[j] = x[i, j]
                for o in range(n_outputs):
                    total = dense_margin(row, dense, o)
                    for k in range(n):
                        total += own_x[k] * flat[at[k] + np.uint64(o * n_numbers)]
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
                        lengths += squares_of_row + square_length(row, dense) * rows
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
                        squares += length[i] * g[i, o] * g[i, o]
                scalars[GRADIENTS] += squares
                scalars[FARTHEST] = max(scalars[FARTHEST], math.sqrt(max(0.0, distance)))
                rate = dog(scalars[FARTHEST], scalars[GRADIENTS])
            else:
                rate = scheduled(schedule, alpha, rows, done, planned)
            share, clock_before = (AVERAGING_POWER + 1.0) / (steps + AVERAGING_POWER), clock
            if averages and steps > 1.0:
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

                # Steps of the entries, row by row, each with its share of the ridge penalty.
                ratio = 1.0
                for i in range(first, last):
                    decay = l2 * share_of_row * weight[i]
                    if has_batches:
                        n = located(stride, slots, start, slot, value, i, at, own_x)
                    near_numbers(n_numbers, n, o, flat, at, near)
                    reach += entry_moves(
                        rule, rate, norm, steps, l1, l2, g[i - first, o], decay, n, own_x, near,
                        moves,
                    )  # fmt: skip
                    if implicit and g[i - first, o] != 0.0:
                        ratio = implicit_ratio(
                            loss, a, margin[i, o], label[i], weight[i], g[i - first, o], reach, o
                        )
                    if averages:
                        averages_of_entries(n_numbers, n, ratio, share, clock_before, moves, near)
                    for k in range(n):
                        # A slot that the row hits twice moves twice.
                        place = at[k] + np.uint64(o * n_numbers)
                        before, move = np.float64(flat[place]), ratio * moves[k]
                        after = before - move
                        flat[place] = np.float32(after)
                        if rule == DOG:
                            distance += after * after - before * before
                        for number in range(1, n_remembered):
                            flat[place + np.uint64(number)] = np.float32(near[number, k])
                        if averages:
                            mean = place + np.uint64(n_numbers - 2)
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
def add_entry_margins(
    averages: bool,
    hashed: Float32Array,
    start: IntArray,
    slot: SlotArray,
    value: Float32Array,
    clock: float,
    margin: FloatArray,
) -> None:
    """Add the weights of the rows' entries, times their values, to margins.

    Parameters
    ----------
    averages
        Whether to use averaged weights; they are brought up to date with the clock first.
    margin
        Margins to add to, shape (n_rows, n_outputs).
    """
    n_outputs, n_numbers = hashed.shape[1], hashed.shape[2]
    flat, stride = hashed.reshape(hashed.size), np.uint64(n_outputs * n_numbers)
    fetched = 0
    for i in range(len(margin)):
        fetched = prefetch_entries(flat, stride, slot, fetched, start[i + 1])
        for e in range(start[i], start[i + 1]):
            for o in range(n_outputs):
                at = np.uint64(np.uint32(slot[e])) * stride + np.uint64(o * n_numbers)
                weight = np.float64(flat[at])
                if averages:
                    last = at + np.uint64(n_numbers - 1)
                    behind = exp_below(clock - flat[last])
                    weight += (np.float64(flat[last - np.uint64(1)]) - weight) * behind
                margin[i, o] += np.float64(value[e]) * weight
