"""Find out whether the label drifts or is sorted within files, which footers do not tell."""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray, IntArray

_RARE = 14.0
"""Minus the logarithm of the probability below which chance is ruled out."""


def drift_within(target: FloatArray, file: IntArray, stretch: IntArray, *, classes: bool) -> float:
    """Return the share of the label's variance between the stretches of files.

    It is 0 if chance may explain it. Numbers are replaced by their ranks, so that a few extreme
    labels count no more than others.

    Parameters
    ----------
    target
        Labels of the sample, NaN where null.
    file, stretch
        Numbers of the file and of the stretch that each row comes from. A stretch belongs to one
        file.
    classes
        Whether the labels are indices of classes, which have no order.
    """
    present = ~np.isnan(target)
    _, inner = np.unique(stretch[present], return_inverse=True)
    _, outer = np.unique(file[present], return_inverse=True)
    values, value = np.unique(target[present], return_inverse=True)
    n_rows, n_more = len(value), int(inner.max(initial=0) - outer.max(initial=0))
    if len(values) < 2 or not n_more or n_rows <= 2 * (inner.max() + 1):
        return 0.0
    within = _gini if classes else _variance
    total, in_files, in_stretches = (
        within(value, group) for group in (np.zeros_like(outer), outer, inner)
    )
    if in_files <= 0:
        return 0.0
    # Without drift, `n_rows` times the share that the stretches explain is a chi-square number of
    # `n_more` degrees of freedom. Bound of its tail: B. Laurent, P. Massart, Ann. Stat. 2000.
    by_chance = n_more / (n_rows - outer.max() - 1)
    at_most = by_chance + 2 * (np.sqrt(n_more * _RARE) + _RARE) / n_rows
    found = 1 - in_stretches / in_files
    if found < at_most:
        return 0.0
    return float((found - by_chance) * in_files / total)


def _variance(value: IntArray, group: IntArray) -> float:
    """Return the sum of squares within groups of the ranks of values."""
    counts = np.bincount(value)
    # Equal values share the middle of their ranks.
    rank = (np.cumsum(counts) - counts / 2)[value] / len(value)
    mean = np.bincount(group, rank) / np.bincount(group)
    return float(((rank - mean[group]) ** 2).sum())


def _gini(value: IntArray, group: IntArray) -> float:
    """Return the sum over classes of the sums of squares of their indicators within groups."""
    n_values, n_groups = int(value.max()) + 1, np.bincount(group)
    cells, in_cell = np.unique(group * n_values + value, return_counts=True)
    return len(value) - float((in_cell**2.0 / n_groups[cells // n_values]).sum())
