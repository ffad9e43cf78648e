"""Weights and thresholds of ordered classes that the rows determine, with their covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.learn.curvature import ALIASED, Curvature
from onepass.learn.losses import Loss
from onepass.learn.newton.fit import fit_of, n_determined, small_sample
from onepass.learn.newton.past import Past
from onepass.learn.scaling import Standardiser
from onepass.learn.updater import Identified


def identified(
    loss: Loss,
    past: Past,
    u: FloatArray,
    scaling: Standardiser,
    penalty: FloatArray,
    repeats: float,
    *,
    is_penalised: bool,
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
    is_penalised
        Whether a ridge penalty holds the weights back.
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
    to_raw = np.diag(np.append(1 / scaling.scale, np.ones(len(u) - n)))
    to_raw[n:, :n] = scaling.center / scaling.scale

    def on_raw(known: FloatArray) -> FloatArray:
        spread = np.zeros((len(u), len(u)))
        spread[np.ix_(own, own)] = known
        found = to_raw @ spread @ to_raw.T
        found[~kept] = found[:, ~kept] = np.nan
        return np.asarray(found)

    n_rows = int(scaling.n_rows) * past.share_left(float(scaling.weight)) / repeats
    inverse, places = curvature.inverse(), np.ix_(own, own)
    n_parameters = n_determined(inverse, past.h[places], is_penalised=is_penalised)
    robust = None
    if past.scores is not None:
        factor = small_sample(past.scores.n_clusters, n_rows, n_parameters, repeats)
        robust = on_raw(factor * inverse @ past.scores.products(u)[places] @ inverse)
    return Identified(
        weights=(to_raw @ moved)[None, :],
        covariance=on_raw(repeats * inverse),
        aliased=aliased,
        freedom=max(1.0, n_rows - curvature.rank),
        mass=scaling.mean * float(past.weight) / repeats,
        deviation=scaling.scale.copy(),
        information=_information(past.h, scaling, len(u))[None, :] / repeats,
        n_thresholds=len(u) - n,
        robust=robust,
        clusters=None if past.scores is None else past.scores.n_clusters,
        fit=fit_of(loss, past, u, repeats, n_rows=n_rows, n_parameters=n_parameters),
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
