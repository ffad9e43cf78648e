"""Predictions with their labels for each loss, and their accumulation in parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from onepass.learn.metrics import Metrics, make_metrics

N_ROWS = 3000
CLASSES = ("a", "b", "c", "never")
QUANTILES = (0.1, 0.5, 0.9)

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "squared": ("squared", {"label_center": 5.0}),
    "huber": ("huber", {"label_center": 5.0, "delta": 0.7}),
    "quantile": ("quantile", {"label_center": 5.0, "quantiles": (0.8,)}),
    "quantiles": ("quantile", {"label_center": 5.0, "quantiles": QUANTILES}),
    "poisson": ("poisson", {}),
    "gamma": ("gamma", {}),
    "logistic": ("logistic", {}),
    "hinge": ("hinge", {}),
    "tweedie": ("tweedie", {"power": 1.4}),
    "negative_binomial": ("negative_binomial", {"overdispersion": 0.7}),
    "inverse_gaussian": ("inverse_gaussian", {}),
    "softmax": ("softmax", {"classes": CLASSES}),
}
CASES = tuple(SETTINGS)


def rows(case: str, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return predictions, labels and weights of `N_ROWS` random rows."""
    rng = np.random.default_rng(seed)
    z, weight = rng.normal(size=N_ROWS) * 2, rng.uniform(0, 3, N_ROWS)
    match case:
        case "logistic" | "hinge":
            p = 1 / (1 + np.exp(-z))
            return (p if case == "logistic" else z), (rng.random(N_ROWS) < p).astype(float), weight
        case "poisson":
            return np.exp(z / 2), rng.poisson(np.exp(z / 2)).astype(float), weight
        case "gamma":
            return np.exp(z / 2), rng.gamma(2, np.exp(z / 2) / 2) + 1e-3, weight
        case "tweedie":
            return np.exp(z / 2), rng.poisson(1.0, N_ROWS) * rng.gamma(2, np.exp(z / 2) / 2), weight
        case "negative_binomial":
            mean = np.exp(z / 2)
            return mean, rng.poisson(mean * rng.gamma(2, 0.5, N_ROWS)).astype(float), weight
        case "inverse_gaussian":
            return np.exp(z / 2), rng.wald(np.exp(z / 2), 2.0), weight
        case "softmax":
            odds = np.exp(rng.normal(size=(N_ROWS, 4)) * 2) * [1, 1, 1, 1e-9]
            p = odds / odds.sum(axis=1, keepdims=True)
            label = (p.cumsum(axis=1) > rng.random(N_ROWS)[:, None]).argmax(axis=1)
            return p, label.astype(float), weight
        case "quantiles":
            return z[:, None] + [-1.0, 0.0, 1.5], z + rng.normal(size=N_ROWS), weight
        case _:
            return z, z + rng.normal(size=N_ROWS) + 5, weight


def accumulated(case: str, prediction, label, weight, edges=(), *, order: int = 1) -> Metrics:
    """Return metrics of rows, added in parts cut at `edges` and merged.

    Parameters
    ----------
    order
        1 to merge forwards, -1 to merge backwards.
    """
    loss, settings = SETTINGS[case]
    total = make_metrics(loss, **settings)
    pieces = [np.split(a, edges) for a in (prediction, label, weight)]
    for part in list(zip(*pieces, strict=True))[::order]:
        one = make_metrics(loss, **settings)
        one.add(*part)
        total.merge(one)
    return total
