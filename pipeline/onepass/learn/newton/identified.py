"""Weights that the rows determine: without aliased features, and with their covariance.

A feature is aliased if it is a linear combination of features before it, up to rounding. Then only
sums of weights are determined, and the rows leave their shares to rounding. As R's `lm` does, the
feature is taken out, and the others take over its part of the margin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.learn.curvature import ALIASED, Curvature
from onepass.learn.losses import Loss
from onepass.learn.newton.fit import fit_of, n_determined, small_sample
from onepass.learn.newton.past import Past
from onepass.learn.newton.uncertainty import on_features
from onepass.learn.pointwise import HINGE, SOFTMAX, SQUARED
from onepass.learn.scaling import Standardiser
from onepass.learn.updater import Identified


def identified(
    loss: Loss,
    past: Past,
    w: FloatArray,
    scaling: Standardiser,
    penalty: FloatArray,
    repeats: float,
    *,
    is_penalised: bool = False,
) -> Identified | None:
    """Return the weights that the rows determine, on raw features; None for hinge.

    Parameters
    ----------
    w
        Weights on standardised features, shape (n_outputs, n_dense + 1).
    penalty
        Coefficient of ``w^2 / 2`` of each weight, flat.
    repeats
        How often each row was learnt, on average. A row gives its information once.
    is_penalised
        Whether a ridge penalty holds the weights back.
    """
    if loss.code == HINGE:
        return None
    n_outputs, width = w.shape
    bend, varies = past.h + np.diag(penalty), scaling.varies()
    aliased = _aliased(bend, n_outputs, varies)
    # A feature that never varied has no curvature but rounding.
    kept = np.flatnonzero(np.append(varies & ~aliased, True))
    own = np.concatenate([k * width + kept for k in range(n_outputs)])
    curvature = Curvature(bend[np.ix_(own, own)], least=ALIASED)
    n_rows = _known(past, scaling) / repeats
    freedom = max(1.0, n_rows - curvature.rank)
    scale = _dispersion(loss, past, w[0], freedom, repeats)
    inverse, places = curvature.inverse(), np.ix_(own, own)

    def on_raw(known: FloatArray) -> FloatArray:
        spread = np.zeros((w.size, w.size))
        spread[places] = known
        if loss.code == SOFTMAX:
            spread = _of_contrasts(spread, n_outputs)
        found = on_features(spread, scaling, n_outputs)
        unknown = np.tile(np.append(aliased, False), n_outputs)
        found[unknown] = found[:, unknown] = np.nan
        return found

    n_parameters = n_determined(inverse, past.h[places], is_penalised=is_penalised)
    robust = None
    if past.scores is not None:
        meat = past.scores.products(w.ravel())[places]
        factor = small_sample(past.scores.n_clusters, n_rows, n_parameters, repeats)
        robust = on_raw(factor * inverse @ meat @ inverse)
    return Identified(
        weights=scaling.raw_weights(_without(past.h, w, aliased, kept)),
        covariance=on_raw(repeats * scale * inverse),
        aliased=aliased,
        freedom=freedom,
        mass=scaling.mean * float(past.weight) / repeats,
        deviation=scaling.scale.copy(),
        information=_information(past.h, scaling, n_outputs) / repeats,
        robust=robust,
        clusters=None if past.scores is None else past.scores.n_clusters,
        fit=fit_of(loss, past, w, repeats, n_rows=n_rows, n_parameters=n_parameters),
    )


def _aliased(a: FloatArray, n_outputs: int, varies: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which features are combinations of features before them, by Cholesky's method.

    The curvatures of the classes are summed: each is that of the same features, and those of
    softmax together are singular in any case.
    """
    rest = _summed(a, n_outputs)
    scale = np.sqrt(np.maximum(np.diag(rest), 1e-300))
    rest = rest / np.outer(scale, scale)
    found = np.zeros(len(varies), np.bool_)
    for j in (len(varies), *np.flatnonzero(varies)):
        if rest[j, j] > ALIASED:
            rest -= np.outer(rest[:, j], rest[j]) / rest[j, j]
        elif j < len(varies):
            found[j] = True
    return found


def _without(
    h: FloatArray, w: FloatArray, aliased: NDArray[np.bool_], kept: NDArray[np.intp]
) -> FloatArray:
    """Return weights of the same margins in which aliased features have none.

    Parameters
    ----------
    kept
        Features, with the intercept, of which the aliased ones are combinations.
    """
    out = np.flatnonzero(aliased)
    if not len(out):
        return w
    summed = _summed(h, len(w))
    curvature = Curvature(summed[np.ix_(kept, kept)], least=ALIASED)
    shares = np.array([curvature.solve(column) for column in summed[np.ix_(out, kept)]])
    moved = w.copy()
    moved[:, out] = 0.0
    moved[:, kept] += w[:, out] @ shares
    return moved


def _of_contrasts(covariance: FloatArray, n_outputs: int) -> FloatArray:
    """Return the covariance of weights less their mean over classes, which no row determines."""
    width = len(covariance) // n_outputs
    found = covariance.reshape(n_outputs, width, n_outputs, width)
    found = found - found.mean(axis=0, keepdims=True)
    found = found - found.mean(axis=2, keepdims=True)
    return np.asarray(found.reshape(covariance.shape))


def _summed(a: FloatArray, n_outputs: int) -> FloatArray:
    width = len(a) // n_outputs
    return np.asarray(np.einsum("kikj->ij", a.reshape(n_outputs, width, n_outputs, width)))


def _known(past: Past, scaling: Standardiser) -> float:
    """Return the number of rows in the past; rows that have faded count less."""
    share = past.share_left(float(scaling.weight))
    return int(scaling.n_rows) * (share if share < 1 - 1e-9 else 1.0)


def _dispersion(loss: Loss, past: Past, w: FloatArray, freedom: float, repeats: float) -> float:
    """Return the factor by which the inverse curvature is the covariance of the weights.

    Where it is estimated, it falls as the weights of the rows rise, so that the covariance does not
    depend on their unit.
    """
    found = past.dispersion(loss, w, freedom)
    if loss.has_unit_dispersion:
        return found
    if loss.code == SQUARED:
        return found / repeats
    return found * float(past.weight) / repeats / freedom


def _information(h: FloatArray, scaling: Standardiser, n_outputs: int) -> FloatArray:
    """Return the curvature of each weight on raw features, shape (n_outputs, n_dense + 1)."""
    width = len(h) // n_outputs
    blocks = h.reshape(n_outputs, width, n_outputs, width)
    found = np.empty((n_outputs, width))
    for k in range(n_outputs):
        own, center, scale = blocks[k, :, k], scaling.center, scaling.scale
        found[k, -1] = own[-1, -1]
        cross = 2 * center * scale * own[:-1, -1]
        found[k, :-1] = scale**2 * np.diag(own)[:-1] + cross + center**2 * own[-1, -1]
    return np.maximum(found, 0.0)
