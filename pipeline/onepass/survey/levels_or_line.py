"""Tell from the label whether whole numbers are codes or quantities.

Rows of the sample are split into two halves. Each half is predicted by what the other one has
learnt: by the mean label of each value, by a straight line, and by smooth or monotone curves. The
values are codes if these means predict clearly more of the label's variance than any curve does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from onepass.block import FloatArray, IntArray

_SHRINKAGE = (1.0, 10.0, 100.0)
"""Rows by which the mean label of a value is shrunk to the mean of all; the best one counts."""

_MOST_CLASSES = 8
"""Number of the most frequent classes that are told apart; the others are one class."""

_CLIPPED = 0.005
"""Share of the labels at each end that is clipped, so that no outlier decides."""

_PARABOLA_VALUES, _CUBIC_VALUES, _BENT_VALUES = 8, 12, 65
"""Least number of values for each kind of curve, which would pass through most of fewer values."""

_BENDS = np.linspace(0, 1, 11)[1:-1]
"""Shares of the rows at which a curve may bend."""

_FEWEST_ROWS = 100
"""Number of rows below which nothing is compared."""


_SMOOTH = 1.0
"""Ratio of successive differences to the variance below which neighbours resemble each other."""


@dataclass(frozen=True, slots=True)
class Target:
    """The label of each row of the sample."""

    values: FloatArray
    """Labels or indices of classes, NaN where null."""
    nominal: bool
    """Whether the labels are indices of classes, whose order means nothing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Shares of the label's variance on rows that were not fitted; below 0 if worse than the mean.

    A share is at most 1.
    """

    levels: float
    """By the mean label of each value."""
    line: float
    """By a straight line; for classes, a line for each class."""
    curve: float
    """By the best of line, parabola, cubic, monotone steps, and lines with a few bends."""
    margin: float
    """Difference that chance explains."""

    @property
    def for_levels(self) -> bool:
        """Whether the values are codes: no curve comes close to the means of the values."""
        return self.levels > self.curve + self.margin and self.levels > self.line + 2 * self.margin

    @property
    def for_line(self) -> bool:
        """Whether a line predicts much that the means of the values do not."""
        return self.line > 0.05 and self.levels < 0.5 * self.line - self.margin


def compare(values: FloatArray, target: Target) -> Evidence | None:
    """Compare how well the values of a column predict the label as codes and as quantities.

    Parameters
    ----------
    values
        One value for each label, NaN where null.

    Returns
    -------
    None if there are too few rows, or only one label or value.
    """
    present = np.isfinite(values) & np.isfinite(target.values)
    n_rows = int(present.sum())
    if n_rows < _FEWEST_ROWS:
        return None
    labels = _outputs(target.values[present], nominal=target.nominal)
    distinct, code = np.unique(values[present], return_inverse=True)
    if len(distinct) < 2 or not labels.any():
        return None
    place = _standardised(distinct)
    halves = _halves(code, labels, len(distinct))

    def unexplained(predict: _Predict) -> FloatArray:
        """Return the squared error for each output, as a share of the variance of all outputs."""
        one, other = halves
        return (other.error(predict(one, place)) + one.error(predict(other, place))) / n_rows

    levels = min(unexplained(partial(_means, shrinkage=m)).sum() for m in _SHRINKAGE)
    curves: list[_Predict]
    curve = line = unexplained(partial(_polynomial, degree=1))
    margin = 0.01 + n_rows**-0.5
    if levels < line.sum() - margin:
        # These cost more, and few columns get here.
        curves = [partial(_monotone, rising=True), partial(_monotone, rising=False)]
        curves += [partial(_polynomial, degree=2)] if len(distinct) >= _PARABOLA_VALUES else []
        curves += [partial(_polynomial, degree=3)] if len(distinct) >= _CUBIC_VALUES else []
        curves += [_bent] if len(distinct) >= _BENT_VALUES else []
        curve = np.min([line, *map(unexplained, curves)], axis=0)
    return Evidence(float(1 - levels), float(1 - line.sum()), float(1 - curve.sum()), float(margin))


def is_smooth(values: FloatArray, target: Target | None) -> bool:
    """Whether the mean labels of neighbouring values resemble each other.

    The measure is that of J. von Neumann ("Distribution of the ratio of the mean square successive
    difference to the variance", 1941), which is 2 where neighbours are independent.
    """
    if target is None:
        return True
    present = np.isfinite(values) & np.isfinite(target.values)
    labels = _outputs(target.values[present], nominal=target.nominal)
    distinct, code = np.unique(values[present], return_inverse=True)
    means = _sum_up(code, labels, len(distinct)).means()
    spread = float(np.square(means - means.mean(axis=0)).sum())
    return float(np.square(np.diff(means, axis=0)).sum()) < _SMOOTH * spread


def _standardised(distinct: FloatArray) -> FloatArray:
    # Magnitudes near 1e300 would overflow when squared.
    scaled = distinct / np.abs(distinct).max()
    spread = scaled.std()
    return np.asarray((scaled - scaled.mean()) / (spread if spread > 0 else 1.0))


def _outputs(labels: FloatArray, *, nominal: bool) -> FloatArray:
    """Return columns with mean 0 whose variances add up to 1, or only zeros; shape (n_rows, k)."""
    if nominal:
        classes, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
        frequent = np.argsort(-counts, kind="stable")[:_MOST_CLASSES]
        outputs = np.column_stack([index == k for k in frequent]).astype(np.float64)
        if len(classes) > _MOST_CLASSES:
            outputs = np.column_stack([outputs, 1 - outputs.sum(axis=1)])
    else:
        scaled = labels / (np.abs(labels).max() or 1.0)
        usual = np.clip(scaled, *np.quantile(scaled, [_CLIPPED, 1 - _CLIPPED]))
        # Clipping would leave nothing of a label that is rarely above 0.
        outputs = (scaled if np.ptp(usual) == 0 else usual)[:, None]
    outputs = outputs - outputs.mean(axis=0)
    spread = float(np.sqrt((outputs**2).mean(axis=0).sum()))
    return outputs / spread if spread > 1e-9 else np.zeros_like(outputs)


@dataclass(frozen=True, slots=True)
class _Half:
    """Half of the rows, summed up by distinct value."""

    rows: FloatArray
    """Number of rows of each value, shape (n_values,)."""
    sums: FloatArray
    """Sums of the outputs, shape (n_values, n_outputs)."""
    squares: FloatArray
    """Sum of the squared outputs over all rows, shape (n_outputs,)."""

    def error(self, predicted: FloatArray) -> FloatArray:
        """Return the squared error of a prediction for each value, shape (n_outputs,)."""
        fitted = (self.rows[:, None] * predicted - 2 * self.sums) * predicted
        return np.asarray(self.squares + fitted.sum(axis=0))

    def means(self) -> FloatArray:
        """Return the mean outputs of each value; 0 where the half lacks the value."""
        return self.sums / np.maximum(self.rows, 1)[:, None]


_Predict: TypeAlias = Callable[[_Half, FloatArray], FloatArray]
"""Learns from a half and the standardised distinct values; predicts outputs for each value."""


def _halves(code: IntArray, outputs: FloatArray, n_values: int) -> tuple[_Half, _Half]:
    # Neighbouring rows are alike in most lakes, so the halves are drawn, always in the same way.
    drawn = np.random.default_rng(0).permutation(len(code))
    middle = len(code) // 2
    one, other = (_sum_up(code[rows], outputs[rows], n_values)
                  for rows in (drawn[:middle], drawn[middle:]))  # fmt: skip
    return one, other


def _sum_up(code: IntArray, outputs: FloatArray, n_values: int) -> _Half:
    sums = [np.bincount(code, column, n_values) for column in outputs.T]
    rows = np.bincount(code, minlength=n_values).astype(np.float64)
    return _Half(rows, np.column_stack(sums), (outputs**2).sum(axis=0))


def _means(half: _Half, place: FloatArray, *, shrinkage: float) -> FloatArray:
    return half.sums / (half.rows + shrinkage)[:, None]


def _polynomial(half: _Half, place: FloatArray, *, degree: int) -> FloatArray:
    return _least_squares(half, np.vander(place, degree + 1))


def _bent(half: _Half, place: FloatArray) -> FloatArray:
    share = np.cumsum(half.rows) / half.rows.sum()
    bends = place[np.searchsorted(share, _BENDS)]
    rises = [np.maximum(place - bend, 0.0) for bend in np.unique(bends)]
    return _least_squares(half, np.column_stack([np.ones_like(place), place, *rises]))


def _least_squares(half: _Half, basis: FloatArray) -> FloatArray:
    root = np.sqrt(half.rows)[:, None]
    weights, *_ = np.linalg.lstsq(basis * root, half.means() * root, rcond=None)
    return np.asarray(basis @ weights)


def _monotone(half: _Half, place: FloatArray, *, rising: bool) -> FloatArray:
    # Importing this takes a quarter of a second, and few lakes need it.
    from scipy.optimize import isotonic_regression

    known = half.rows > 0
    means, rows = half.means()[known], half.rows[known]
    steps = [isotonic_regression(column, weights=rows, increasing=rising).x for column in means.T]
    return np.column_stack([np.interp(place, place[known], column) for column in steps])
