"""The steps of the first-order loop: margins, the steps of weights by each rule, averages.

Each function is inlined into the loop of `rows_learner`. It takes whole arrays and the number of an
output, because a view for each row would cost time. See `loop` for the layout of the arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, SlotArray
from onepass.intrinsics import prefetch
from onepass.jit import inlined
from onepass.learn.firstorder.rules import (
    ADAGRAD,
    ADAM,
    FTRL,
    NAG,
    adagrad,
    adam,
    ftrl,
    nag,
    square_share,
)
from onepass.learn.implicit import implicit_gradient_from
from onepass.learn.pointwise import SOFTMAX, exp_below

_AHEAD = 4
"""Distance, in rows, from the row in hand to the one whose slots are prefetched."""


@inlined
def dense_margin(row: FloatArray, dense: FloatArray, o: int) -> float:
    """Return the dense part of the margin of one output, intercept included."""
    total = 0.0
    for j in range(len(row)):
        total += row[j] * dense[0, o, j]
    return total


@inlined
def implicit_ratio(
    loss: int, a: float, z: float, y: float, weight: float, g: float, reach: float, output: int
) -> float:
    """Return the gradient at the end of a step over the gradient at its start.

    Parameters
    ----------
    g
        Weighted gradient at the start with respect to the margin.
    reach
        Distance by which the step moves the margin per unit of gradient.
    """
    if loss == SOFTMAX:
        # An approximation to first order: the margins of classes depend on each other, and their
        # joint step has no closed form.
        p = g / weight + (1.0 if y == output else 0.0)
        return 1.0 / (1.0 + reach * weight * p * (1.0 - p))
    return weight * implicit_gradient_from(loss, a, z, y, reach * weight, g / weight) / g


@inlined
def square_length(row: FloatArray, dense: FloatArray) -> float:
    """Add a row to nag's sums of squares; return its squared length after normalisation.

    Each feature is divided by the root of its sum. The sums are kept for output 0 only, since all
    outputs share the features.
    """
    length = 0.0
    for j in range(len(row)):
        own = row[j] * row[j]
        total = dense[2, 0, j] + own
        dense[2, 0, j] = total
        length += square_share(own, total)
    return length


# Each of the next five functions writes the steps of one output's dense weights. It returns the
# reach: the distance by which these steps move the margin per unit of gradient. Rules that compute
# whole steps and no rate have no reach, and their functions return 0.


@inlined
def sgd_steps(rate: float, o: int, row: FloatArray, grad: FloatArray, step: FloatArray) -> float:
    """Step by one rate for all weights; for sgd and dog."""
    reach = 0.0
    for j in range(len(row)):
        step[o, j] = rate * grad[o, j]
        reach += row[j] * row[j]
    return rate * reach


@inlined
def adagrad_steps(
    rate: float, o: int, row: FloatArray, grad: FloatArray, dense: FloatArray, step: FloatArray
) -> float:
    """Step by `rules.adagrad`."""
    reach = 0.0
    for j in range(len(row)):
        own, total = adagrad(rate, grad[o, j], dense[1, o, j])
        dense[1, o, j] = total
        step[o, j] = own * grad[o, j]
        reach += own * row[j] * row[j]
    return reach


@inlined
def nag_steps(
    rate: float,
    norm: float,
    rows: float,
    o: int,
    row: FloatArray,
    grad: FloatArray,
    dense: FloatArray,
    step: FloatArray,
) -> float:
    """Step by `rules.nag`."""
    reach, per_row = 0.0, 1.0 / rows
    for j in range(len(row)):
        square = dense[2, 0, j] * per_row
        own, total = nag(rate, grad[o, j], dense[1, o, j], square, norm)
        dense[1, o, j] = total
        step[o, j] = own * grad[o, j]
        reach += own * row[j] * row[j]
    return reach


@inlined
def adam_steps(
    rate: float, t: float, o: int, grad: FloatArray, dense: FloatArray, step: FloatArray
) -> float:
    """Step by `rules.adam`; return 0."""
    for j in range(dense.shape[2]):
        step[o, j], dense[1, o, j], dense[2, o, j] = adam(
            rate, grad[o, j], dense[1, o, j], dense[2, o, j], t
        )
    return 0.0


@inlined
def ftrl_steps(
    rate: float,
    l1: float,
    l2: float,
    n_dense: int,
    o: int,
    grad: FloatArray,
    dense: FloatArray,
    step: FloatArray,
) -> float:
    """Step by `rules.ftrl`; return 0."""
    for j in range(n_dense + 1):
        # The intercept, last, has no penalty.
        on = 1.0 if j < n_dense else 0.0
        w = dense[0, o, j]
        new, dense[1, o, j], dense[2, o, j] = ftrl(
            rate, on * l1, on * l2, grad[o, j], w, dense[1, o, j], dense[2, o, j]
        )
        step[o, j] = w - new
    return 0.0


@inlined
def added_distance(
    ratio: float, base: float, n_dense: int, o: int, dense: FloatArray, step: FloatArray
) -> float:
    """Return the change of the squared distance from the start that a step makes."""
    added = 0.0
    for j in range(dense.shape[2]):
        before = dense[0, o, j] - (base if j == n_dense else 0.0)
        after = before - ratio * step[o, j]
        added += after * after - before * before
    return added


@inlined
def slot_moves(
    rule: int,
    rate: float,
    norm: float,
    steps: float,
    l1: float,
    l2: float,
    g: float,
    decay: float,
    near: FloatArray,
    moves: FloatArray,
) -> float:
    """Write the steps of one row's slots and the numbers that the rule keeps; return the reach.

    A slot that a row hits twice takes two steps, both with the rate of a single hit.

    Parameters
    ----------
    near
        Numbers of the row's slots, shape (n_numbers, n_columns), updated in place but for weights.
    moves
        Output: steps, shape (n_columns,).
    """
    reach = 0.0
    for k in range(len(moves)):
        w = near[0, k]
        own = g + (0.0 if rule == FTRL else decay * w)
        if rule == ADAGRAD:
            moved, near[1, k] = adagrad(rate, own, near[1, k])
            moves[k] = moved * own
            reach += moved
        elif rule == NAG:
            moved, near[1, k] = nag(rate, own, near[1, k], 1.0, norm)
            moves[k] = moved * own
            reach += moved
        elif rule == ADAM:
            moves[k], near[1, k], near[2, k] = adam(rate, own, near[1, k], near[2, k], steps)
        elif rule == FTRL:
            new, near[1, k], near[2, k] = ftrl(rate, l1, l2, own, w, near[1, k], near[2, k])
            moves[k] = w - new
        else:
            moves[k] = rate * own
            reach += rate
    return reach


@inlined
def slot_averages(
    n_numbers: int,
    ratio: float,
    share: float,
    clock_before: float,
    moves: FloatArray,
    near: FloatArray,
) -> None:
    """Bring the averages of one row's slots up to date.

    While no row hits a slot its weight stays the same, and each step multiplies the distance of the
    average from the weight by 1 - share. All missed steps together multiply it by the product of
    these factors. The clock is the logarithm of the product since the start, so the missed part is
    the exponential of a difference of clocks.
    """
    for k in range(len(moves)):
        before = near[0, k]
        behind = exp_below(clock_before - near[n_numbers - 1, k])
        mean = before + (near[n_numbers - 2, k] - before) * behind
        near[n_numbers - 2, k] = mean + share * (before - ratio * moves[k] - mean)


@inlined
def place(slot: int, stride: np.uint64, o: int, n_numbers: int) -> np.uint64:
    """Return the place, in the flat array, of the first number of one output of a slot."""
    return np.uint64(np.uint64(np.uint32(slot)) * stride + np.uint64(o * n_numbers))


@inlined
def gather(
    n_numbers: int,
    flat: Float32Array,
    stride: np.uint64,
    slots: SlotArray,
    i: int,
    o: int,
    at: NDArray[np.uint64],
    near: FloatArray,
) -> None:
    """Write the places of a row's slots to `at`, and their numbers to `near`."""
    for k in range(len(at)):
        at[k] = place(slots[i, k], stride, o, n_numbers)
        for number in range(n_numbers):
            near[number, k] = flat[at[k] + np.uint64(number)]


@inlined
def prefetch_slots(flat: Float32Array, stride: np.uint64, slots: SlotArray, i: int) -> None:
    """Prefetch the slots of a row that comes soon."""
    ahead = min(i + _AHEAD, len(slots) - 1)
    for k in range(slots.shape[1]):
        prefetch(flat, np.uint64(slots[ahead, k]) * stride)
