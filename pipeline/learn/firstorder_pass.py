"""The compiled loop of the first-order solvers: margins, gradients, one rule's steps, averages.

Numbers of a dense weight lie in layers, ``dense[number, output, feature]`` with the intercept as
the last feature; those of a hashed weight lie side by side, ``hashed[slot, output, number]``.
Number 0 is the weight; with averaging the last two of a hashed weight are its average and the clock
at which that was brought up to date.
"""

from __future__ import annotations

import math

from pipeline.block import Float32Array, FloatArray, SlotArray
from pipeline.compiled import compiled
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


@compiled
def row_margins(
    x: FloatArray, slots: SlotArray, dense: FloatArray, hashed: FloatArray, z: FloatArray
) -> None:
    """Write the margins of one row: x with a 1 behind, and the slots that it hits."""
    for o in range(len(z)):
        total = 0.0
        for j in range(len(x)):
            total += x[j] * dense[0, o, j]
        for k in range(len(slots)):
            total += hashed[slots[k], o, 0]
        z[o] = total


@compiled
def row_gradients(
    loss: int, a: float, z: FloatArray, y: float, weight: float, g: FloatArray
) -> None:
    """Write the gradients by the margins of one row, times its weight."""
    if loss == SOFTMAX:
        softmax(z, g)
        g[int(y)] -= 1.0
        for o in range(len(g)):
            g[o] *= weight
    else:
        g[0] = weight * gradient(loss, a, 0.0, z[0], y)


@compiled
def dense_steps(
    rule: int,
    rate: float,
    l1: float,
    l2: float,
    t: float,
    n_rows: float,
    norm: float,
    grad: FloatArray,
    x: FloatArray,
    dense: FloatArray,
    output: int,
    step: FloatArray,
) -> float:
    """Write the step of each dense weight; return how far the margin moves per unit of gradient."""
    reach = 0.0
    n = len(grad)
    w = dense[0, output]
    if rule == ADAGRAD:
        total = dense[1, output]
        for j in range(n):
            own, total[j] = adagrad(rate, grad[j], total[j])
            step[j] = own * grad[j]
            reach += own * x[j] * x[j]
    elif rule == NAG:
        total, square = dense[1, output], dense[2, output]
        for j in range(n):
            own, total[j] = nag(rate, grad[j], total[j], math.sqrt(square[j] / n_rows), norm)
            step[j] = own * grad[j]
            reach += own * x[j] * x[j]
    elif rule == ADAM:
        mean, square = dense[1, output], dense[2, output]
        for j in range(n):
            step[j], mean[j], square[j] = adam(rate, grad[j], mean[j], square[j], t)
    elif rule == FTRL:
        z, total = dense[1, output], dense[2, output]
        for j in range(n):
            # The intercept, last, is free of penalties.
            free = j == n - 1
            new, z[j], total[j] = ftrl(
                rate, 0.0 if free else l1, 0.0 if free else l2, grad[j], w[j], z[j], total[j]
            )
            step[j] = w[j] - new
    else:
        for j in range(n):
            step[j] = rate * grad[j]
            reach += rate * x[j] * x[j]
    return reach


@compiled
def slot_step(
    rule: int,
    rate: float,
    l1: float,
    l2: float,
    t: float,
    norm: float,
    g: float,
    numbers: FloatArray,
) -> float:
    """The step of one hashed weight."""
    if rule == ADAGRAD:
        own, numbers[1] = adagrad(rate, g, numbers[1])
        return own * g
    if rule == NAG:
        own, numbers[1] = nag(rate, g, numbers[1], 1.0, norm)
        return own * g
    if rule == ADAM:
        step, numbers[1], numbers[2] = adam(rate, g, numbers[1], numbers[2], t)
        return step
    if rule == FTRL:
        new, numbers[1], numbers[2] = ftrl(rate, l1, l2, g, numbers[0], numbers[1], numbers[2])
        return float(numbers[0] - new)
    return rate * g


@compiled
def slots_reach(
    rule: int, rate: float, norm: float, g: float, slots: SlotArray, hashed: FloatArray, output: int
) -> float:
    """How far the margin moves per unit of gradient through the slots that a row hits."""
    reach = 0.0
    for k in range(len(slots)):
        numbers = hashed[slots[k], output]
        if rule == ADAGRAD:
            reach += adagrad(rate, g, numbers[1])[0]
        elif rule == NAG:
            reach += nag(rate, g, numbers[1], 1.0, norm)[0]
        else:
            reach += rate
    return reach


@compiled
def observe_row(x: FloatArray, n_slots: int, dense: FloatArray, scalars: FloatArray) -> None:
    """Note the squares of one row for nag."""
    length = float(n_slots)
    for j in range(len(x)):
        for o in range(dense.shape[1]):
            dense[2, o, j] += x[j] * x[j]
        if dense[2, 0, j] > 0.0:
            length += x[j] * x[j] / dense[2, 0, j] * scalars[ROWS]
    scalars[LENGTHS] += length


@compiled
def dog_rate(grad: FloatArray, g: FloatArray, n_slots: int, scalars: FloatArray) -> float:
    """Note the length of one gradient; return the rate of dog.

    `g` are the gradients by the margins of the rows, shape (n_rows, n_outputs).
    """
    scalars[GRADIENTS] += (grad * grad).sum() + n_slots * (g * g).sum()
    scalars[FARTHEST] = max(scalars[FARTHEST], math.sqrt(max(0.0, scalars[DISTANCE])))
    return dog(scalars[FARTHEST], scalars[GRADIENTS])


@compiled
def move_dense(
    dense: FloatArray, output: int, step: FloatArray, base: float, scalars: FloatArray
) -> None:
    """Take the steps of the dense weights, and note the distance from the start for dog."""
    w = dense[0, output]
    last = len(step) - 1
    for j in range(len(step)):
        origin = base if j == last else 0.0
        before = w[j] - origin
        w[j] -= step[j]
        scalars[DISTANCE] += (w[j] - origin) ** 2 - before**2


@compiled
def move_slot(
    numbers: FloatArray,
    step: float,
    averages: bool,
    share: float,
    clock_before: float,
    scalars: FloatArray,
) -> None:
    """Take the step of one hashed weight, after its average has caught up with it.

    A weight that no row hits does not move, so the steps that its average has missed are one: it
    has come nearer by the product of all ``1 - share`` since, whose logarithm is the clock.
    """
    before, n = numbers[0], len(numbers)
    numbers[0] = before - step
    scalars[DISTANCE] += numbers[0] ** 2 - before**2
    if averages and numbers[n - 1] == scalars[CLOCK]:
        # Hit a second time in this step, or in the very first: it has the share of the first move.
        numbers[n - 2] -= share * step
    elif averages:
        behind = math.exp(clock_before - numbers[n - 1])
        average = before + (numbers[n - 2] - before) * behind
        numbers[n - 2] = average + share * (numbers[0] - average)
        numbers[n - 1] = scalars[CLOCK]


@compiled
def gather(
    rule: int,
    loss: int,
    a: float,
    rows: tuple[int, int],
    x: Float32Array,
    slots: SlotArray,
    label: FloatArray,
    weight: FloatArray,
    dense: FloatArray,
    hashed: FloatArray,
    scalars: FloatArray,
    work: FloatArray,
    margin: FloatArray,
    gradients: FloatArray,
) -> float:
    """Margins and gradients of the rows of one step; return the mean weight of these rows.

    The last row is left in ``work[0]``, the gradients by dense weights in the layers behind it.
    """
    first, last = rows
    row, grad = work[0], work[1 : 1 + margin.shape[1]]
    grad[:, :] = 0.0
    importance = 0.0
    for i in range(first, last):
        for j in range(x.shape[1]):
            row[j] = x[i, j]
        row_margins(row, slots[i], dense, hashed, margin[i])
        row_gradients(loss, a, margin[i], label[i], weight[i] / (last - first), gradients[i])
        for o in range(len(grad)):
            for j in range(len(row)):
                grad[o, j] += gradients[i, o] * row[j]
        # A row of weight 0 might as well not be there.
        if weight[i] > 0.0:
            importance += weight[i] / (last - first)
            scalars[ROWS] += 1.0
            if rule == NAG:
                observe_row(row, slots.shape[1], dense, scalars)
    return importance


@compiled
def penalise(decay: float, dense: FloatArray, grad: FloatArray) -> None:
    """Add the gradient of the ridge penalty, which spares the intercept."""
    for o in range(grad.shape[0]):
        for j in range(grad.shape[1] - 1):
            grad[o, j] += decay * dense[0, o, j]


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


@compiled
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
    hashed: FloatArray,
    average: FloatArray,
    scalars: FloatArray,
    work: FloatArray,
    margin: FloatArray,
    gradients: FloatArray,
) -> None:
    """Learn rows in order, a step for each `minibatch` of them.

    Parameters
    ----------
    rates
        alpha, schedule, rows before the plan, rows of the plan.
    average
        Averages of the dense weights, shape (n_outputs, n_dense + 1).
    work
        Scratch of shape (2 * n_outputs + 1, n_dense + 1).
    margin, gradients
        Outputs of shape (n_rows, n_outputs): margins from before each step, and scratch.
    """
    n_outputs, n_columns = margin.shape[1], slots.shape[1]
    alpha, schedule, done, planned = rates
    row, grad, step = work[0], work[1 : 1 + n_outputs], work[1 + n_outputs :]
    row[x.shape[1]] = 1.0
    for first in range(0, len(x), minibatch):
        last = min(len(x), first + minibatch)
        importance = gather(
            rule, loss, a, (first, last), x, slots, label, weight, dense, hashed, scalars, work,
            margin, gradients,
        )  # fmt: skip
        if importance == 0.0:
            continue
        scalars[STEPS] += 1.0
        t = scalars[STEPS]
        norm = math.sqrt(scalars[LENGTHS] / scalars[ROWS]) if rule == NAG else 1.0
        if rule != FTRL and l2 > 0.0:
            penalise(l2 * importance, dense, grad)
        if rule == DOG:
            rate = dog_rate(grad, gradients[first:last], n_columns, scalars)
        else:
            rate = scheduled(schedule, alpha, scalars[ROWS], done, planned)
        share = (_AVERAGING_POWER + 1.0) / (t + _AVERAGING_POWER)
        clock_before = scalars[CLOCK]
        if averages and t > 1.0:
            scalars[CLOCK] += math.log1p(-share)
        for o in range(n_outputs):
            reach = dense_steps(
                rule, rate, l1, l2, t, scalars[ROWS], norm, grad[o], row, dense, o, step[o]
            )
            ratio, g = 1.0, gradients[first, o]
            if implicit and g != 0.0:
                reach += slots_reach(rule, rate, norm, g, slots[first], hashed, o)
                z, y = margin[first, o], label[first]
                ratio = implicit_ratio(loss, a, z, y, weight[first], g, reach, o)
                step[o] *= ratio
            move_dense(dense, o, step[o], base, scalars)
            for i in range(first, last):
                for k in range(n_columns):
                    numbers = hashed[slots[i, k], o]
                    own = gradients[i, o]
                    if rule != FTRL:
                        own += l2 * weight[i] / (last - first) * numbers[0]
                    move = ratio * slot_step(rule, rate, l1, l2, t, norm, own, numbers)
                    move_slot(numbers, move, averages, share, clock_before, scalars)
        if averages:
            average += share * (dense[0] - average)
