"""Losses by name, over arrays of margins: sums, derivatives, predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray
from onepass.learn.cumulative import probabilities
from onepass.learn.loss_loops import (
    derive,
    derive_logistic,
    expand_softmax,
    logistic_means,
    probit_means,
    total_loss,
)
from onepass.learn.pointwise import (
    CLOGLOG,
    GAMMA,
    HINGE,
    HUBER,
    INVERSE_GAUSSIAN,
    LOGISTIC,
    NEGATIVE_BINOMIAL,
    ORDINAL,
    POISSON,
    PROBIT,
    QUANTILE,
    SOFTMAX,
    SQUARED,
    TWEEDIE,
)
from onepass.special import gammaln

_CODES = {
    "squared": SQUARED,
    "logistic": LOGISTIC,
    "huber": HUBER,
    "quantile": QUANTILE,
    "poisson": POISSON,
    "gamma": GAMMA,
    "hinge": HINGE,
    "softmax": SOFTMAX,
    "ordinal": ORDINAL,
    "tweedie": TWEEDIE,
    "negative_binomial": NEGATIVE_BINOMIAL,
    "inverse_gaussian": INVERSE_GAUSSIAN,
    "probit": PROBIT,
    "cloglog": CLOGLOG,
}

LOG_LINK = frozenset({"poisson", "gamma", "tweedie", "negative_binomial", "inverse_gaussian"})
"""Losses with a logarithmic link, whose labels are neither centred nor scaled."""

REGRESSION = LOG_LINK | {"squared", "huber", "quantile"}
"""Losses whose labels and predictions are numbers, not classes."""

SEVERAL = frozenset({"softmax", "ordinal"})
"""Losses that predict a probability for each of several classes."""

PROBABILITY = frozenset({"logistic", "probit", "cloglog"})
"""Losses whose prediction is the probability of the positive one of two classes."""

VARIANCE_POWERS = {"poisson": 1.0, "gamma": 2.0, "inverse_gaussian": 3.0}
"""Powers of the mean to which the variance is proportional, by loss; tweedie is given its own."""

_LINKS = {"probit": "probit", "cloglog": "cloglog"} | dict.fromkeys(
    ("logistic", "softmax", "ordinal"), "logit"
)


def link_of(loss: str) -> str:
    """Return the name of the link of a loss: identity where the margin is the prediction."""
    return "log" if loss in LOG_LINK else _LINKS.get(loss, "identity")


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss, by its name.

    Examples
    --------
    >>> logistic = Loss("logistic")
    >>> round(logistic.total(np.zeros(1), np.ones(1), np.ones(1)), 4)
    0.6931
    """

    name: str
    shape: float = 0.0
    """The residual at which huber turns linear; the quantile of quantile loss; the power of
    tweedie; the overdispersion of negative binomial."""
    n_classes: int = 0
    """Number of classes of softmax and ordinal; 0 for other losses."""
    steepness: float = 1.0
    """Usual second derivative at the margin where learning starts, in whose unit steps are judged.
    It is 1 for losses that have no unit; that of tweedie and inverse gaussian depends on the
    label's unit."""
    dispersion: float = 1.0
    """Dispersion of the labels about a constant prediction, from which its estimate starts."""

    @property
    def code(self) -> int:
        """Code of the loss in `pointwise`."""
        return _CODES[self.name]

    @property
    def n_outputs(self) -> int:
        """Number of margins of a row."""
        match self.name:
            case "softmax":
                return self.n_classes
            case "ordinal":
                return self.n_classes - 1
            case _:
                return 1

    @property
    def is_ordered(self) -> bool:
        """Whether its classes are ordered, with thresholds between them."""
        return self.code == ORDINAL

    @property
    def is_kinked(self) -> bool:
        """Whether the loss has a kink, so that its curvature is that of the rounded loss."""
        return self.code in (QUANTILE, HINGE)

    @property
    def has_unit_dispersion(self) -> bool:
        """Whether it is a negative log likelihood without a scale parameter."""
        return self.name in PROBABILITY | SEVERAL | {"poisson", "negative_binomial"}

    @property
    def unit(self) -> float:
        """Size of the loss that counts as 1 in thresholds and in the start-up prior."""
        return self.steepness * min(1.0, self.dispersion / self.steepness)

    def tune(self, shape: float) -> None:
        """Change the shape, for every part of a learner that shares this loss."""
        object.__setattr__(self, "shape", shape)

    def expand(
        self,
        z: FloatArray,
        y: FloatArray,
        weight: FloatArray,
        *,
        width: float = 0.0,
        majorise: bool = False,
    ) -> tuple[float, FloatArray, FloatArray]:
        """Return the weighted sum of the loss, and weighted derivatives, shape (n_rows,) each.

        Parameters
        ----------
        width
            Width over which a kink is rounded.
        majorise
            Whether the second derivative is replaced by `majoriser`.
        """
        g, c = self.derivatives(z, y, weight, width=width, majorise=majorise)
        return self.total(z, y, weight, width=width), g, c

    def derivatives(
        self,
        z: FloatArray,
        y: FloatArray,
        weight: FloatArray,
        *,
        width: float = 0.0,
        majorise: bool = False,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives of `expand`."""
        g, c = np.empty(len(z)), np.empty(len(z))
        if self.code == LOGISTIC and not majorise:
            derive_logistic(z, y, weight, g, c)
        else:
            derive(self.code, self.shape, width, majorise, z, y, weight, g, c)
        return g, c

    def expand_softmax(
        self, z: FloatArray, y: FloatArray, weight: FloatArray
    ) -> tuple[float, FloatArray, FloatArray]:
        """Return the weighted sum of the loss, its gradient, and the probabilities.

        Both arrays have shape (n_rows, n_classes); the gradient is weighted.
        """
        g, p = np.empty_like(z), np.empty_like(z)
        return float(expand_softmax(z, y, weight, g, p)), g, p

    def total(
        self, z: FloatArray, y: FloatArray, weight: FloatArray, *, width: float = 0.0
    ) -> float:
        """Return the weighted sum of the loss.

        Parameters
        ----------
        z
            Shape (n_rows,), or (n_rows, n_outputs) for several classes.
        width
            Width over which a kink is rounded.
        """
        if self.is_ordered:
            of_label = probabilities(z)[np.arange(len(z)), y.astype(np.int64)]
            return float(-weight @ np.log(np.maximum(of_label, 1e-300)))
        if self.code == SOFTMAX:
            return self.expand_softmax(z, y, weight)[0]
        return float(total_loss(self.code, self.shape, width, z, y, weight))

    def normaliser(self, y: FloatArray, weight: FloatArray) -> float:
        """Return what makes sums of the loss comparable between shapes; 0 if each has its own unit.

        For negative binomial it is the part of the negative log likelihood that depends on the
        overdispersion and the labels alone.
        """
        if self.code != NEGATIVE_BINOMIAL:
            return 0.0
        r = 1 / self.shape
        terms = gammaln(r) - gammaln(y + r) + y * np.log(r)
        return float(weight @ terms)

    def mean(self, z: FloatArray) -> FloatArray:
        """Return the predictions of margins: probabilities, positive means, or the margins.

        Margins of several classes, shape (n_rows, n_outputs), give the probabilities of each.
        """
        if self.code == LOGISTIC:
            return logistic_means(z)
        if self.is_ordered:
            return probabilities(z)
        if self.code == PROBIT:
            return probit_means(z)
        if self.code == CLOGLOG:
            return np.asarray(-np.expm1(-np.exp(np.minimum(z, 700.0))))
        if self.name in LOG_LINK:
            # exp(z) overflows a little above 700.
            return np.exp(np.minimum(z, 700.0))
        if self.code == SOFTMAX:
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return np.asarray(e / e.sum(axis=1, keepdims=True))
        return z


LOSSES = tuple(_CODES)
"""Names of all losses."""
