"""The first-order rules, each a step of one weight beside its formula.

A rule sees g, the gradient of the row's weighted loss by the weight (with the penalty), and what it
remembers of the weight; it gives back the rate of the step, whose length is rate times g.
"""

from __future__ import annotations

import math

import numpy as np

from onepass.jit import inlined

SGD, ADAGRAD, NAG, ADAM, FTRL, DOG = range(6)

CODES = {"sgd": SGD, "adagrad": ADAGRAD, "nag": NAG, "adam": ADAM, "ftrl": FTRL, "dog": DOG}

N_NUMBERS = {"sgd": 1, "adagrad": 2, "nag": 3, "adam": 3, "ftrl": 3, "dog": 1}
"""Numbers kept of each dense weight, itself included."""

N_SLOT_NUMBERS = N_NUMBERS | {"nag": 2}
"""Numbers kept of each hashed weight; the mean square of nag is 1 there."""

CONSTANT, INVERSE_SCALING, LINEAR = range(3)

SCHEDULES = {"constant": CONSTANT, "inverse_scaling": INVERSE_SCALING, "linear": LINEAR}

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_FTRL_BETA = 1.0
_TINY = np.float32(1e-30)


@inlined
def scheduled(schedule: int, alpha: float, t: float, done: float, planned: float) -> float:
    """Rate of the t-th row, t from 1.

    constant: alpha; inverse_scaling: alpha t^-1/4; linear: from alpha to 0 over the `planned` rows
    after the first `done` ones, and from alpha again when the next rows are planned (A. Defazio et
    al., "When, why and how much?", 2023). Without a plan linear is constant.
    """
    if schedule == INVERSE_SCALING:
        return alpha / math.sqrt(math.sqrt(t))
    if schedule == LINEAR and planned > 0.0:
        return alpha * max(0.0, 1.0 - (t - 1.0 - done) / planned)
    return alpha


@inlined
def _over_root(alpha: float, square: float) -> float:
    """alpha / sqrt(square), in single precision: twice as many fit into a register.

    Where no gradient has been seen yet it is merely large, for there is nothing to multiply by it;
    a comparison with 0 in its place would take as long as the root.
    """
    return float(np.float32(alpha) / math.sqrt(np.float32(square) + _TINY))


@inlined
def square_share(own: float, total: float) -> float:
    """own / total, 0 of 0, in single precision."""
    return float(np.float32(own) / (np.float32(total) + _TINY))


@inlined
def adagrad(alpha: float, g: float, total: float) -> tuple[float, float]:
    """total += g^2; rate = alpha / sqrt(total).

    J. Duchi, E. Hazan, Y. Singer, JMLR 12, 2011, fig. 1, diagonal.
    """
    total += g * g
    return _over_root(alpha, total), total


@inlined
def nag(alpha: float, g: float, total: float, square: float, norm: float) -> tuple[float, float]:
    """total += g^2; rate = alpha / (sqrt(total) rms norm).

    `square` is the mean square of the feature so far, `rms` its root, `norm` that of the row's
    length after each feature has been divided by its own. S. Ross, P. Mineiro, J. Langford,
    "Normalized online learning", UAI 2013, algorithm 2, with the root mean square where they have
    the maximum: a single outlier does not slow its feature down for ever.
    """
    total += g * g
    return _over_root(alpha / norm if norm > 0.0 else 0.0, total * square), total


@inlined
def adam(
    alpha: float, g: float, mean: float, square: float, t: float
) -> tuple[float, float, float]:
    """mean = b1 mean + (1 - b1) g; square = b2 square + (1 - b2) g^2;
    step = alpha mean / (1 - b1^t) / (sqrt(square / (1 - b2^t)) + eps).

    D. Kingma, J. Ba, "Adam", ICLR 2015, algorithm 1. Returns the step itself.
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

    H. B. McMahan et al., "Ad click prediction", KDD 2013, algorithm 1, beta = 1. Returns the
    weight itself.
    """
    z += g - (math.sqrt(n + g * g) - math.sqrt(n)) / alpha * w
    n += g * g
    if abs(z) <= l1:
        return 0.0, z, n
    return -(z - math.copysign(l1, z)) / ((_FTRL_BETA + math.sqrt(n)) / alpha + l2), z, n


@inlined
def dog(farthest: float, total: float) -> float:
    """rate = max distance from the start so far / sqrt(sum of squared gradient lengths).

    M. Ivgi, O. Hinder, Y. Carmon, "DoG is SGD's best friend", ICML 2023, eq. (DoG). The first steps
    have the distance 1e-3: one of 1e-6 takes most of a short pass to grow.
    """
    return max(farthest, 1e-3) / math.sqrt(total) if total > 0.0 else 0.0
