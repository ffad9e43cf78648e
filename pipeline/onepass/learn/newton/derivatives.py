"""Derivatives of a loss by the margins of a run of rows, for the compiled passes of newton."""

from __future__ import annotations

from onepass.block import FloatArray
from onepass.jit import inlined
from onepass.learn.newton.expansion import FLOOR
from onepass.learn.pointwise import HUBER, LOGISTIC, curvature, exp_below, gradient, majoriser


@inlined
def derive(
    loss: int,
    a: float,
    from_zero: bool,
    start: int,
    n: int,
    label: FloatArray,
    weight: FloatArray,
    offset: FloatArray,
    margin: FloatArray,
    g: FloatArray,
    c: FloatArray,
) -> None:
    """Write the first and second derivatives of rows ``start`` to ``start + n - 1``, weighted.

    Parameters
    ----------
    g, c
        Outputs, of which the first `n` elements are set.
    """
    # Logistic has a loop of its own, free of calls and branches, so that it handles several rows at
    # once.
    if loss == LOGISTIC:
        for i in range(n):
            z, y, own = margin[start + i], label[start + i], weight[start + i]
            e = exp_below(-abs(z))
            inverse = 1.0 / (1.0 + e)
            g[i] = own * ((1.0 if z >= 0.0 else e) * inverse - y)
            c[i] = own * e * inverse * inverse
    else:
        for i in range(n):
            z, y, own = margin[start + i], label[start + i], weight[start + i]
            g[i] = own * gradient(loss, a, 0.0, offset[start + i] if from_zero else z, y)
            c[i] = own * curvature(loss, a, 0.0, z, y)


@inlined
def floor(
    a: float,
    start: int,
    n: int,
    label: FloatArray,
    weight: FloatArray,
    margin: FloatArray,
    c: FloatArray,
) -> None:
    """Add `FLOOR` to the second derivatives of huber loss, which is linear far from its label."""
    for i in range(n):
        z, y, own = margin[start + i], label[start + i], weight[start + i]
        c[i] += FLOOR * own * majoriser(HUBER, a, 0.0, z, y)
