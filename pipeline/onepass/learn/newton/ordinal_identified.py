"""Weights and thresholds of ordered classes that the rows determine, with their covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.learn.curvature import ALIASED, Curvature
from onepass.learn.newton.past import Past
from onepass.learn.scaling import Standardiser
from onepass.learn.updater import Identified


def identified(
    past: Past, u: FloatArray, scaling: Standardiser, penalty: FloatArray, repeats: float
) -> Identified:
    """Return the weights that the rows determine, and the thresholds, on raw features.

    Parameters
    ----------
    u
        Weights on standardised features, then thresholds.
    penalty
        Coefficient of ``u^2 / 2`` of each, flat.
    repeats
        How often each row was learnt, on average. A row gives its information once.
    """
    n, varies = len(scaling.mean), scaling.varies()
    bend = past.h + np.diag(penalty)
    aliased = _aliased(bend, n, varies)
    kept = np.append(varies & ~aliased, np.ones(len(u) - n, np.bool_))
    own, out = np.flatnonzero(kept), np.flatnonzero(aliased)
    curvature = Curvature(bend[np.ix_(own, own)], least=ALIASED)
    moved = u.copy()
    if len(out):
        whole = Curvature(past.h[np.ix_(own, own)], least=ALIASED)
        moved[own] += sum(u[j] * whole.solve(past.h[own, j]) for j in out)
        moved[out] = 0.0
    spread = np.zeros((len(u), len(u)))
    spread[np.ix_(own, own)] = repeats * curvature.inverse()
    to_raw = np.diag(np.append(1 / scaling.scale, np.ones(len(u) - n)))
    to_raw[n:, :n] = scaling.center / scaling.scale
    covariance = to_raw @ spread @ to_raw.T
    covariance[~kept] = covariance[:, ~kept] = np.nan
    share = past.share_left(float(scaling.weight))
    return Identified(
        weights=(to_raw @ moved)[None, :],
        covariance=covariance,
        aliased=aliased,
        freedom=max(1.0, int(scaling.n_rows) * share / repeats - curvature.rank),
        mass=scaling.mean * float(past.weight) / repeats,
        deviation=scaling.scale.copy(),
        information=_information(past.h, scaling, len(u))[None, :] / repeats,
        n_thresholds=len(u) - n,
    )


def _aliased(bend: FloatArray, n: int, varies: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which features are combinations of thresholds and of features before them."""
    scale = np.sqrt(np.maximum(np.diag(bend), 1e-300))
    rest = bend / np.outer(scale, scale)
    found = np.zeros(n, np.bool_)
    for j in (*range(n, len(bend)), *np.flatnonzero(varies)):
        if rest[j, j] > ALIASED:
            rest = rest - np.outer(rest[:, j], rest[j]) / rest[j, j]
        elif j < n:
            found[j] = True
    return found


def _information(h: FloatArray, scaling: Standardiser, n_parameters: int) -> FloatArray:
    """Return the curvature of each weight on raw features, and of each threshold."""
    n = len(scaling.mean)
    # The margin moves by the feature's distance from 0, not from its mean: the thresholds stay.
    back = np.eye(n_parameters)
    back[:n, :n] = np.diag(scaling.scale)
    back[n:, :n] = -scaling.center
    return np.asarray(np.maximum(np.einsum("ij,ik,kj->j", back, h, back), 0.0))
