"""Losses of a margin z and a label y, compiled once and used by every learner.

A loss is known by its number in compiled code, with one shape parameter ``a`` (the residual at
which huber turns linear, the quantile) and a width ``h`` over which the kink of hinge and quantile
is rounded; ``h = 0`` is the loss itself. Each has a value, two derivatives by the margin, and the
inverse link from margin to prediction. Labels of two classes are 0 and 1, those of softmax are
0 to n_classes - 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray
from onepass.jit import compiled, inlined_as_written, reordered

SQUARED = 0
LOGISTIC = 1
HUBER = 2
QUANTILE = 3
POISSON = 4
GAMMA = 5
HINGE = 6
SOFTMAX = 7

_CODES = {
    "squared": SQUARED,
    "logistic": LOGISTIC,
    "huber": HUBER,
    "quantile": QUANTILE,
    "poisson": POISSON,
    "gamma": GAMMA,
    "hinge": HINGE,
    "softmax": SOFTMAX,
}

REGRESSION = frozenset({"squared", "huber", "quantile", "poisson", "gamma"})
"""Losses whose labels and predictions are numbers in a unit."""

COUNTS = frozenset({"poisson", "gamma"})
"""Losses with a logarithmic link, whose labels are neither centred nor scaled."""


@inlined_as_written
def exp_below(x: float) -> float:
    """exp(x) for x <= 0 to 2e-16 of 1 or of itself, in operations that registers do side by side.

    The exponent is split from x by adding a number that leaves no room for its fraction; the rest
    is a Taylor polynomial on half of log 2 to either side (W. Cody, W. Waite, 1980, sec. 6).
    """
    shifted = max(x, -700.0) * 1.4426950408889634 + 6755399441055744.0
    n = shifted - 6755399441055744.0
    r = max(x, -700.0) - n * 0.6931471803691238 - n * 1.9082149292705877e-10
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    power = np.int64((np.float64(shifted).view(np.int64) + np.int64(1023)) << np.int64(52))
    return float(p * power.view(np.float64))


@compiled
def sigmoid(z: float) -> float:
    """1 / (1 + exp(-z)) without overflow."""
    # The same exponential in every function here, so that a loop over all computes it once.
    e = math.exp(-abs(z))
    return (1.0 if z >= 0 else e) / (1.0 + e)


@compiled
def value(loss: int, a: float, h: float, z: float, y: float) -> float:
    """The loss; for squared half the squared error, for likelihoods without constants of y."""
    if loss == SQUARED:
        return 0.5 * (z - y) * (z - y)
    if loss == LOGISTIC:
        return max(z, 0.0) - y * z + math.log1p(math.exp(-abs(z)))
    if loss == HUBER:
        r = abs(z - y)
        return 0.5 * r * r if r <= a else a * (r - 0.5 * a)
    if loss == QUANTILE:
        r = y - z
        if abs(r) >= h:
            return a * r if r >= 0 else (a - 1.0) * r
        return (r * r + h * h) / (4.0 * h) + (a - 0.5) * r
    if loss == POISSON:
        return math.exp(z) - y * z
    if loss == GAMMA:
        return y * math.exp(-z) + z
    u = 1.0 - (2.0 * y - 1.0) * z
    if abs(u) >= h:
        return max(u, 0.0)
    return (u + h) * (u + h) / (4.0 * h)


@compiled
def gradient(loss: int, a: float, h: float, z: float, y: float) -> float:
    """First derivative of `value` with respect to z; at a kink the one from the side of loss."""
    if loss == SQUARED:
        return z - y
    if loss == LOGISTIC:
        return sigmoid(z) - y
    if loss == HUBER:
        return max(-a, min(a, z - y))
    if loss == QUANTILE:
        r = y - z
        if abs(r) >= h:
            return -a if r > 0 else (1.0 - a if r < 0 else 0.0)
        return -r / (2.0 * h) - (a - 0.5)
    if loss == POISSON:
        return math.exp(z) - y
    if loss == GAMMA:
        return 1.0 - y * math.exp(-z)
    side = 2.0 * y - 1.0
    u = 1.0 - side * z
    if abs(u) >= h:
        return -side if u > 0 else 0.0
    return -side * (u + h) / (2.0 * h)


@compiled
def curvature(loss: int, a: float, h: float, z: float, y: float) -> float:
    """Second derivative of `value` with respect to z, 0 at and beyond a kink."""
    if loss == SQUARED:
        return 1.0
    if loss == LOGISTIC:
        e = math.exp(-abs(z))
        return e / (1.0 + e) ** 2
    if loss == HUBER:
        return 1.0 if abs(z - y) <= a else 0.0
    if loss == QUANTILE:
        return 0.5 / h if abs(y - z) < h else 0.0
    if loss == POISSON:
        return math.exp(z)
    if loss == GAMMA:
        return y * math.exp(-z)
    return 0.5 / h if abs(1.0 - (2.0 * y - 1.0) * z) < h else 0.0


@compiled
def majoriser(loss: int, a: float, h: float, z: float, y: float) -> float:
    """Curvature of a parabola that touches the loss at z and lies above it, nowhere 0.

    Exists for the losses of bounded curvature (D. Hunter, K. Lange, "A tutorial on MM algorithms",
    2004, sec. 3; for logistic T. Jaakkola, M. Jordan, 2000, eq. 6); the others give `curvature`.
    """
    if loss == LOGISTIC:
        m = abs(z)
        return 0.25 if m < 1e-3 else math.tanh(0.5 * m) / (2.0 * m)
    if loss == HUBER:
        return min(1.0, a / max(abs(z - y), 1e-300))
    if loss == QUANTILE:
        return 0.5 / max(abs(y - z), h)
    if loss == HINGE:
        return 0.5 / max(abs(1.0 - (2.0 * y - 1.0) * z), h)
    return curvature(loss, a, h, z, y)


@compiled
def softmax(z: FloatArray, p: FloatArray) -> float:
    """Write the probabilities of margins z, shape (n_classes,); return log(sum(exp(z)))."""
    top = z[0]
    for k in range(1, len(z)):
        top = max(top, z[k])
    total = 0.0
    for k in range(len(z)):
        p[k] = math.exp(z[k] - top)
        total += p[k]
    for k in range(len(z)):
        p[k] /= total
    return float(top + math.log(total))


@compiled
def _derive(
    loss: int,
    a: float,
    h: float,
    majorise: bool,
    z: FloatArray,
    y: FloatArray,
    weight: FloatArray,
    g: FloatArray,
    c: FloatArray,
) -> None:
    for i in range(len(z)):
        g[i] = weight[i] * gradient(loss, a, h, z[i], y[i])
        if majorise:
            c[i] = weight[i] * majoriser(loss, a, h, z[i], y[i])
        else:
            c[i] = weight[i] * curvature(loss, a, h, z[i], y[i])


# Fixed order, but several rows at once: no sum is taken here.
@reordered
def _derive_logistic(
    z: FloatArray, y: FloatArray, weight: FloatArray, g: FloatArray, c: FloatArray
) -> None:
    for i in range(len(z)):
        e = exp_below(-abs(z[i]))
        inverse = 1.0 / (1.0 + e)
        g[i] = weight[i] * ((1.0 if z[i] >= 0.0 else e) * inverse - y[i])
        c[i] = weight[i] * e * inverse * inverse


@compiled
def _expand_softmax(
    z: FloatArray, y: FloatArray, weight: FloatArray, g: FloatArray, p: FloatArray
) -> float:
    total = 0.0
    for i in range(len(z)):
        k = int(y[i])
        total += weight[i] * (softmax(z[i], p[i]) - z[i, k])
        for j in range(z.shape[1]):
            g[i, j] = weight[i] * p[i, j]
        g[i, k] -= weight[i]
    return total


@compiled
def _total(
    loss: int, a: float, h: float, z: FloatArray, y: FloatArray, weight: FloatArray
) -> float:
    total = 0.0
    for i in range(len(z)):
        total += weight[i] * value(loss, a, h, z[i], y[i])
    return total


@reordered
def _probabilities(z: FloatArray) -> FloatArray:
    p = np.empty(len(z))
    for i in range(len(z)):
        e = exp_below(-abs(z[i]))
        p[i] = (1.0 if z[i] >= 0.0 else e) / (1.0 + e)
    return p


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss by its name, over arrays of margins.

    Examples
    --------
    >>> logistic = Loss("logistic")
    >>> round(logistic.total(np.zeros(1), np.ones(1), np.ones(1)), 4)
    0.6931
    """

    name: str
    shape: float = 0.0
    """The residual at which huber turns linear; the quantile of quantile loss."""
    n_classes: int = 0
    """Classes of softmax."""

    @property
    def code(self) -> int:
        """The loss's number in compiled code."""
        return _CODES[self.name]

    @property
    def n_outputs(self) -> int:
        """Margins of one row."""
        return self.n_classes if self.name == "softmax" else 1

    @property
    def is_kinked(self) -> bool:
        """Whether the loss has a kink, so that its curvature has to be estimated over a width."""
        return self.code in (QUANTILE, HINGE)

    @property
    def has_unit_dispersion(self) -> bool:
        """Whether it is the negative log likelihood of labels that have no scale of their own."""
        return self.name in {"logistic", "softmax", "poisson"}

    def expand(
        self,
        z: FloatArray,
        y: FloatArray,
        weight: FloatArray,
        *,
        width: float = 0.0,
        majorise: bool = False,
    ) -> tuple[float, FloatArray, FloatArray]:
        """Weighted sum of the loss, and its derivatives by each margin, shape (n_rows,) each.

        Parameters
        ----------
        width
            Over which a kink is rounded.
        majorise
            Whether the second array is of `majoriser` rather than of `curvature`.
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
        """As `expand`, without the sum."""
        g, c = np.empty(len(z)), np.empty(len(z))
        if self.code == LOGISTIC and not majorise:
            _derive_logistic(z, y, weight, g, c)
        else:
            _derive(self.code, self.shape, width, majorise, z, y, weight, g, c)
        return g, c

    def expand_softmax(
        self, z: FloatArray, y: FloatArray, weight: FloatArray
    ) -> tuple[float, FloatArray, FloatArray]:
        """Weighted sum of the loss, its gradient, and the probabilities, (n_rows, n_classes)."""
        g, p = np.empty_like(z), np.empty_like(z)
        return float(_expand_softmax(z, y, weight, g, p)), g, p

    def total(
        self, z: FloatArray, y: FloatArray, weight: FloatArray, *, width: float = 0.0
    ) -> float:
        """Weighted sum of the loss; margins of softmax have shape (n_rows, n_classes)."""
        if self.code == SOFTMAX:
            return self.expand_softmax(z, y, weight)[0]
        return float(_total(self.code, self.shape, width, z, y, weight))

    def mean(self, z: FloatArray) -> FloatArray:
        """The prediction that belongs to a margin: itself, a probability, or a positive mean.

        Margins of softmax, shape (n_rows, n_classes), give probabilities of that shape.
        """
        if self.code == LOGISTIC:
            return _probabilities(z)
        if self.name in COUNTS:
            # Beyond this the mean is no longer a finite number.
            return np.exp(np.minimum(z, 700.0))
        if self.code == SOFTMAX:
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return np.asarray(e / e.sum(axis=1, keepdims=True))
        return z


LOSSES = tuple(_CODES)
"""Names of all losses."""
