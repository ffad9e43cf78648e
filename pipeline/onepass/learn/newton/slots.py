"""A weight and its variance for each hashed slot, learnt row by row without a learning rate.

Each weight has a normal distribution, independent of the others (assumed-density filtering; T.
Graepel et al., "Web-scale Bayesian click-through rate prediction", ICML 2010, sec. 3). The margin z
of a row has the variance v, the sum of the variances p_s of its slots. The row moves its margin to
the z' that minimises

    loss(z') / dispersion + (z' - z)^2 / (2 v)

and each slot takes its share p_s / v of the move. Then p_s shrinks by the curvature at z', as in a
Kalman filter. Where the dense part of the margin is uncertain, v includes its variance. For squared
loss and one slot a row, the weight is the running mean of its labels, shrunk by the prior. An entry
of a sparse row has a value beside its slot; see `entries_pass`.

The variance of the prior is learnt whenever the rows have doubled; see `slots_prior` and
`slots_widening`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from onepass.block import Entries, Float32Array, FloatArray, SlotArray
from onepass.learn.losses import Loss
from onepass.learn.newton.dispersion import noise_and_bend
from onepass.learn.newton.entries_pass import add_up_entries, entries_pass
from onepass.learn.newton.slots_classes import ClassWeights
from onepass.learn.newton.slots_difference import Evidence, SlotsDifference
from onepass.learn.newton.slots_pass import add_up, filter_pass
from onepass.learn.newton.slots_prior import (
    FIRST_PRIOR,
    SlotPrior,
    bounded,
    learnt_prior,
    reweigh,
    steadied,
)
from onepass.learn.newton.slots_tempered import Round, tempered_pass
from onepass.learn.newton.slots_widening import derivatives_by_prior, slope_and_bend, widened

_FIRST_DOUBLING = 4096
"""Rows after which the prior is learnt for the first time."""

_LEAST_DISPERSION = 1e-6


@dataclass(frozen=True, slots=True)
class Margins:
    """The dense part of the margins or that of the slots, with its variance.

    Both have shape (n_rows, n_outputs).
    """

    margin: FloatArray
    variance: FloatArray


class SlotFilter:
    """Normal beliefs about the weights of hashed slots.

    Parameters
    ----------
    loss
        Loss to minimise.
    n_slots
        Number of slots.
    l2
        Ridge penalty per row. It bounds the learnt prior: a ridge penalty is a normal prior whose
        variance is the inverse of the penalty.
    slot_prior
        How the prior is found; see `ModelFile.slot_prior`.
    classes
        Weights of classes that are no evidence; None if rows count as often as they weigh.
    """

    def __init__(
        self,
        loss: Loss,
        n_slots: int,
        *,
        l2: float = 0.0,
        slot_prior: SlotPrior = "believed",
        classes: ClassWeights | None = None,
    ) -> None:
        self.loss, self.l2, self.slot_prior, self._classes = loss, l2, slot_prior, classes
        self.hashed = np.zeros((n_slots, loss.n_outputs, 2), np.float32)
        self.hashed[:, :, 1] = FIRST_PRIOR
        self.prior = np.array(FIRST_PRIOR)
        """Variance of a slot that no row has hit."""
        self.dispersion = np.array([loss.dispersion, 1.0])
        """Running sums of squared gradients and of curvatures; their ratio is the dispersion."""
        self.n_rows = np.zeros((), np.int64)
        """Rows of positive weight so far."""
        self.n_refreshed = np.zeros((), np.int64)
        """`n_rows` when the prior was last learnt."""
        self.widening = np.ones(())
        """Factor of the prior beside what the beliefs tell."""
        self.slope = np.zeros(3)
        """Sums of `slope_and_bend` since the prior was last learnt."""
        self.is_held = False
        """Whether the prior is held, because other learners share it; see `Learns.hold`."""
        self._keep, self._keep_dispersion = 1.0, 1.0
        """Factors by which rows, and the sums of `dispersion`, have faded since `hold`."""
        self._round = Round()

    @staticmethod
    def nbytes(loss: Loss, n_slots: int, *, slot_prior: SlotPrior = "believed") -> int:
        """Return the bytes of `arrays`, without making them."""
        widening = 0 if slot_prior == "believed" else 4 * 8
        return _slot_bytes(loss, n_slots) + 8 + 2 * 8 + 2 * 8 + widening

    @staticmethod
    def working_bytes(loss: Loss, n_slots: int) -> int:
        """Return the bytes to set aside: the beliefs, a copy for the commit, and temporaries."""
        return 3 * _slot_bytes(loss, n_slots)

    @property
    def widens(self) -> bool:
        """Whether the loss before learning decides on a factor of the prior."""
        return self.slot_prior != "believed"

    @property
    def weights(self) -> FloatArray:
        """Weights of the slots, shape (n_slots, n_outputs)."""
        return self.hashed[:, :, 0].astype(np.float64)

    def margins(self, slots: SlotArray, entries: Entries | None = None) -> FloatArray:
        """Return the sum of the weights that each row selects, shape (n_rows, n_outputs)."""
        total, slots = np.empty((len(slots), self.loss.n_outputs)), np.ascontiguousarray(slots)
        if entries is None:
            add_up(slots, self.hashed, total)
        else:
            add_up_entries(slots, *entries.arrays, self.hashed, total)
        return total

    def learn(
        self,
        slots: SlotArray,
        dense: Margins,
        label: FloatArray,
        weight: FloatArray,
        width: float,
        entries: Entries | None = None,
    ) -> Margins:
        """Learn rows in order; return the slots' part of each margin before its row is learnt.

        Parameters
        ----------
        dense
            Dense margins, used as offset. The larger their variance is, the less a row changes its
            slots.
        width
            Width over which a kink of the loss is rounded.
        entries
            Sparse rows, which select slots beside those of `slots`.
        """
        if entries is not None and int(self.n_rows) == 0:
            self._narrow(entries)
        margin, variance = np.empty_like(dense.margin), np.zeros_like(dense.margin)
        known = None if entries is None else np.empty(len(label))
        dispersion, by_prior = self._dispersion(), None
        if self.widens:
            by_prior = derivatives_by_prior(self.hashed, float(self.prior), slots, entries)
        learn_rows = self._pass(slots, entries)
        offset, evidence = self.unweighted(dense.margin), weight
        if self._classes is not None:
            evidence = self._classes.evidence(label, weight)
        learn_rows(
            self.loss.code,
            self.loss.shape,
            width,
            dispersion,
            np.ascontiguousarray(slots),
            *(() if entries is None else entries.arrays),
            np.ascontiguousarray(offset),
            np.ascontiguousarray(dense.variance),
            label,
            evidence,
            self.hashed,
            margin,
            variance,
            *(() if known is None else (known,)),
        )
        z = dense.margin + margin
        if by_prior is not None:
            scale = self._dispersion_of_loss()
            self.slope += slope_and_bend(self.loss, z, label, weight, width, scale, by_prior)
        if not self.loss.has_unit_dispersion:
            self.dispersion *= 0.9
            self._keep_dispersion *= 0.9
            self.dispersion += 0.1 * noise_and_bend(self.loss, z, label, evidence, width, known)
        self.n_rows += np.count_nonzero(weight)
        self._refresh_if_due()
        return Margins(margin, variance)

    def unweighted(self, margins: FloatArray) -> FloatArray:
        """Return margins without what weights of classes have moved them by."""
        return margins if self._classes is None else margins - self._classes.shift

    def fade(self, factor: float) -> None:
        """Multiply the weight of all rows so far by a factor; beliefs widen towards the prior."""
        before = float(self.prior)
        reweigh(self._beliefs(), before, factor, before)
        self._keep *= factor

    @property
    def precision(self) -> float:
        """Coefficient of ``w^2 / 2`` in the penalty that is equivalent to the prior."""
        return self._dispersion_of_loss() / float(self.prior)

    def adopt(self, weights: FloatArray, curvature: FloatArray) -> None:
        """Replace the beliefs by weights that a batch rule has found.

        Parameters
        ----------
        weights, curvature
            Weights, and the second derivatives of the loss of all rows, flat. The curvature is not
            used where classes have weights that move the margins.
        """
        beliefs = self._beliefs()
        beliefs[:, 0] = weights
        if self._classes is not None and self._classes.shift.any():
            # A row that counts once has another curvature than the weighted loss, which is given.
            # With the latter the errors of ids of few positives were up to 1.5 times too large.
            return
        beliefs[:, 1] = 1 / (curvature / self._dispersion_of_loss() + 1 / float(self.prior))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change, by name, without copying them."""
        names = ["hashed", "prior", "dispersion", "n_rows", "n_refreshed"]
        names += ["widening", "slope"] if self.widens else []
        return {name: getattr(self, name) for name in names}

    @property
    def adds_up(self) -> bool:
        """Whether the prior has been learnt once; see `Learns.adds_up`."""
        return int(self.n_refreshed) > 0

    def hold(self, n_shares: int, n_rows: int, known_rows: int) -> None:
        """Keep the prior from now on; see `Learns.hold`.

        Parameters
        ----------
        known_rows
            Number of rows learnt so far; rows that have faded count less.
        """
        self.is_held, self._keep, self._keep_dispersion = True, 1.0, 1.0
        self._round = Round(n_shares, n_rows, known_rows)

    def difference(self, base: SlotFilter) -> SlotsDifference:
        """Return what has been learnt since `hold`; see `Learns.difference`."""
        keep = self._keep_dispersion
        evidence = Evidence.between(
            self._beliefs(), base._beliefs(), float(base.prior), self._keep, self._round.tempering
        )
        return SlotsDifference(
            (evidence,),
            int(self.n_rows) - int(base.n_rows),
            (keep, self.dispersion - keep * base.dispersion),
            self.slope - base.slope,
        )

    def merge(self, found: SlotsDifference) -> None:
        """Add a difference to this, its base, and learn the prior if due; see `Learns.merge`."""
        for evidence in found.evidence:
            evidence.add_to(self._beliefs(), float(self.prior))
        keep, new = found.dispersion
        self.dispersion *= keep
        self.dispersion += new
        self.slope += found.slope
        self.n_rows += found.n_rows
        if found.n_rows:
            self._refresh_if_due()

    def _pass(self, slots: SlotArray, entries: Entries | None) -> Callable[..., None]:
        """Return the loop that learns rows, tempered if the moves of a round might overshoot."""
        tempering = self._round.tempered(self.hashed, float(self.prior), slots, entries)
        if tempering is None:
            once = (0.0, 1.0, 0.0)
            return filter_pass if entries is None else partial(entries_pass, once)
        rate, n_shares, unknown = tempering.rate, float(tempering.n_shares), 1 / float(self.prior)
        if entries is None:
            return partial(tempered_pass, rate, n_shares, unknown)
        return partial(entries_pass, (rate, n_shares, unknown))

    def _narrow(self, entries: Entries) -> None:
        """Let the first prior of sparse rows give their margins the variance of one slot's."""
        prior = FIRST_PRIOR / max(1.0, entries.mean_square_length())
        self.hashed[:, :, 1] = prior
        self.prior[()] = prior

    def _beliefs(self) -> Float32Array:
        return self.hashed.reshape(-1, 2)

    def _dispersion(self) -> float:
        if self.loss.has_unit_dispersion:
            return 1.0
        least = _LEAST_DISPERSION * self.loss.unit
        return max(float(self.dispersion[0] / self.dispersion[1]), least)

    def _dispersion_of_loss(self) -> float:
        return self._dispersion() * (self._classes.dispersion if self._classes else 1.0)

    def _refresh_if_due(self) -> None:
        is_due = int(self.n_rows) >= max(_FIRST_DOUBLING, 2 * int(self.n_refreshed))
        if is_due and not self.is_held:
            self._refresh_prior()

    def _refresh_prior(self) -> None:
        self.n_refreshed[()] = self.n_rows
        beliefs, before = self._beliefs(), float(self.prior)
        prior = learnt_prior(beliefs, before)
        if self.widens:
            self.widening[()] = widened(float(self.widening), self.slope)
            self.slope[:] = 0.0
            prior = bounded(prior * float(self.widening))
        if self.slot_prior == "bounded":
            prior = steadied(prior, before)
        if self.l2:
            penalty = self.l2 * float(self.n_rows)
            prior = min(prior, (self._classes.dispersion if self._classes else 1.0) / penalty)
        reweigh(beliefs, before, 1.0, prior)
        self.prior[()] = prior


def _slot_bytes(loss: Loss, n_slots: int) -> int:
    """Return the bytes of a weight and a variance, in single precision, for each slot."""
    return 2 * 4 * loss.n_outputs * n_slots
