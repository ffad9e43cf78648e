"""Covariance of weights on raw features, and the margin variance it implies."""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray, RealArray
from onepass.learn.scaling import Standardiser


def on_features(covariance: FloatArray, scaling: Standardiser, n_outputs: int) -> FloatArray:
    """Return the covariance of weights on raw features, given that on standardised features.

    Parameters
    ----------
    covariance
        Shape (n_outputs * (n_features + 1),) squared, output by output, intercepts last.

    Returns
    -------
    The same shape; NaN for features that never varied.
    """
    to_raw = np.diag(np.append(1 / scaling.scale, 1.0))
    to_raw[-1, :-1] = -scaling.center / scaling.scale
    to_raw = np.kron(np.eye(n_outputs), to_raw)
    found = to_raw @ covariance @ to_raw.T
    constant = np.tile(np.append(~scaling.varies(), False), n_outputs)
    found[constant] = found[:, constant] = np.nan
    return np.asarray(found)


def variance_of_margins(
    covariance: FloatArray, x: RealArray, n_outputs: int, *, of_classes: bool
) -> FloatArray:
    """Return the variance of each margin of rows, shape (n_rows, n_outputs).

    Parameters
    ----------
    covariance
        Covariance of weights on standardised features, shape as in `on_features`.
    x
        Standardised features with a last column of ones, shape (n_rows, n_features + 1).
    of_classes
        Whether the margins are those of softmax. Only their differences matter.
    """
    width = x.shape[1]
    covariance = covariance.reshape(n_outputs, width, n_outputs, width)
    if of_classes:
        # No row determines the mean over classes, and no probability depends on it.
        covariance = covariance - covariance.mean(axis=0, keepdims=True)
        covariance = covariance - covariance.mean(axis=2, keepdims=True)
    variance = np.empty((len(x), n_outputs))
    for k in range(n_outputs):
        variance[:, k] = np.einsum("ij,ij->i", x @ covariance[k, :, k], x)
    return variance
