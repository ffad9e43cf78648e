"""Compare forms of one column by how well a line through each predicts labels it has not seen.

Rows with nearby values count as one point, so a comparison takes milliseconds whatever the sample.
The loss is that of an exponential family with its natural link: ``b(m) - y m`` for a margin m.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray, IntArray
from onepass.survey.label_numbers import DOMAINS

_LARGEST_MARGIN = 30.0
"""Largest magnitude of a margin; exp of it is still far from overflow."""

_STEPS, _HALVINGS = 30, 12
"""Maximum number of Newton steps of a fit, and of halvings of a step that overshoots."""

_BODY, _OUTERMOST, _GROWTH = 256, 64, 1.1
"""Points of equal count; outermost rows that are a point each; growth of the points in between."""

_CLASSES = 8
"""Number of the most frequent classes that are compared with the rest, one by one."""


@dataclass(frozen=True, slots=True)
class Link:
    """The function ``b`` of a loss ``b(m) - y m``, its first and its second derivative."""

    b: Callable[[FloatArray], FloatArray]
    mean: Callable[[FloatArray], FloatArray]
    variance: Callable[[FloatArray], FloatArray]
    margin: Callable[[float], float]
    """Margin of a constant prediction."""


def _expit(m: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-m))


IDENTITY = Link(lambda m: m * m / 2, lambda m: m, np.ones_like, lambda mean: mean)
LOGIT = Link(
    lambda m: np.logaddexp(0, m),
    _expit,
    lambda m: _expit(m) * _expit(-m),
    lambda mean: float(np.log(mean / (1 - mean))) if 0 < mean < 1 else 60 * mean - 30,
)
LOG = Link(np.exp, np.exp, np.exp, lambda mean: float(np.log(max(mean, 1e-12))))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Labels as lines are fitted to them."""

    link: Link
    values: FloatArray
    """Shape (n_outputs, n_rows), NaN where the label is null: one row of 0/1 for each class."""
    exposure: FloatArray | None = None
    """Number of rows for which each row counts, shape (n_rows,); None for 1."""


def outcome(target: FloatArray, loss: str, offset: FloatArray | None = None) -> Outcome:
    """Return the labels of a loss, scaled where that changes nothing.

    Parameters
    ----------
    target
        Labels, or the indices of their classes; NaN where null.
    offset
        Known part of each margin, shape (n_rows,), for poisson and gamma loss: labels become rates
        that count as often as their exposure. None if there is none.
    """
    known = target[~np.isnan(target)]
    if loss in {"logistic", "probit", "cloglog", "hinge"}:
        return Outcome(LOGIT, target[None])
    if loss in {"softmax", "ordinal"}:
        classes, counts = np.unique(known, return_counts=True)
        chosen = classes[np.argsort(-counts, kind="stable")[:_CLASSES], None]
        return Outcome(LOGIT, np.where(np.isnan(target), np.nan, target == chosen))
    unit = float(np.abs(known).max(initial=0)) or 1.0
    known, target = known / unit, target / unit
    if loss in DOMAINS:
        if offset is None:
            return Outcome(LOG, target[None] / (known.mean() or 1.0))
        exposure = np.exp(offset - offset[~np.isnan(offset)].max(initial=-np.inf))
        used = ~np.isnan(target) & ~np.isnan(exposure)
        rate = float(target[used].sum() / exposure[used].sum()) if used.any() else 1.0
        mean = float(exposure[used].mean()) if used.any() else 1.0
        return Outcome(LOG, target[None] / exposure / (rate or 1.0), exposure / mean)
    if loss in {"huber", "quantile"}:
        # Both grow linearly, so a few labels must not decide as they do for squared loss.
        target = np.clip(target, *np.quantile(known, [0.01, 0.99]))
        known = target[~np.isnan(target)]
    return Outcome(IDENTITY, (target[None] - known.mean()) / (known.std() or 1.0))


class Lines:
    """Lines through forms of a column, each fitted to one half of the rows and judged on the other.

    Parameters
    ----------
    x
        Values of the column; rows where they are not finite are left out.
    labels
        Labels of the same rows.
    """

    def __init__(self, x: FloatArray, labels: Outcome) -> None:
        used = np.isfinite(x) & np.isfinite(labels.values).all(axis=0)
        x, y = x[used], labels.values[:, used]
        exposure = None if labels.exposure is None else labels.exposure[used]
        self._link, self.n_rows = labels.link, len(x)
        point = _points(x)
        n_points = int(point.max(initial=-1)) + 1
        size = np.bincount(point, minlength=n_points)
        unit = float(np.abs(x).max(initial=0)) or 1.0
        self.x: FloatArray = np.bincount(point, x / unit, n_points) / np.maximum(size, 1) * unit
        """Mean value of each point."""
        halves = np.random.default_rng(0).permutation(len(x)) % 2
        self._folds = [
            (
                _moments(point, y, exposure, halves == fit, n_points),
                _moments(point, y, exposure, halves != fit, n_points),
            )
            for fit in (0, 1)
        ]
        self._limits = (
            [
                [(float(row.min()), float(row.max())) for row in y[:, halves == fit]]
                for fit in (0, 1)
            ]
            if len(x) > 1
            else []
        )

    def margins(self, form: FloatArray) -> list[FloatArray]:
        """Return the margins at each point of the lines through one form of `x`."""
        found = []
        for (fitted, _), limits in zip(self._folds, self._limits, strict=True):
            for (n, total, *_), (least, most) in zip(fitted, limits, strict=True):
                m = _fit(form, n, total, self._link)
                # Predictions of a regression stay within the labels seen, as those of a model do.
                if self._link is IDENTITY:
                    m = np.clip(m, least, most)
                elif self._link is LOG:
                    m = np.minimum(m, np.log(max(most, 1e-12)))
                found.append(m)
        return found

    def gain(self, new: list[FloatArray], old: list[FloatArray]) -> tuple[float, float]:
        """Return by how much the loss of `new` is below that of `old`, and the standard error."""
        total, square = 0.0, 0.0
        judged = [moments for _, judged in self._folds for moments in judged]
        for m_new, m_old, (n, y, nn, ny, yy) in zip(new, old, judged, strict=True):
            constant = self._link.b(m_old) - self._link.b(m_new)
            slope = m_old - m_new
            total += float((n * constant - slope * y).sum())
            square += float((nn * constant**2 - 2 * constant * slope * ny + slope**2 * yy).sum())
        return total, float(np.sqrt(max(0.0, square - total**2 / max(1, self.n_rows))))


_Moments: TypeAlias = tuple[FloatArray, Any, FloatArray, Any, Any]
"""At each point: the number of rows, the sum of labels, and sums of the squares of both and of
their products. A row counts by its exposure, and its label times that."""


def _moments(
    point: IntArray,
    y: FloatArray,
    exposure: FloatArray | None,
    rows: NDArray[np.bool_],
    n_points: int,
) -> list[_Moments]:
    at, found = point[rows], list[_Moments]()
    n = np.bincount(at, minlength=n_points).astype(np.float64)
    for one in y:
        labels = one[rows]
        if exposure is None:
            total = np.bincount(at, labels, n_points)
            found.append((n, total, n, total, np.bincount(at, labels**2, n_points)))
            continue
        own = exposure[rows]
        terms = (own, own * labels, own**2, own**2 * labels, (own * labels) ** 2)
        sums: list[Any] = [np.bincount(at, term, n_points) for term in terms]
        found.append((sums[0], sums[1], sums[2], sums[3], sums[4]))
    return found


def _points(x: FloatArray) -> IntArray:
    """Return the number of each row's point, in the order of the values: fine in the tails."""
    n = len(x)
    ordered = np.sort(x)
    tail = [_OUTERMOST]
    while tail[-1] < n // _BODY:
        tail.append(int(tail[-1] * _GROWTH) + 1)
    outer = np.array([*range(1, _OUTERMOST), *tail])
    ranks = np.concatenate([outer, np.linspace(0, n - 1, _BODY).astype(int), n - outer])
    edges = np.unique(ordered[ranks[(ranks > 0) & (ranks < n)]]) if n else ordered
    _, point = np.unique(np.searchsorted(edges, x, side="right"), return_inverse=True)
    return point.astype(np.int64)


def _fit(x: FloatArray, n: FloatArray, total: FloatArray, link: Link) -> FloatArray:
    """Return the margins at each point of the best line, with a penalty of one row on its slope."""
    rows = max(1.0, float(n.sum()))
    unit = float(np.abs(x).max(initial=0)) or 1.0
    x = x / unit
    center = float(n @ x) / rows
    z = (x - center) / (float(np.sqrt(n @ (x - center) ** 2 / rows)) or 1.0)
    line = np.array([link.margin(float(total.sum()) / rows), 0.0])
    loss, m = _loss(line, z, n, total, link)
    for _ in range(_STEPS):
        missing, weight = total - n * link.mean(m), n * link.variance(m)
        gradient = np.array([missing.sum(), z @ missing - line[1]])
        cross = float(z @ weight)
        hessian = np.array([[weight.sum() + 1e-9, cross], [cross, weight @ z**2 + 1]])
        step = np.linalg.solve(hessian, gradient)
        for _ in range(_HALVINGS):
            new_loss, new_m = _loss(line + step, z, n, total, link)
            if new_loss <= loss:
                break
            step = step / 2
        else:
            break
        decrease, loss, m, line = loss - new_loss, new_loss, new_m, line + step
        if decrease <= 1e-9 * rows:
            break
    return m


def _loss(
    line: FloatArray, z: FloatArray, n: FloatArray, total: FloatArray, link: Link
) -> tuple[float, FloatArray]:
    m = line[0] + line[1] * z
    if link is not IDENTITY:
        m = np.clip(m, -_LARGEST_MARGIN, _LARGEST_MARGIN)
    return float((n * link.b(m) - total * m).sum() + line[1] ** 2 / 2), m
