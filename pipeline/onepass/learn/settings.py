"""Settings of one learner, which its state does not hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from onepass.block import Block
from onepass.learn.known import scaled
from onepass.learn.losses import SEVERAL, Loss
from onepass.learn.newton.keeps import NOTHING, Keeps
from onepass.learn.newton.saturated import Saturated
from onepass.learn.newton.slots_prior import SlotPrior
from onepass.learn.penalties import NONE, Penalties


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one learner, with every list of candidate values resolved to one value."""

    solver: str
    loss: str
    n_dense: int
    n_slots: int
    learning_rate: float | None
    l2: float
    l1: float
    schedule: str
    averaging: str
    implicit: bool
    minibatch: int
    half_life_rows: float | None
    half_life_partitions: float | None
    quantiles: tuple[float, ...]
    delta: float
    """Residual at which huber loss turns linear, in the label's unit."""
    n_classes: int
    center: float
    """Subtracted from the label; 0 for classes, counts and durations."""
    scale: float
    """Divides the label; 1 for classes, counts and durations."""
    base: float
    """Margin to start from, for newton and for losses of counts; see `bases` for softmax."""
    clip: bool
    """Whether regression predictions stay within the range of labels learnt so far.

    On some real data sets extrapolations of a linear model cost several percent of holdout loss.
    """
    bases: tuple[float, ...] = ()
    """Logarithms of the shares of several classes, to start from; empty for equal shares."""
    careful: bool = False
    """Whether a learner of few rows predicts carefully; see `ModelFile.start`."""
    by_columns: bool = False
    """Whether newton works column by column; see `ModelFile.pass_over`."""
    has_offset: bool = False
    """Whether rows have an offset, so that the first rows are kept with theirs."""
    power: float = 1.5
    """Power of the mean that the variance of tweedie loss is proportional to."""
    overdispersion: float = 1.0
    """Overdispersion of negative binomial loss."""
    estimates_overdispersion: bool = False
    """Whether learning only starts from this overdispersion, and estimates it."""
    level: float | None = None
    """Logarithm of the mean label where rows have offsets; None if it is `base`."""
    variation: float = 1.0
    """Standard deviation of the label over its mean, for losses that start from it."""
    class_weights: tuple[float, ...] = ()
    """Factor of the weight of the rows of each class; empty for 1."""
    keeps: Keeps = NOTHING
    """Sums that newton keeps for standard errors; see `ModelFile.keeps`."""
    penalties: Penalties = NONE
    """Penalties and constraints of newton beside `l2`."""
    slot_prior: SlotPrior = "believed"
    """How newton finds the prior of hashed weights; see `ModelFile.slot_prior`."""
    uncertain: bool = False
    """Whether dense weights learn beside uncertain hashed ones; see `ModelFile.slot_margins`."""
    repeats: bool = True
    """Whether class weights are numbers of rows to slots; see `ModelFile.weighted_slots`."""
    saturated: Saturated = "fitted"
    """How newton learns saturated rows; see `ModelFile.saturated`."""
    n_folds: int = 0
    """Number of folds whose losses newton keeps apart, for cross-validation; 0 for none."""

    def losses(self) -> list[Loss]:
        """Return the loss of each head, on scaled labels: one, or one for each quantile."""
        match self.loss:
            case "quantile":
                return [Loss("quantile", quantile) for quantile in self.quantiles]
            case "huber":
                return [Loss("huber", self.delta / self.scale)]
            case "tweedie":
                return [self._of_amounts("tweedie", self.power, self.power)]
            case "gamma":
                return [self._of_amounts("gamma", 0.0, 2.0)]
            case "inverse_gaussian":
                return [self._of_amounts("inverse_gaussian", 0.0, 3.0)]
            case "negative_binomial":
                return [Loss("negative_binomial", self.overdispersion)]
            case name:
                return [Loss(name, n_classes=self.n_classes if name in SEVERAL else 0)]

    @property
    def dispersion(self) -> float:
        """Dispersion of labels about a constant prediction."""
        return self.losses()[0].dispersion

    def _of_amounts(self, name: str, shape: float, power: float) -> Loss:
        """Return a loss whose variance is the dispersion times this power of the mean."""
        level = self.base if self.level is None else self.level
        steepness = math.exp((2 - power) * level)
        dispersion = max(self.variation**2, 1e-6) * steepness
        return Loss(name, shape, steepness=steepness, dispersion=dispersion)

    def scaled(self, block: Block) -> Block:
        """Return a block as updaters learn it: labels scaled, rows weighted by their class."""
        if self.class_weights:
            own = np.array(self.class_weights)[block.label.astype(np.int64)]
            return replace(block, weight=block.weight * own)
        return scaled(block, self.center, self.scale)
