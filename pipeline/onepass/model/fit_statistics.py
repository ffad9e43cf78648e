"""How well a model fits the rows that it has learnt: log likelihood, deviance, criteria."""

from __future__ import annotations

from dataclasses import replace

from onepass.learn.likelihood import FitStatistics
from onepass.model.model import Model

__all__ = ["FitStatistics", "fit_statistics"]


def fit_statistics(model: Model) -> FitStatistics | None:
    """Return the statistics of a model's fit; None without curvature, or with several quantiles.

    Where rows fade by a half-life, no likelihood is known. Neither is one with hashed columns,
    whose weights predict each row before they learn it.
    """
    known = [head.identified for head in model.weights]
    if len(known) != 1 or known[0] is None or known[0].fit is None:
        return None
    found = known[0].fit
    if model.file.job.half_life is not None:
        return replace(found, log_likelihood=None)
    return found
