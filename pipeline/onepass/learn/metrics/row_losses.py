"""The loss of each row, whose weighted mean is the loss of `Metrics`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onepass.block import FloatArray

_LEAST_MEAN = 1e-100
_TINY = 1e-15


def row_losses(
    loss: str,
    prediction: FloatArray,
    label: FloatArray,
    *,
    delta: float = 1.0,
    quantiles: Sequence[float] = (0.5,),
) -> FloatArray:
    """Return the loss of each row, shape (n_rows,).

    Parameters
    ----------
    loss
        Name of the loss.
    prediction, label
        As for `Metrics.add`.
    delta, quantiles
        As for `make_metrics`.

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    match loss:
        case "squared":
            return np.asarray((prediction - label) ** 2)
        case "huber":
            size = np.abs(prediction - label)
            return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))
        case "quantile":
            residual = label[:, None] - prediction.reshape(len(label), -1)
            q = np.asarray(quantiles)
            return np.asarray(np.maximum(q * residual, (q - 1) * residual).mean(axis=1))
        case "poisson":
            p = np.maximum(prediction, _LEAST_MEAN)
            ratio = np.where(label > 0, label, 1.0) / np.where(label > 0, p, 1.0)
            return np.asarray(2 * (label * np.log(ratio) - (label - p)))
        case "gamma":
            p = np.maximum(prediction, _LEAST_MEAN)
            return np.asarray(2 * (np.log(p / label) + (label - p) / p))
        case "logistic":
            of_label = np.where(label > 0.5, prediction, 1 - prediction)
            return np.asarray(-np.log(np.clip(of_label, _TINY, 1.0)))
        case "hinge":
            margin = np.where(label > 0.5, prediction, -prediction)
            return np.asarray(np.maximum(0.0, 1 - margin))
        case "softmax":
            of_label = prediction[np.arange(len(label)), label.astype(np.int64)]
            return np.asarray(-np.log(np.clip(of_label, _TINY, 1.0)))
    raise ValueError(f"expected the name of a loss, found {loss!r}")
