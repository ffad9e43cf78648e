"""The weights of each margin of a model, with the covariance that the caller asks for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.errors import JobError
from onepass.learn.updater import Identified, Weights
from onepass.model.covariance import Errors, covariance_of, freedom_of
from onepass.model.model import Model
from onepass.text import shown


@dataclass(frozen=True, slots=True)
class Margin:
    """Weights of one margin."""

    name: str | None
    """Class or quantile; None for a single margin."""
    dense: FloatArray
    """Weights that the rows determine, the intercept last."""
    hashed: FloatArray
    hashed_variance: FloatArray | None
    covariance: FloatArray | None
    """Covariance of `dense`, by the errors that were asked for."""
    by_model: FloatArray | None
    robust: FloatArray | None
    """Covariances of `dense` by the model and by the scores, whichever was asked for."""
    known: Identified | None
    row: int
    """Row of the margin in `known`."""
    freedom: float
    """Degrees of freedom of Student's t; infinity where the normal distribution is used."""

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Whether the rows tell nothing of each weight: aliased, or of a constant feature."""
        if self.covariance is None:
            return np.ones(len(self.dense), np.bool_)
        return np.isnan(np.diag(self.covariance))

    @property
    def aliased(self) -> NDArray[np.bool_]:
        """Whether each weight is 0 because its feature is aliased."""
        if self.known is None:
            return np.zeros(len(self.dense), np.bool_)
        return np.append(self.known.aliased, False)


_UNKNOWN = (None, None, None, None, 0, math.inf)
"""Last fields of a margin of which no covariance is known."""


def margins(model: Model, errors: Errors | None, base: str | None = None) -> list[Margin]:
    """Return the margins of a model.

    Parameters
    ----------
    errors
        Errors to show, as `shown_errors` has found them.
    base
        Class of softmax with which the others are compared; their mean by default.

    Raises
    ------
    JobError
        If `base` is no class of the model.
    """
    heads, job = model.weights, model.file.job
    if job.loss == "softmax":
        classes = model.file.encoder.label.classes or []
        return list(_of_classes(heads[0], classes, errors, base))
    if job.loss == "ordinal":
        return list(_of_thresholds(heads[0], model.file.encoder.label.classes or [], errors))
    several = len(heads) > 1
    names: list[str | None] = [f"{q:g}" for q in job.quantile] if several else [None]
    is_squared = job.loss == "squared"
    return [
        _margin(name, head, errors, is_squared=is_squared)
        for name, head in zip(names, heads, strict=True)
    ]


def _margin(name: str | None, head: Weights, errors: Errors | None, *, is_squared: bool) -> Margin:
    known = head.identified
    if known is None:
        dense = np.append(head.dense, head.intercept)
        return Margin(name, dense, head.hashed, head.hashed_variance, *_UNKNOWN)
    return Margin(
        name,
        known.weights[0],
        head.hashed,
        head.hashed_variance,
        covariance_of(known, errors),
        known.covariance,
        known.robust,
        known,
        0,
        freedom_of(known, errors, is_squared=is_squared),
    )


def _of_classes(
    head: Weights, classes: list[str], errors: Errors | None, base: str | None
) -> Iterator[Margin]:
    if base is not None and base not in classes:
        raise JobError(
            f"--reference: the label has no class {shown(base)}; its classes: {', '.join(classes)}"
        )
    known, at = head.identified, None if base is None else classes.index(base)
    found = np.column_stack([head.dense, np.atleast_1d(head.intercept)])
    dense = found if known is None else known.weights
    found_by = (None, None) if known is None else (known.covariance, known.robust)
    spread = head.hashed_variance
    for k, name in enumerate(classes):
        if k == at:
            continue
        own, hashed, variance = dense[k], head.hashed[:, k], None
        if spread is not None:
            variance = spread[:, k] if at is None else spread[:, k] + spread[:, at]
        if at is not None:
            own, hashed = own - dense[at], hashed - head.hashed[:, at]
        by_model, by_scores = (_of_pair(one, k, at, len(own)) for one in found_by)
        shown_one = by_scores if errors == "robust" else by_model
        yield Margin(
            name, own, hashed, variance, shown_one, by_model, by_scores, known, k, math.inf
        )


def _of_thresholds(head: Weights, classes: list[str], errors: Errors | None) -> Iterator[Margin]:
    """Yield a margin for each threshold between classes; all have the same weights but it.

    The threshold with its sign changed is the intercept: a class above it is the likelier, the
    larger the margin is.
    """
    known = head.identified
    assert known is not None
    n = known.weights.shape[1] - known.n_thresholds
    sign = np.append(np.ones(n), -1.0)
    for k, pair in enumerate(pairwise(classes)):
        own = np.append(np.arange(n), n + k)
        places, signs = np.ix_(own, own), np.outer(sign, sign)
        by_model = known.covariance[places] * signs
        by_scores = None if known.robust is None else known.robust[places] * signs
        yield Margin(
            " | ".join(pair),
            known.weights[0, own] * sign,
            head.hashed,
            None,
            by_scores if errors == "robust" else by_model,
            by_model,
            by_scores,
            known,
            0,
            freedom_of(known, errors, is_squared=False),
        )


def _of_pair(whole: FloatArray | None, k: int, at: int | None, width: int) -> FloatArray | None:
    """Return the covariance of the weights of a class, or of their distance from another's."""
    if whole is None:
        return None
    places = [slice(one * width, (one + 1) * width) for one in (k, k if at is None else at)]
    own, base = places
    if at is None:
        return whole[own, own]
    cross = whole[own, base]
    return np.asarray(whole[own, own] + whole[base, base] - cross - cross.T)
