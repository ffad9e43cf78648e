"""Learn slots beside other learners, each row several times over, and take back the repeats.

A row moves all of its slots. Where many columns tell the same, such as the head of each column,
they move the margin together by several times what the rows call for, and the rows that follow
correct it. Learners of a round do not see each other's rows: each would make the same move, and the
sum would overshoot, by a factor of up to the number of columns, and round by round.

So each row counts for a slot as often as other learners meet the slot, too. Then each learner moves
as far as all rows of the round would move it. Its evidence counts once in the merge, where the mean
of equal moves is that move again. It is the stochastic approximation that S. Minsker et al. use
("Scalable and robust Bayesian inference via the median posterior", ICML 2014, sec. 2.2), by slot. A
slot that hardly two learners meet, as that of a rare value, is learnt as ever: repeated, single
rows would be fitted too closely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onepass.block import Entries, Float32Array, FloatArray, SlotArray
from onepass.jit import compiled, pasted, reordered
from onepass.learn.firstorder.steps import prefetch_slots
from onepass.learn.implicit import implicit_gradient
from onepass.learn.newton.expansion import FLOOR
from onepass.learn.pointwise import HINGE, QUANTILE, SOFTMAX, curvature, majoriser, softmax


@dataclass(frozen=True, slots=True)
class Tempering:
    """How often each row counts for a slot, given the precision that rows have added to the slot.

    Half as often as there are learners that are expected to meet the slot: a sum of moves that is
    up to twice too long still converges.
    """

    rate: float
    """Rows of the round that are expected to hit a slot, for each unit of its precision."""
    n_shares: int
    """Learners of the round."""

    @classmethod
    def of_round(
        cls, beliefs: Float32Array, prior: float, n_columns: float, n_shares: int, n_rows: int
    ) -> Tempering:
        """Return the tempering of a round of `n_shares` learners and `n_rows` rows.

        A slot is expected in the same share of the rows as so far.
        """
        total = _total_known(beliefs, prior) / n_columns
        return cls(n_rows / max(total, 1e-300), n_shares)


class Round:
    """Sizes of a round, by which a learner of one of its shares tempers what it learns.

    Parameters
    ----------
    n_shares, n_rows
        Learners of the round, and rows that they learn together.
    known_rows
        Rows learnt before the round.
    """

    def __init__(self, n_shares: int = 1, n_rows: int = 0, known_rows: int = 0) -> None:
        self.tempering: Tempering | None = None
        """How rows are repeated; None before the first block, and if they count once."""
        self._sizes = (n_shares, n_rows, known_rows)
        self._n_selected: float | None = None
        """Slots that a row of the round selects, by its first block."""

    def tempered(
        self, beliefs: Float32Array, prior: float, slots: SlotArray, entries: Entries | None
    ) -> Tempering | None:
        """Return how to repeat the rows of a block, if the moves of the round might overshoot.

        Parameters
        ----------
        beliefs
            Beliefs about all slots, shape (n_slots, n_outputs, 2).
        """
        n_shares, n_rows, known_rows = self._sizes
        if self._n_selected is None:
            n_entries = 0 if entries is None else len(entries.slot)
            self._n_selected = slots.shape[1] + n_entries / max(1, len(slots))
        # Several columns may all tell the same. The moves of a round then add up to at most this
        # many times what is missing to the weights; once needs no tempering. Rounds keep to this,
        # unless they were planned with rows that have no label or no weight.
        if n_shares <= 2 or (self._n_selected - 1) * n_rows <= known_rows:
            return None
        if self.tempering is None:
            # An entry adds to the precision of its slot by the square of its value.
            length = slots.shape[1] + (0.0 if entries is None else entries.mean_square_length())
            flat, n_outputs = beliefs.reshape(-1, 2), beliefs.shape[1]
            self.tempering = Tempering.of_round(flat, prior, length * n_outputs, n_shares, n_rows)
        return self.tempering


@pasted
def counted_once(before: float, after: float, rate: float, n_shares: float) -> float:
    """Return the share of a growth of precision that rows would give that count once.

    Parameters
    ----------
    before, after
        Precision that rows have added to a slot.
    rate, n_shares
        See `Tempering`; a rate of 0 if rows have counted once.
    """
    if rate * before <= 0.0 and rate * after <= 0.0:
        return 1.0
    if after > before:
        single = _single(after, rate, n_shares) - _single(before, rate, n_shares)
        return float(single / (after - before))
    hits = rate * before
    return 1.0 / max(1.0, 0.5 * hits / (1.0 + hits / n_shares))


@pasted
def _single(known: float, rate: float, n_shares: float) -> float:
    """Return the integral of 1 / repeats from 0 to a precision."""
    first = 1.0 / (0.5 - 1.0 / n_shares) / rate
    if known <= first:
        return known
    return first + 2.0 / rate * math.log(known / first) + 2.0 / n_shares * (known - first)


@compiled
def _total_known(beliefs: Float32Array, prior: float) -> float:
    """Return the precision that rows have added to all slots."""
    widest, total = np.float32(prior), 0.0
    for k in range(len(beliefs)):
        if beliefs[k, 1] < widest:
            total += 1.0 / np.float64(beliefs[k, 1]) - 1.0 / prior
    return total


@reordered
def tempered_pass(
    rate: float,
    n_shares: float,
    unknown: float,
    loss: int,
    a: float,
    width: float,
    dispersion: float,
    slots: SlotArray,
    offset: FloatArray,
    variance_of_offset: FloatArray,
    label: FloatArray,
    weight: FloatArray,
    hashed: Float32Array,
    margin: FloatArray,
    variance_of_own: FloatArray,
) -> None:
    """Learn rows in order as `filter_pass` does, each several times over.

    Parameters
    ----------
    rate, n_shares
        See `Tempering`.
    unknown
        Precision of a slot that no row has hit.
    loss, a, width, dispersion, slots, offset, variance_of_offset, label, weight
        As for `filter_pass`.
    hashed, margin, variance_of_own
        As for `filter_pass`.
    """
    n_rows, n_columns = slots.shape
    n_outputs = offset.shape[1]
    p, z = np.empty(n_outputs), np.empty(n_outputs)
    flat, stride = hashed.reshape(hashed.size), np.uint64(2 * n_outputs)
    at, times = np.empty(n_columns, np.uint64), np.empty(n_columns)
    for i in range(n_rows):
        prefetch_slots(flat, stride, slots, i)
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
            v, known_once = variance_of_offset[i, o], 0.0
            for k in range(n_columns):
                variance = float(flat[at[k] + np.uint64(2 * o + 1)])
                known_once += variance
                hits = rate * (1.0 / variance - unknown)
                times[k] = max(1.0, 0.5 * hits / (1.0 + hits / n_shares))
                v += times[k] * variance
            variance_of_own[i, o] = known_once
            if loss == SOFTMAX:
                c = share * p[o] * (1.0 - p[o])
                s = share * (p[o] - (1.0 if label[i] == o else 0.0)) / (1.0 + c * v)
            else:
                s = share * implicit_gradient(loss, a, z[o], label[i], share * v)
                if loss in (QUANTILE, HINGE):
                    c = curvature(loss, a, width, z[o], label[i])
                    c = share * (c + FLOOR * majoriser(loss, a, width, z[o], label[i]))
                else:
                    c = share * curvature(loss, a, 0.0, z[o] - v * s, label[i])
            shrunk = c / (1.0 + c * v)
            for k in range(n_columns):
                mean = at[k] + np.uint64(2 * o)
                variance = float(flat[mean + np.uint64(1)])
                flat[mean] -= np.float32(times[k] * variance * s)
                less = times[k] * variance * variance * shrunk
                flat[mean + np.uint64(1)] = np.float32(variance - less)
