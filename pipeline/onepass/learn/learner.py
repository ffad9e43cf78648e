"""Learn and predict in the label's own unit: updaters, with the scale and range of the label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.learn.ahead import MOST_BYTES, growing_pieces, margins_ahead
from onepass.learn.cross_validation import CrossValidation
from onepass.learn.cross_validator import CrossValidator
from onepass.learn.heads import head_bytes, make_updater, n_heads
from onepass.learn.known import explained, scaled
from onepass.learn.losses import REGRESSION
from onepass.learn.merging import LearnerDifference, composed
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.keeps import NOTHING
from onepass.learn.newton.newton import Newton
from onepass.learn.newton.ordinal import Ordinal
from onepass.learn.overdispersion import Overdispersion, free_shape
from onepass.learn.settings import Settings
from onepass.learn.tweedie import negative_log_likelihoods
from onepass.learn.unit import NO_RANGE, LabelUnit
from onepass.learn.updater import (
    Identified,
    State,
    Updater,
    Weights,
    checked,
    copied,
    numbered,
    restored,
)

LABEL_RANGE = "label_range"
"""Name of the state array with the least and the largest label learnt so far, less the offset."""


class Learner:
    """Updaters that take labels, and give predictions, in the label's unit.

    There is one updater for each head. Quantile loss has a head for each quantile, every other loss
    has one.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.losses = settings.losses()
        self.heads = [make_updater(settings, loss) for loss in self.losses]
        self._label_range = np.array(NO_RANGE)
        self._free = free_shape(settings)
        self._folds = CrossValidator(settings, self.losses[0])
        # A scout keeps no scores, and whether a model has scores must not change its weights.
        scouted = self.nbytes(replace(settings, keeps=NOTHING, n_folds=0))
        self._has_scouts = settings.careful and scouted <= MOST_BYTES

    @staticmethod
    def nbytes(settings: Settings) -> int:
        """Return the most bytes that `arrays` take, without making them."""
        state, _ = head_bytes(settings)
        free = Overdispersion.nbytes() if settings.estimates_overdispersion else 0
        folds = CrossValidator.nbytes(settings)
        return n_heads(settings) * state + 2 * 8 + free + folds

    def update(self, block: Block) -> FloatArray:
        """Learn a block; return the predictions of its rows from before they were learnt."""
        fold, block = block.fold, block if block.fold is None else replace(block, fold=None)
        own = self.settings.scaled(block)
        pieces = [(0, block.n_rows)]
        if self.settings.careful:
            pieces = growing_pieces(block.n_rows, self.heads[0].n_rows)
        if self._free is not None and not self.heads[0].n_rows:
            self._settle(own, pieces)
        margins = [self._update(head, own, pieces) for head in self.heads]
        left, predictions = explained(block.label, block.offset, self.settings.loss), []
        for first, last in pieces:
            rows = slice(first, last)
            offset = None if block.offset is None else block.offset[rows]
            of_piece = [of_head[rows] for of_head in margins]
            predictions.append(self.unit().of_heads(of_piece, offset))
            self._widen_range(left[rows])
        if self._free is not None and self._free.add(margins[0], own.label, own.weight):
            self.losses[0].tune(self._free.value)
        if fold is not None:
            self._folds.add(own, fold, self.linear())
        return predictions[0] if len(pieces) == 1 else np.concatenate(predictions)

    def predict(self, block: Block) -> FloatArray:
        """Return predictions in the label's unit; see `LabelUnit.of_heads`."""
        s = self.settings
        own = block if block.offset is None else scaled(block, s.center, s.scale)
        return self.unit().of_heads([head.predict(own) for head in self.heads], block.offset)

    def linear(self) -> Linear:
        """Return the weights of all margins, head by head; `unit` maps margins to predictions."""
        if len(self.heads) == 1:
            return self.heads[0].linear()
        found = [head.linear() for head in self.heads]
        return Linear(
            np.concatenate([one.intercept for one in found]),
            np.concatenate([one.dense for one in found]),
            np.concatenate([one.hashed for one in found], axis=1),
        )

    def unit(self) -> LabelUnit:
        """Return the present map from margins to predictions."""
        s = self.settings
        clips = s.clip and s.loss in REGRESSION
        low, high = map(float, self._label_range if clips else NO_RANGE)
        return LabelUnit(self.losses, s.center, s.scale, (low, high))

    def loss(self, block: Block) -> float | FloatArray:
        """Return the loss of the present model, on scaled labels, summed over rows and heads.

        It is comparable with that of learners whose losses have another shape. So for tweedie it is
        the negative log likelihood at each dispersion of a grid; see `tweedie.profiled`.
        """
        own, s = self.settings.scaled(block), self.settings
        if s.loss == "tweedie":
            rows = self.heads[0].predict(own), own.label, own.weight
            return negative_log_likelihoods(s.power, s.dispersion, *rows)
        return sum(
            loss.total(head.predict(own), own.label, own.weight)
            + loss.normaliser(own.label, own.weight)
            for loss, head in zip(self.losses, self.heads, strict=True)
        )

    def judge(self, block: Block) -> None:
        """Do nothing: a single learner has no other candidate to be compared with."""

    def best(self) -> Learner:
        """Return this learner."""
        return self

    def partition_begins(self) -> None:
        """Fade past rows, if the half-life is counted in partitions."""
        if self.settings.half_life_partitions is not None:
            factor = 0.5 ** (1 / self.settings.half_life_partitions)
            for part in (*self._additive(), self._folds):
                part.fade(factor)

    def horizon(self, done: int, planned: int) -> None:
        """Note that `planned` rows follow the first `done` ones, for rates that end there."""
        for head in self.heads:
            head.horizon(done, planned)

    def weights(self, repeats: float = 1.0) -> list[Weights]:
        """Return the weights of each head, in the label's unit unless the loss has a link."""
        center, scale = self.settings.center, self.settings.scale
        return [
            Weights(
                intercept=w.intercept * scale + center,
                dense=w.dense * scale,
                hashed=w.hashed * scale,
                covariance=None if w.covariance is None else w.covariance * scale**2,
                identified=self._counted(_in_unit(w.identified, center, scale)),
                hashed_variance=None if w.hashed_variance is None else w.hashed_variance * scale**2,
            )
            for w in (head.weights(repeats) for head in self.heads)
        ]

    @property
    def adds_up(self) -> bool:
        """Whether differences to this state can be merged; see `Learns.adds_up`."""
        adds_up = (head.adds_up for head in self._additive())
        return len(self._additive()) == len(self.heads) and self._folds.adds_up and all(adds_up)

    def cross_validations(self) -> list[CrossValidation]:
        """Return the loss of each fold by weights without it; see `Learns.cross_validations`."""
        return self._folds.results(self.linear())

    def hold(self, n_shares: int, n_rows: int) -> None:
        """Begin to learn a share of a round; see `Learns.hold`."""
        for head in self._additive():
            head.hold(n_shares, n_rows)
        if self._free is not None:
            self._free.hold()
        self._folds.hold()

    def difference(self, base: Learner) -> LearnerDifference:
        """Return what has been learnt since `hold`; see `Learns.difference`."""
        if len(self._additive()) < len(self.heads):
            raise ValueError(f"the steps of {self.settings.solver} do not add up")
        heads = zip(self._additive(), base._additive(), strict=True)
        return LearnerDifference(
            tuple(head.difference(other) for head, other in heads),  # type: ignore[arg-type]
            self._label_range.copy(),
            None if self._free is None or base._free is None else self._free.difference(base._free),
            folds=self._folds.difference(base._folds),
        )

    def merge(self, differences: Iterable[LearnerDifference]) -> None:
        """Learn what others have learnt that began as copies of this; see `Learns.merge`."""
        found = composed(differences)
        if found is None:
            return
        for head, own in zip(self._additive(), found.heads, strict=True):
            head.merge(own)  # type: ignore[arg-type]
        self._folds.merge(found.folds)
        self._widen_range(found.label_range)
        if self._free is not None and found.free is not None and self._free.merge(found.free):
            self.losses[0].tune(self._free.value)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change; see `Updater.arrays`."""
        free = {} if self._free is None else self._free.arrays()
        own = numbered(self.heads) | {LABEL_RANGE: self._label_range}
        return own | free | self._folds.arrays()

    def restore(self, state: State) -> None:
        """Continue from a state; see `Updater.restore`."""
        label_range = checked(state, LABEL_RANGE, self._label_range)
        free = None if self._free is None else self._free.restored(state)
        folds = self._folds.restored(state)
        restored(self.heads, state)
        self._label_range, self._free, self._folds = label_range, free, folds
        if free is not None:
            self.losses[0].tune(free.value)

    def _additive(self) -> list[Newton | Hybrid | Ordinal]:
        return [head for head in self.heads if isinstance(head, Newton | Hybrid | Ordinal)]

    def _counted(self, known: Identified | None) -> Identified | None:
        """Return what is known of weights, with the free shape of the loss among the parameters."""
        if self._free is None or known is None or known.fit is None:
            return known
        return replace(known, fit=known.fit.with_shape())

    def _update(self, head: Updater, block: Block, pieces: list[tuple[int, int]]) -> FloatArray:
        """Learn a block with one head; return the margins from before each piece was learnt."""
        ahead = margins_ahead(head, block, pieces) if self._has_scouts else None
        margins = head.update(block)
        return margins if ahead is None else ahead

    def _settle(self, block: Block, pieces: list[tuple[int, int]]) -> None:
        """Estimate the free shape of the loss by the first block, before it is learnt."""
        ahead = margins_ahead(self.heads[0], block, pieces) if self._has_scouts else None
        if self._free is not None and ahead is not None:
            self._free.settle(ahead, block.label, block.weight)
            self.losses[0].tune(self._free.value)

    def _widen_range(self, labels: FloatArray) -> None:
        if len(labels):
            low, high = self._label_range
            self._label_range = np.array([min(low, labels.min()), max(high, labels.max())])


def _in_unit(known: Identified | None, center: float, scale: float) -> Identified | None:
    """Return what is known of scaled weights for weights in the label's unit."""
    if known is None:
        return None
    weights = known.weights * scale
    weights[:, -1] += center
    return replace(
        known,
        weights=weights,
        covariance=known.covariance * scale**2,
        information=known.information / scale**2,
        robust=None if known.robust is None else known.robust * scale**2,
        fit=None if known.fit is None else known.fit.in_unit(scale),
    )
