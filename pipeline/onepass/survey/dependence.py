"""Measure how much of a label's variance one column, or a row's place, explains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray, IntArray
from onepass.encode.columns import as_text, floats, plain
from onepass.encode.schema import family
from onepass.encode.times import epoch_seconds, span_seconds

Explained: TypeAlias = Callable[[FloatArray, IntArray], float]
"""Function of the labels and the group of each row: share of variance between the groups."""


_FEWEST_OF_VARIANCE = 30
"""Fewest rows that make up the variance of labels which are taken as they are: the square of the
sum of squares over the sum of their squares."""


def explained_by_groups(*, classes: bool) -> Explained:
    """Return the measure that suits labels that are numbers, or indices of classes."""
    return explained_classes if classes else explained_variance


def explained_variance(target: FloatArray, group: IntArray) -> float:
    """Return the adjusted share of the variance of `target` between groups (eta squared), 0 to 1.

    The adjustment is for the number of groups: many small groups explain noise by chance.
    """
    n_rows = len(target)
    target = _scale_to_one(target)
    total = float(((target - target.mean()) ** 2).sum()) if n_rows else 0.0
    _, group = np.unique(group, return_inverse=True)
    n_groups = int(group.max(initial=-1)) + 1
    if total <= 0 or n_rows <= 2 * n_groups:
        return 0.0
    size = np.bincount(group)
    mean = np.bincount(group, target) / size
    within = float(((target - mean[group]) ** 2).sum())
    return max(0.0, 1 - (within / (n_rows - n_groups)) / (total / (n_rows - 1)))


def explained_classes(target: FloatArray, group: IntArray) -> float:
    """Return the adjusted share of the variance of classes between groups, 0 to 1.

    The variance is the sum over the classes of the variance of each class's 0/1 indicator, which is
    the Gini impurity. For two classes the result equals that of `explained_variance`.
    """
    n_rows = len(target)
    _, group, in_group = np.unique(group, return_inverse=True, return_counts=True)
    _, target_class, in_class = np.unique(target, return_inverse=True, return_counts=True)
    total = n_rows - float((in_class.astype(np.float64) ** 2).sum()) / max(1, n_rows)
    if total <= 0 or n_rows <= 2 * len(in_group):
        return 0.0
    cells, in_cell = np.unique(group * len(in_class) + target_class, return_counts=True)
    within = n_rows - float((in_cell**2.0 / in_group[cells // len(in_class)]).sum())
    return max(0.0, 1 - (within / (n_rows - len(in_group))) / (total / (n_rows - 1)))


def explained_out_of_sample(target: FloatArray, group: IntArray, *, classes: bool) -> float:
    """Return the share of the variance of `target` that groups explain on rows unseen, 0 to 1.

    Each row is predicted by the mean of the other rows of its group, or of all rows if it is alone.
    So a rare label in a group of its own explains nothing.

    Parameters
    ----------
    classes
        Whether the labels are indices of classes; then the variances of all 0/1 indicators add up.

    Notes
    -----
    Without its own row, the mean of a group of size m is off by m / (m - 1) times the residual
    (leave-one-out residuals of a regression on the indicators of groups).
    """
    n_rows = len(target)
    if n_rows < 2:
        return 0.0
    _, group = np.unique(group, return_inverse=True)
    size = np.bincount(group).astype(np.float64)
    ratio = np.divide(size, size - 1, out=np.zeros_like(size), where=size > 1)
    is_alone = size[group] == 1
    if classes:
        overall, inside = _squares_of_classes(target, group, size)
    else:
        target = _scale_to_one(target)
        overall = (target - target.mean()) ** 2
        inside = (target - (np.bincount(group, target) / size)[group]) ** 2
    overall = overall * (n_rows / (n_rows - 1)) ** 2
    left = np.where(is_alone, overall, inside * ratio[group] ** 2).sum()
    total = overall.sum()
    return max(0.0, 1 - float(left / total)) if total > 0 else 0.0


def _squares_of_classes(
    target: FloatArray, group: IntArray, size: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return squared residuals of each row's indicators, from the mean of all and of its group.

    For a row of class j they add up to 1 - 2 p_j + sum over k of p_k squared.
    """
    _, one, in_class = np.unique(target, return_inverse=True, return_counts=True)
    p = in_class / len(target)
    overall = (1 - 2 * p + (p**2).sum())[one]
    cells, cell, in_cell = np.unique(group * len(p) + one, return_inverse=True, return_counts=True)
    share = in_cell / size[cells // len(p)]
    squares = np.bincount(cells // len(p), share**2, minlength=len(size))
    return overall, 1 - 2 * share[cell] + squares[group]


def explained_by_column(values: pa.Array, target: FloatArray, *, classes: bool) -> float:
    """Return the share of the label's variance that one column alone explains on unseen rows.

    Parameters
    ----------
    values
        The column.
    target
        Labels, NaN where null; rows without a label or a finite value are left out.
    classes
        Whether the labels are indices of classes, whose order means nothing.
    """
    values = plain(values)
    target = target if classes else _without_outliers(target)
    present = ~np.isnan(target)
    kind = family(values.type)
    if kind == "text":
        codes = as_text(values).dictionary_encode().indices.fill_null(-1).to_numpy()
        return explained_out_of_sample(target[present], codes[present], classes=classes)
    if kind in {"clock", "duration"}:
        numbers = span_seconds(values)
    else:
        numbers = epoch_seconds(values) if kind == "time" else floats(values)
    present = present & np.isfinite(numbers)
    numbers, target = _scale_to_one(numbers[present]), target[present]
    # Equal-count bins catch any monotone or stepwise dependence, not only a linear one.
    in_steps = explained_out_of_sample(target, _bins(numbers), classes=classes)
    return in_steps if classes else max(_r_squared(numbers, target), in_steps)


def _without_outliers(target: FloatArray) -> FloatArray:
    """Replace labels by their ranks if a few of them make up nearly all of the variance.

    Any column that happens to be alike in these few rows would explain the label.
    """
    present = ~np.isnan(target)
    squares = _scale_to_one(target[present] - _mean(target[present])) ** 2
    if squares.sum() ** 2 >= _FEWEST_OF_VARIANCE * (squares**2).sum():
        return target
    _, place, rows = np.unique(target[present], return_inverse=True, return_counts=True)
    # Equal labels share the mean of their ranks.
    ranks = np.full(len(target), np.nan)
    ranks[present] = (np.cumsum(rows) - (rows - 1) / 2)[place]
    return ranks


def _mean(values: FloatArray) -> float:
    return float((values / max(1, len(values))).sum())


def _scale_to_one(values: FloatArray) -> FloatArray:
    """Divide values by the largest magnitude: near 1e300 they would overflow when squared."""
    return values / (np.abs(values).max(initial=0) or 1.0)


def _r_squared(x: FloatArray, y: FloatArray) -> float:
    if len(x) < 30 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.corrcoef(x, _scale_to_one(y))[0, 1]
    return float(r * r) if np.isfinite(r) else 0.0


def _bins(values: FloatArray, n_bins: int = 64) -> IntArray:
    if not len(values):
        return np.zeros(0, np.int64)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right").astype(np.int64)
