"""The proximal step: minimise the quadratic model of the past plus the loss of one block.

Newton's method with a line search. Each step expands the loss of the block around the current
weights and solves for the minimum of both quadratics together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from onepass.block import FloatArray
from onepass.learn.label_sums import loss_and_pearson
from onepass.learn.losses import Loss
from onepass.learn.newton.expansion import Expansion, Rows, expand, kink_width
from onepass.learn.newton.linesearch import Line, step_length
from onepass.learn.newton.past import Past
from onepass.learn.newton.restraint import Restraint
from onepass.learn.pointwise import SOFTMAX

_SETTLED = 0.5
"""Newton decrement below which no further step is needed."""

_SHORT = 0.1
"""Largest change of a margin in a step that needs no line search.

Within such a change the loss hardly differs from its quadratic model, however many weights share in
the step.
"""

_SETTLED_FIRST = 0.05
_SETTLED_CLOSELY = 0.01
_MAX_STEPS = 6
_MAX_STEPS_FIRST = 40
_MAX_STEPS_CLOSELY = 20

_MAJORISED_LENGTH = 0.1
"""A line search that ends below this length makes the next step use a majorising parabola."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights after a block, and the expansion of its loss that the past is to keep."""

    w: FloatArray
    """Shape (n_outputs, width)."""
    expansion: Expansion
    point: FloatArray
    """Flat weights around which the loss is expanded."""


def full_step(
    past: Past,
    w: FloatArray,
    found: Expansion,
    penalty: Restraint,
    farthest: Callable[[FloatArray], float],
    unit: float,
) -> FloatArray | None:
    """Return the weights after one full step, or None if the step needs a line search.

    Parameters
    ----------
    w
        Weights around which `found` expands the loss of the block, shape (n_outputs, width).
    penalty
        Penalties and constraints of the weights, flat.
    farthest
        Computes the largest change of a margin of the block from a step of the shape of `w`.
    unit
        See `Loss.unit`.
    """
    point = w.ravel()
    slope = found.slope + past.h @ point - past.b + penalty.slope(point)
    bend = past.h + found.curvature
    step = penalty.step(bend, slope, point)
    is_settled = penalty.decrement(bend, slope, step, point) < _SETTLED * unit
    if not is_settled and not farthest(step.reshape(w.shape)) < _SHORT:
        return None
    return (point - step).reshape(w.shape)


def fit_block(
    loss: Loss,
    past: Past,
    w: FloatArray,
    rows: Rows,
    z: FloatArray,
    penalty: Restraint,
    *,
    is_first: bool,
    closely: bool = False,
    with_value: bool = False,
) -> Fit:
    """Minimise the past, the penalty and the loss of a block together.

    Parameters
    ----------
    w
        Weights to start from, shape (n_outputs, width).
    z
        Margins of the rows by `w`, shape (n_rows, n_outputs).
    penalty
        Penalties and constraints of the weights, flat.
    is_first
        Whether little is known before this block. Then steps start with a majorising parabola, and
        go on until the minimum is met more closely.
    closely
        Whether steps go on until the minimum is met very closely, however short they are.
    with_value
        Whether the expansion has the loss at its point.
    """
    width, majorise = kink_width(loss, rows.y, z), is_first
    settled = _SETTLED_CLOSELY if closely else _SETTLED_FIRST if is_first else _SETTLED
    most = _MAX_STEPS_FIRST if is_first else _MAX_STEPS_CLOSELY if closely else _MAX_STEPS
    for _ in range(most):
        # The residuals of the first block shrink as it is fitted, and the width with them.
        width = kink_width(loss, rows.y, z) if is_first else width
        point, at, is_majorised = w.ravel(), z, majorise
        found = expand(loss, rows, z, width, majorise)
        slope_of_past = past.h @ point - past.b + penalty.slope(point)
        slope, curved = found.slope + slope_of_past, past.h + found.curvature
        step = penalty.step(curved, slope, point)
        decrement = penalty.decrement(curved, slope, step, point)
        dz = rows.x @ step.reshape(w.shape).T
        is_small = decrement < loss.unit * settled
        if is_small or (not (is_first or closely) and np.abs(dz).max() < _SHORT):
            # A full step ends at the minimum of the quadratic model that the past keeps.
            w = (point - step).reshape(w.shape)
            break
        bend = float(step @ (past.h @ step + penalty.ridge * step))
        line = Line(float(step @ slope_of_past), bend, decrement)
        of_block = partial(_value, loss, rows, z, dz, width)
        length = step_length(line, of_block, partial(_kinks, penalty, point, step))
        majorise = length < _MAJORISED_LENGTH
        w = (point - length * step).reshape(w.shape)
        z = rows.margins(w)
    w = centred(loss, w)
    if is_majorised:
        # The curvature of a majorising parabola bounds a step. Kept in the past it would count as
        # information that the rows did not give.
        point, at = w.ravel(), rows.margins(w)
        found = expand(loss, rows, at, width, False)
    if with_value:
        value, pearson = loss_and_pearson(loss, at, rows.y, rows.weight)
        found = replace(found, value=value, pearson=pearson)
    return Fit(w, found, point)


def centred(loss: Loss, w: FloatArray) -> FloatArray:
    """Return the weights of softmax with mean 0 over the classes, and other weights as they are.

    A vector that is added to the weights of all classes changes no probability. Without centring,
    rounding would let the weights drift along it.
    """
    return w - w.mean(axis=0) if loss.code == SOFTMAX else w


def shaped(loss: Loss, margins: FloatArray) -> FloatArray:
    """Return margins, shape (n_rows, n_outputs), in the shape of the loss: (n_rows,) for one."""
    return margins if loss.code == SOFTMAX else margins[:, 0]


def _kinks(penalty: Restraint, point: FloatArray, step: FloatArray, length: float) -> float:
    return penalty.kinks_change(point, length * step)


def _value(
    loss: Loss, rows: Rows, z: FloatArray, dz: FloatArray, width: float, length: float
) -> float:
    """Return the loss of the block after a part of a step that moves the margins by -dz."""
    moved = np.ascontiguousarray(shaped(loss, z - length * dz))
    return loss.total(moved, rows.y, rows.weight, width=width)
