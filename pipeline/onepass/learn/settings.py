"""Settings of one learner, which its state does not hold."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.learn.losses import Loss


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
    """Margins of the classes of softmax to start from; empty for 0."""
    careful: bool = False
    """Whether a learner of few rows predicts carefully; see `ModelFile.start`."""
    by_columns: bool = False
    """Whether newton works column by column; see `ModelFile.pass_over`."""
    n_folds: int = 0
    """Number of folds whose losses newton keeps apart, for cross-validation; 0 for none."""

    def losses(self) -> list[Loss]:
        """Return the loss of each head, on scaled labels: one, or one for each quantile."""
        match self.loss:
            case "quantile":
                return [Loss("quantile", quantile) for quantile in self.quantiles]
            case "huber":
                return [Loss("huber", self.delta / self.scale)]
            case name:
                return [Loss(name, n_classes=self.n_classes if name == "softmax" else 0)]
