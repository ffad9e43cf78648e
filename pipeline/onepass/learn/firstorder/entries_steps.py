"""The steps of `entries_loop`: find the weights of a sparse row, move them, average them.

Each function is inlined into its callers, as those of `steps`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, IntArray, SlotArray
from onepass.intrinsics import prefetch
from onepass.jit import inlined
from onepass.learn.firstorder.rules import ADAGRAD, ADAM, FTRL, NAG, adagrad, adam, ftrl, nag
from onepass.learn.pointwise import exp_below

_AHEAD = 64
"""Distance, in entries, from the row in hand to the entry whose slot is prefetched."""


@inlined
def prefetch_entries(
    flat: Float32Array, stride: np.uint64, slot: SlotArray, done: int, end: int
) -> int:
    """Prefetch the slots of entries up to a distance from the row that ends at `end`.

    Returns
    -------
    The number of entries prefetched so far, to be passed as `done` with the next row.
    """
    until = min(len(slot), end + _AHEAD)
    for e in range(done, until):
        prefetch(flat, np.uint64(np.uint32(slot[e])) * stride)
    return max(done, until)


@inlined
def longest_row(slots: SlotArray, start: IntArray) -> int:
    """Return the largest number of slots that a row selects."""
    most = 0
    for i in range(len(slots)):
        most = max(most, start[i + 1] - start[i])
    return int(slots.shape[1] + most)


@inlined
def located(
    stride: np.uint64,
    slots: SlotArray,
    start: IntArray,
    slot: SlotArray,
    value: Float32Array,
    i: int,
    at: NDArray[np.uint64],
    x: FloatArray,
) -> int:
    """Write place and value of each slot that a row selects; return their number."""
    n = slots.shape[1]
    for k in range(n):
        at[k], x[k] = np.uint64(np.uint32(slots[i, k])) * stride, 1.0
    first, last = start[i], start[i + 1]
    for e in range(first, last):
        at[n + e - first] = np.uint64(np.uint32(slot[e])) * stride
        x[n + e - first] = value[e]
    return int(n + last - first)


@inlined
def near_numbers(
    n_numbers: int,
    n: int,
    o: int,
    flat: Float32Array,
    at: NDArray[np.uint64],
    near: FloatArray,
) -> None:
    """Write the numbers of the first `n` places, for one output, side by side to `near`."""
    for k in range(n):
        for number in range(n_numbers):
            near[number, k] = flat[at[k] + np.uint64(o * n_numbers + number)]


@inlined
def entry_moves(
    rule: int,
    rate: float,
    norm: float,
    steps: float,
    l1: float,
    l2: float,
    g: float,
    decay: float,
    n: int,
    x: FloatArray,
    near: FloatArray,
    moves: FloatArray,
) -> float:
    """Write the steps of one row's entries and the numbers that the rule keeps; return the reach.

    The rule nag takes their mean square for 1, to which a schema scales the values of a column.

    Parameters
    ----------
    g
        Gradient with respect to the margin.
    n, x
        Number of entries, and their values.
    near, moves
        See `onepass.learn.firstorder.steps.slot_moves`.
    """
    reach = 0.0
    for k in range(n):
        w = near[0, k]
        own = g * x[k] + (0.0 if rule == FTRL else decay * w)
        if rule == ADAGRAD:
            moved, near[1, k] = adagrad(rate, own, near[1, k])
            moves[k] = moved * own
            reach += moved * x[k] * x[k]
        elif rule == NAG:
            moved, near[1, k] = nag(rate, own, near[1, k], 1.0, norm)
            moves[k] = moved * own
            reach += moved * x[k] * x[k]
        elif rule == ADAM:
            moves[k], near[1, k], near[2, k] = adam(rate, own, near[1, k], near[2, k], steps)
        elif rule == FTRL:
            new, near[1, k], near[2, k] = ftrl(rate, l1, l2, own, w, near[1, k], near[2, k])
            moves[k] = w - new
        else:
            moves[k] = rate * own
            reach += rate * x[k] * x[k]
    return reach


@inlined
def averages_of_entries(
    n_numbers: int,
    n: int,
    ratio: float,
    share: float,
    clock_before: float,
    moves: FloatArray,
    near: FloatArray,
) -> None:
    """Bring the averages of one row's slots up to date, as `slot_averages` does."""
    for k in range(n):
        before = near[0, k]
        behind = exp_below(clock_before - near[n_numbers - 1, k])
        mean = before + (near[n_numbers - 2, k] - before) * behind
        near[n_numbers - 2, k] = mean + share * (before - ratio * moves[k] - mean)
