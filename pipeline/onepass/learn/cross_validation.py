"""Cross-validation from the quadratic models of folds: each fold by the weights of the others.

The weights without a fold are the minimum of the sum of the other folds' quadratics and the ridge
penalty. The loss of the fold at these weights is that of its own quadratic. For squared loss both
are exact: they are what fits without the fold would give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray
from onepass.learn.curvature import solve
from onepass.learn.folds import Folds
from onepass.learn.losses import LOG_LINK

_VARIES = 1e-10
"""Least share of its mean square that is variance in a feature which varies; less is rounding."""


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Loss of rows by weights that were fitted without their fold, as `evaluate` counts it.

    Unlike there, no prediction is clipped to the range of labels.
    """

    l2: float
    """Ridge penalty of these weights."""
    loss: float
    """Mean loss of all rows, by their weights."""
    standard_error: float
    """Standard deviation of the mean losses of the folds, over the root of their number.

    Fits without one fold share most rows, so it is an approximation (Y. Bengio, Y. Grandvalet,
    JMLR 5, 2004, sec. 3).
    """
    constant_loss: float
    """The same for a model of an intercept alone."""
    fold_losses: list[float]
    """Mean loss of each fold that has rows."""
    chosen: bool = True
    """Whether these are the weights of the model, if it has several candidates."""


def cross_validate(folds: Folds, l2: float, scale: float) -> CrossValidation | None:
    """Return the loss of each fold by the weights that the others give.

    Parameters
    ----------
    folds
        Sums over all rows; see `Folds.expanded`.
    l2
        Ridge penalty per row, on features whose variance is 1 without the fold.
    scale
        Unit of the scaled label, in that of the label.

    Returns
    -------
    None if fewer than two folds have rows.
    """
    used = np.flatnonzero(folds.weight > 0)
    if len(used) < 2:
        return None
    losses, constants = np.empty(len(used)), np.empty(len(used))
    for i, k in enumerate(used):
        others = used[used != k]
        w = _weights(folds, others, l2)
        value = 0.5 * (w @ folds.h[k] @ w) - folds.b[k] @ w + folds.value[k]
        losses[i] = (value - folds.least[k]) / folds.weight[k]
        bend, pull, _ = folds.constant[others].sum(axis=0)
        c, (own, slope, at_zero) = pull / max(bend, 1e-300), folds.constant[k]
        value = 0.5 * own * c * c - slope * c + at_zero
        constants[i] = (value - folds.least[k]) / folds.weight[k]
    unit, share = _unit(folds.loss.name, scale), folds.weight[used] / folds.weight.sum()
    losses, constants = unit * losses, unit * constants
    return CrossValidation(
        l2=l2,
        loss=float(share @ losses),
        standard_error=float(losses.std(ddof=1) / np.sqrt(len(used))),
        constant_loss=float(share @ constants),
        fold_losses=[float(one) for one in losses],
    )


def _weights(folds: Folds, others: FloatArray, l2: float) -> FloatArray:
    """Return the weights that some folds give, 0 for features that do not vary in them."""
    total = folds.weight[others].sum()
    square = folds.second[others].sum(axis=0) / total
    variance = square - np.square(folds.first[others].sum(axis=0) / total)
    varies = np.append(variance > _VARIES * square, True)
    a = folds.h[others].sum(axis=0) + np.diag(np.append(l2 * total * variance, 0.0))
    w = np.zeros(len(a))
    w[varies] = solve(a[np.ix_(varies, varies)], folds.b[others].sum(axis=0)[varies])
    return w


def _unit(loss: str, scale: float) -> float:
    """Return the factor that makes the loss of scaled labels that of `evaluate`."""
    if loss == "squared":
        return 2 * scale**2
    if loss in LOG_LINK:
        # Deviance is twice the loss, from that of a model that predicts each label.
        return 2.0
    return scale**2 if loss == "huber" else 1.0
