"""Compiled sums over the entries of sparse rows, for the objective of a batch rule."""

from __future__ import annotations

import numpy as np

from onepass.block import Entries, Float32Array, FloatArray, IntArray, RealArray, SlotArray
from onepass.jit import compiled


def add_products(entries: Entries, weights: FloatArray, margins: FloatArray) -> None:
    """Add the weights of the entries, times their values, to the margins.

    Parameters
    ----------
    weights
        Shape (n_slots, n_outputs).
    margins
        Shape (n_rows, n_outputs).
    """
    _add_products(entries.start, entries.slot, entries.value, weights, margins)


def add_spread(entries: Entries, values: FloatArray, power: int, total: FloatArray) -> None:
    """Add numbers of rows, times a power of each entry's value, to the slots of the entries.

    Parameters
    ----------
    values
        Numbers of each row, shape (n_rows, n_outputs).
    power
        1 or 2.
    total
        Sums to add to, shape (n_slots, n_outputs).
    """
    factor = entries.value if power == 1 else np.square(entries.value, dtype=np.float64)
    _add_spread(entries.start, entries.slot, factor, np.ascontiguousarray(values), total)


def square_lengths(entries: Entries) -> FloatArray:
    """Return the sum of the squares of each row's values, shape (n_rows,)."""
    total = np.zeros(len(entries.start) - 1)
    _add_squares(entries.start, entries.value, total)
    return total


@compiled
def _add_products(
    start: IntArray, slot: SlotArray, value: RealArray, weights: FloatArray, margins: FloatArray
) -> None:
    for i in range(len(margins)):
        for e in range(start[i], start[i + 1]):
            x = np.float64(value[e])
            for o in range(margins.shape[1]):
                margins[i, o] += x * weights[slot[e], o]


@compiled
def _add_spread(
    start: IntArray, slot: SlotArray, factor: RealArray, values: FloatArray, total: FloatArray
) -> None:
    for i in range(len(values)):
        for e in range(start[i], start[i + 1]):
            x = np.float64(factor[e])
            for o in range(values.shape[1]):
                total[slot[e], o] += x * values[i, o]


@compiled
def _add_squares(start: IntArray, value: Float32Array, total: FloatArray) -> None:
    for i in range(len(total)):
        for e in range(start[i], start[i + 1]):
            total[i] += np.float64(value[e]) ** 2
