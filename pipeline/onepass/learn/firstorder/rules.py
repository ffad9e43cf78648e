"""The first-order rules: the step of one weight, as a compiled function with its formula.

A rule receives g, the gradient of the row's weighted loss, penalty included, with respect to the
weight, and the numbers that it keeps of the weight. Unless noted it returns the rate of the step,
whose length is rate times g, and the numbers to keep.
"""

from __future__ import annotations

import math

import numpy as np

from onepass.jit import inlined

SGD, ADAGRAD, NAG, ADAM, FTRL, DOG = range(6)

CODES = {"sgd": SGD, "adagrad": ADAGRAD, "nag": NAG, "adam": ADAM, "ftrl": FTRL, "dog": DOG}

N_NUMBERS = {"sgd": 1, "adagrad": 2, "nag": 3, "adam": 3, "ftrl": 3, "dog": 1}
"""Numbers kept for each dense weight, itself included."""

N_SLOT_NUMBERS = N_NUMBERS | {"nag": 2}
"""Numbers kept for each hashed weight. The mean square of nag is 1 for them, so it is not kept."""

CONSTANT, INVERSE_SCALING, LINEAR = range(3)

SCHEDULES = {"constant": CONSTANT, "inverse_scaling": INVERSE_SCALING, "linear": LINEAR}

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_FTRL_BETA = 1.0
_TINY = np.float32(1e-30)


@inlined
def scheduled(schedule: int, alpha: float, t: float, done: float, planned: float) -> float:
    """Return the rate of the t-th row, t from 1.

    - constant: alpha
    - inverse_scaling: alpha t^-1/4
    - linear: from alpha to 0 over the `planned` rows after the first `done` ones, and from alpha
      again when more rows are planned (A. Defazio et al., "When, why and how much?", 2023). Without
      a plan it is constant.
    """
    if schedule == INVERSE_SCALING:
        return alpha / math.sqrt(math.sqrt(t))
    if schedule == LINEAR and planned > 0.0:
        return alpha * max(0.0, 1.0 - (t - 1.0 - done) / planned)
    return alpha


@inlined
def _over_root(alpha: float, square: float) -> float:
    """Return alpha / sqrt(square), in single precision, where a register holds twice as many.

    If no gradient has been seen yet, the result is large but finite. It is then multiplied by a
    gradient of 0. A comparison with 0 instead would take as long as the root.
    """
    return float(np.float32(alpha) / math.sqrt(np.float32(square) + _TINY))


@inlined
def square_share(own: float, total: float) -> float:
    """Return own / total in single precision; 0 / 0 gives 0."""
    return float(np.float32(own) / (np.float32(total) + _TINY))


@inlined
def adagrad(alpha: float, g: float, total: float) -> tuple[float, float]:
    """total += g^2; rate = alpha / sqrt(total).

    J. Duchi, E. Hazan, Y. Singer, JMLR 12, 2011, fig. 1, diagonal version.
    """
    total += g * g
    return _over_root(alpha, total), total


@inlined
def nag(alpha: float, g: float, total: float, square: float, norm: float) -> tuple[float, float]:
    """total += g^2; rate = alpha / (sqrt(total) rms norm).

    `square` is the mean square of the feature so far and `rms` its root. `norm` is the root mean
    square length of a row whose features are divided by their rms. S. Ross, P. Mineiro, J.
    Langford, "Normalized online learning", UAI 2013, algorithm 2, with the root mean square in
    place of the maximum: a single outlier does not slow its feature down for ever.
    """
    total += g * g
    return _over_root(alpha / norm if norm > 0.0 else 0.0, total * square), total


@inlined
def adam(
    alpha: float, g: float, mean: float, square: float, t: float
) -> tuple[float, float, float]:
    """mean = b1 mean + (1 - b1) g; square = b2 square + (1 - b2) g^2;
    step = alpha mean / (1 - b1^t) / (sqrt(square / (1 - b2^t)) + eps).

    D. Kingma, J. Ba, "Adam", ICLR 2015, algorithm 1. Return the step itself, not its rate.
    """
    mean = _BETA1 * mean + (1.0 - _BETA1) * g
    square = _BETA2 * square + (1.0 - _BETA2) * g * g
    deviation = math.sqrt(square / (1.0 - _BETA2**t)) + _EPSILON
    return alpha * mean / (1.0 - _BETA1**t) / deviation, mean, square


@inlined
def ftrl(
    alpha: float, l1: float, l2: float, g: float, w: float, z: float, n: float
) -> tuple[float, float, float]:
    """z += g - (sqrt(n + g^2) - sqrt(n)) w / alpha; n += g^2;
    w = 0 where abs(z) <= l1, else -(z - sign(z) l1) / ((beta + sqrt(n)) / alpha + l2).

    H. B. McMahan et al., "Ad click prediction", KDD 2013, algorithm 1, beta = 1. Return the
    new weight, not a rate.
    """
    z += g - (math.sqrt(n + g * g) - math.sqrt(n)) / alpha * w
    n += g * g
    if abs(z) <= l1:
        return 0.0, z, n
    return -(z - math.copysign(l1, z)) / ((_FTRL_BETA + math.sqrt(n)) / alpha + l2), z, n


@inlined
def dog(farthest: float, total: float) -> float:
    """rate = max distance from the start so far / sqrt(sum of squared gradient lengths).

    M. Ivgi, O. Hinder, Y. Carmon, "DoG is SGD's best friend", ICML 2023, eq. (DoG). The distance is
    at least 1e-3: from a start of 1e-6 it would grow for most of a short pass.
    """
    return max(farthest, 1e-3) / math.sqrt(total) if total > 0.0 else 0.0
