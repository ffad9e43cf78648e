"""A weight and its variance for every hashed slot, learnt row by row without a learning rate.

Each weight is believed to be normal, independent of the others (assumed-density filtering; T.
Graepel et al., "Web-scale Bayesian click-through rate prediction", ICML 2010, sec. 3). A row moves
its margin z, of variance v, the sum of the p_s of its slots, to the minimum of

    loss(z') / dispersion + (z' - z)^2 / (2 v)

and each slot takes its share p_s / v of the way; p_s then shrinks by the curvature found there, as
in a Kalman filter. Where the rest of the margin is uncertain, its variance is a part of v, too. For
squared loss and one slot a row this is the running mean.

The variance of the prior is learnt as well, by expectation maximisation over the slots in use
whenever the rows have doubled (D. MacKay, "Bayesian interpolation", 1992, sec. 4): it decides how
far rare levels are trusted, which no fixed value gets right for all data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, SlotArray
from onepass.jit import compiled, reordered
from onepass.learn.firstorder.steps import ask_ahead
from onepass.learn.implicit import implicit_gradient
from onepass.learn.losses import (
    HINGE,
    QUANTILE,
    SOFTMAX,
    Loss,
    curvature,
    majoriser,
    softmax,
)
from onepass.learn.newton.expansion import FLOOR

FIRST_PRIOR = 0.3
"""Prior variance of a weight before anything is known, on labels of unit scale."""

_FIRST_DOUBLING = 4096
_NARROWEST, _WIDEST = 1e-8, 10.0
_EM_STEPS = 100
_EM_SLOTS = 65_536
_EM_PRIOR_SLOTS = 2
_LEAST_DISPERSION = 1e-6


@reordered
def _filter_pass(
    loss: int,
    a: float,
    width: float,
    dispersion: float,
    slots: SlotArray,
    offset: FloatArray,
    doubt: FloatArray,
    label: FloatArray,
    weight: FloatArray,
    hashed: Float32Array,
    margin: FloatArray,
) -> None:
    """Learn rows in order; `hashed` holds weight and variance, (n_slots, n_outputs, 2)."""
    n_rows, n_columns = slots.shape
    n_outputs = offset.shape[1]
    p, z = np.empty(n_outputs), np.empty(n_outputs)
    flat, stride = hashed.reshape(hashed.size), np.uint64(2 * n_outputs)
    at = np.empty(n_columns, np.uint64)
    for i in range(n_rows):
        ask_ahead(flat, stride, slots, i)
        for k in range(n_columns):
            at[k] = np.uint64(np.uint32(slots[i, k])) * stride
        for o in range(n_outputs):
            own = 0.0
            for k in range(n_columns):
                own += flat[at[k] + np.uint64(2 * o)]
            margin[i, o] = own
            z[o] = offset[i, o] + own
        if weight[i] == 0.0:
            continue
        share = weight[i] / dispersion
        if loss == SOFTMAX:
            softmax(z, p)
        for o in range(n_outputs):
            v = doubt[i, o]
            for k in range(n_columns):
                v += flat[at[k] + np.uint64(2 * o + 1)]
            if loss == SOFTMAX:
                c = share * p[o] * (1.0 - p[o])
                s = share * (p[o] - (1.0 if label[i] == o else 0.0)) / (1.0 + c * v)
            else:
                s = share * implicit_gradient(loss, a, z[o], label[i], share * v)
                if loss in (QUANTILE, HINGE):
                    # On the kink itself there is all curvature or none: what lies around it.
                    c = curvature(loss, a, width, z[o], label[i])
                    c = share * (c + FLOOR * majoriser(loss, a, width, z[o], label[i]))
                else:
                    c = share * curvature(loss, a, 0.0, z[o] - v * s, label[i])
            shrunk = c / (1.0 + c * v)
            for k in range(n_columns):
                mean = at[k] + np.uint64(2 * o)
                variance = float(flat[mean + np.uint64(1)])
                flat[mean] -= np.float32(variance * s)
                # Twice the same slot in one row takes its share twice, but never all of it.
                flat[mean + np.uint64(1)] = np.float32(variance - variance * variance * shrunk)


@reordered
def _margins(slots: SlotArray, hashed: Float32Array, margin: FloatArray) -> None:
    n_outputs = margin.shape[1]
    flat, stride = hashed.reshape(hashed.size), np.uint64(2 * n_outputs)
    for i in range(len(slots)):
        ask_ahead(flat, stride, slots, i)
        for o in range(n_outputs):
            total = 0.0
            for k in range(slots.shape[1]):
                total += flat[np.uint64(np.uint32(slots[i, k])) * stride + np.uint64(2 * o)]
            margin[i, o] = total


@dataclass(frozen=True, slots=True)
class Other:
    """The part of the margins that comes from dense features, shape (n_rows, n_outputs) each."""

    margin: FloatArray
    variance: FloatArray
    """How uncertain it is: a row teaches its slots the less, the more it is."""


@reordered
def _learnt_prior(pull: FloatArray, known: FloatArray, prior: float) -> float:
    """Variance of the prior by expectation maximisation.

    Parameters
    ----------
    pull, known
        Of each slot that rows have hit: weight over variance, and the precision that rows gave.
    prior
        To start from.
    """
    for _ in range(_EM_STEPS):
        moment = 0.0
        for k in range(len(pull)):
            variance = 1.0 / (known[k] + 1.0 / prior)
            weight = pull[k] * variance
            moment += weight * weight + variance
        prior = (moment + _EM_PRIOR_SLOTS * FIRST_PRIOR) / (len(pull) + _EM_PRIOR_SLOTS)
    return prior


@compiled
def _n_used(beliefs: Float32Array, prior: float) -> int:
    """Slots that rows have hit: their variance is below that of the prior."""
    widest, n = np.float32(prior), 0
    for k in range(len(beliefs)):
        n += beliefs[k, 1] < widest
    return n


@compiled
def _used(beliefs: Float32Array, prior: float, step: int) -> tuple[FloatArray, FloatArray]:
    """Weight over variance, and the precision that rows gave, of every `step`-th slot in use."""
    widest, n = np.float32(prior), -(-_n_used(beliefs, prior) // step)
    pull, known = np.empty(n), np.empty(n)
    place = 0
    for k in range(len(beliefs)):
        if beliefs[k, 1] < widest:
            if place % step == 0:
                variance = np.float64(beliefs[k, 1])
                pull[place // step] = beliefs[k, 0] / variance
                known[place // step] = 1.0 / variance - 1.0 / prior
            place += 1
    return pull, known


@compiled
def _reweigh(beliefs: Float32Array, prior: float, factor: float, new_prior: float) -> None:
    """Let what rows gave count `factor` as much, beside another prior."""
    widest = np.float32(prior)
    for k in range(len(beliefs)):
        if beliefs[k, 1] < widest:
            before = np.float64(beliefs[k, 1])
            variance = 1.0 / ((1.0 / before - 1.0 / prior) * factor + 1.0 / new_prior)
            if new_prior != prior:
                beliefs[k, 0] = np.float32(beliefs[k, 0] / before * variance)
            beliefs[k, 1] = np.float32(variance)
        else:
            beliefs[k, 1] = np.float32(new_prior)


class SlotFilter:
    """Normal beliefs about the weights of hashed slots.

    Parameters
    ----------
    loss
        What to minimise.
    n_slots
        Number of hashed weights.
    l2
        Ridge penalty per row; the learnt prior is never wider than the one that it stands for.
    """

    def __init__(self, loss: Loss, n_slots: int, *, l2: float = 0.0) -> None:
        self.loss, self.l2 = loss, l2
        self.hashed = np.zeros((n_slots, loss.n_outputs, 2), np.float32)
        self.hashed[:, :, 1] = FIRST_PRIOR
        self.prior = np.array(FIRST_PRIOR)
        """Variance of a slot that no row has hit."""
        self.dispersion = np.ones(2)
        """Running sums of squared gradients and of curvatures."""
        self.n_rows = np.zeros((), np.int64)
        self.n_refreshed = np.zeros((), np.int64)

    @property
    def weights(self) -> FloatArray:
        """Shape (n_slots, n_outputs)."""
        return self.hashed[:, :, 0].astype(np.float64)

    def margins(self, slots: SlotArray) -> FloatArray:
        """Sum of the weights that each row hits, shape (n_rows, n_outputs)."""
        total = np.empty((len(slots), self.loss.n_outputs))
        _margins(np.ascontiguousarray(slots), self.hashed, total)
        return total

    def learn(
        self,
        slots: SlotArray,
        other: Other,
        label: FloatArray,
        weight: FloatArray,
        width: float,
    ) -> FloatArray:
        """Learn rows in order; return the slots' part of each margin from before its row.

        Parameters
        ----------
        other
            The part of each margin that slots have none in.
        width
            Over which a kink of the loss is rounded to have a curvature.

        Returns
        -------
        Shape (n_rows, n_outputs).
        """
        margin = np.empty_like(other.margin)
        _filter_pass(
            self.loss.code,
            self.loss.shape,
            width,
            self._dispersion(),
            np.ascontiguousarray(slots),
            np.ascontiguousarray(other.margin),
            np.ascontiguousarray(other.variance),
            label,
            weight,
            self.hashed,
            margin,
        )
        self._observe(other.margin + margin, label, weight, width)
        self.n_rows += np.count_nonzero(weight)
        if int(self.n_rows) >= max(_FIRST_DOUBLING, 2 * int(self.n_refreshed)):
            self._refresh_prior()
        return margin

    def fade(self, factor: float) -> None:
        """Let all rows so far count only `factor` as much: beliefs widen towards the prior."""
        before = float(self.prior)
        _reweigh(self.hashed.reshape(-1, 2), before, factor, before)

    @property
    def precision(self) -> float:
        """Penalty ``precision / 2 * w^2`` of a weight that the prior stands for."""
        return self._dispersion() / float(self.prior)

    def adopt(self, weights: FloatArray, curvature: FloatArray) -> None:
        """Take over weights, with the curvature of all rows by each of them, flat."""
        beliefs = self.hashed.reshape(-1, 2)
        beliefs[:, 0] = weights
        beliefs[:, 1] = 1 / (curvature / self._dispersion() + 1 / float(self.prior))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All arrays that change, by name."""
        names = ("hashed", "prior", "dispersion", "n_rows", "n_refreshed")
        return {name: getattr(self, name) for name in names}

    def _dispersion(self) -> float:
        if self.loss.has_unit_dispersion:
            return 1.0
        return max(float(self.dispersion[0] / self.dispersion[1]), _LEAST_DISPERSION)

    def _observe(self, z: FloatArray, label: FloatArray, weight: FloatArray, width: float) -> None:
        if self.loss.has_unit_dispersion:
            return
        _, g, c = self.loss.expand(np.ascontiguousarray(z[:, 0]), label, weight, width=width)
        self.dispersion *= 0.9
        self.dispersion += 0.1 * np.array([(g * g / np.maximum(weight, 1e-300)).sum(), c.sum()])

    def _refresh_prior(self) -> None:
        self.n_refreshed[()] = self.n_rows
        beliefs, before = self.hashed.reshape(-1, 2), float(self.prior)
        # A sample tells the variance of millions of weights to half a percent.
        step = max(1, _n_used(beliefs, before) // _EM_SLOTS)
        prior = _learnt_prior(*_used(beliefs, before, step), before)
        prior = min(max(prior, _NARROWEST), _WIDEST)
        if self.l2:
            prior = min(prior, 1 / (self.l2 * float(self.n_rows)))
        _reweigh(beliefs, before, 1.0, prior)
        self.prior[()] = prior
