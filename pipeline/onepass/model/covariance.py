"""Choose between the covariances of weights, and the distribution that goes with each."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from scipy.special import ndtr, ndtri, stdtr, stdtrit

from onepass.block import FloatArray
from onepass.errors import JobError
from onepass.learn.updater import Identified, Weights

Errors: TypeAlias = Literal["model", "robust"]
"""Covariance by the model's likelihood, or by the scores of the rows or of their clusters."""


def shown_errors(weights: list[Weights], errors: Errors | None) -> Errors | None:
    """Return which errors to show: robust ones if the model keeps them, unless told otherwise.

    Raises
    ------
    JobError
        If there are no robust errors to show.
    """
    known = weights[0].identified
    if errors == "robust" and (known is None or known.robust is None):
        raise JobError(
            "expected robust standard errors, but the model keeps none; train a new model with "
            "--robust or --cluster COLUMN, by newton, or leave --errors out"
        )
    if known is None:
        return None
    return errors or ("model" if known.robust is None else "robust")


def covariance_of(known: Identified, errors: Errors | None) -> FloatArray:
    """Return the covariance of all weights of a head, flat, by the errors that are asked for."""
    robust = known.robust if errors == "robust" else None
    return known.covariance if robust is None else robust


def freedom_of(known: Identified | None, errors: Errors | None, *, is_squared: bool) -> float:
    """Return the degrees of freedom of Student's t; infinity where the normal is used.

    With errors of G clusters they are G - 1 (A. C. Cameron and D. L. Miller, "A Practitioner's
    Guide to Cluster-Robust Inference", Journal of Human Resources 50, 2015, sec. VI).
    """
    if known is None or not is_squared:
        return math.inf
    if errors == "robust" and known.clusters:
        return max(1.0, known.clusters - 1.0)
    return known.freedom


def below(z: float, freedom: float) -> float:
    """Return the probability of a value below `z`; `freedom` is infinite for the normal."""
    return float(ndtr(z) if math.isinf(freedom) else stdtr(freedom, z))


def quantile(share: float, freedom: float) -> float:
    """Return the value that a share of the distribution lies below."""
    return float(ndtri(share) if math.isinf(freedom) else stdtrit(freedom, share))
