"""How well a model fits the rows that it has learnt: log likelihood, deviance, criteria."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.model.model import Model


@dataclass(frozen=True, slots=True)
class FitStatistics:
    """Statistics of a fit, in the label's unit; None where the solver does not know them."""

    log_likelihood: float | None
    """Log likelihood of the rows, the terms in the label alone included."""
    deviance: float | None
    """Twice the log likelihood of a saturated model less that of this one; for squared loss the sum
    of squared residuals."""
    null_deviance: float | None
    """Deviance of a model of an intercept alone."""
    dispersion: float | None
    """Variance of a label over the variance that the loss gives it; 1 for classes and counts."""
    n_parameters: float | None
    """Number of weights that the rows determine; a penalised weight counts as a part of one."""
    n_rows: float
    """Number of rows; rows that have faded count less."""
    aic: float | None
    """Akaike's information criterion."""
    bic: float | None
    """Bayesian (Schwarz's) information criterion."""


def fit_statistics(model: Model) -> FitStatistics | None:
    """Return the statistics of a model's fit; None for solvers that keep no curvature."""
    known = [head.identified for head in model.weights]
    if len(known) != 1 or known[0] is None:
        return None
    return FitStatistics(None, None, None, None, None, float(model.rows), None, None)
