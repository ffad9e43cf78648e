"""A learner in the label's own unit: updaters, the label's scale, the range it has seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.learn.firstorder.solver import FirstOrder, Steps
from onepass.learn.losses import REGRESSION, Loss
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.newton import Newton
from onepass.learn.unit import NO_RANGE, LabelUnit
from onepass.learn.updater import State, Updater, Weights, checked, copied, numbered, restored

LABEL_RANGE = "label_range"
"""Array of a state with the least and the largest label learnt so far."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a learner is made from; lists are resolved to one value each."""

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
    """In the label's unit."""
    n_classes: int
    center: float
    """Of the label; 0 for classes, counts and durations."""
    scale: float
    """Of the label; 1 for classes, counts and durations."""
    base: float
    """Margin to start from."""
    clip: bool
    """Whether regression predictions stay within the range of labels learnt so far. A linear
    model's wild extrapolations cost 4-18 % of holdout loss on three of ten real sets."""

    def losses(self) -> list[Loss]:
        """The loss of each head: one, or one for each quantile, on scaled labels."""
        match self.loss:
            case "quantile":
                return [Loss("quantile", quantile) for quantile in self.quantiles]
            case "huber":
                return [Loss("huber", self.delta / self.scale)]
            case name:
                return [Loss(name, n_classes=self.n_classes if name == "softmax" else 0)]


class Learns(Protocol):
    """What training needs of a learner, or of several that are tried side by side."""

    def update(self, block: Block) -> FloatArray:
        """Learn a block; return the prediction of each row from before it was learnt."""
        ...

    def judge(self, block: Block) -> None:
        """Score rows that are never learnt."""
        ...

    def best(self) -> Learner:
        """The learner whose predictions count."""
        ...

    def partition_begins(self) -> None:
        """Take note that the rows of the next partition follow."""
        ...

    def horizon(self, done: int, planned: int) -> None:
        """Take note that `planned` rows follow the first `done` ones."""
        ...

    def weights(self) -> list[Weights]:
        """Weights of each head."""
        ...

    def arrays(self) -> State:
        """All arrays that change, as they are; see `Updater.arrays`."""
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all arrays; see `Updater.state`."""
        ...

    def restore(self, state: State) -> None:
        """Take over a state; see `Updater.restore`."""
        ...


class Learner:
    """Wraps updaters so that labels go in and predictions come out in the label's unit.

    There is one updater for each head: one, or one for each quantile of quantile loss.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.losses = settings.losses()
        self.heads = [_make_updater(settings, loss) for loss in self.losses]
        self._label_range = np.array(NO_RANGE)

    def update(self, block: Block) -> FloatArray:
        """Learn a block; return the prediction of each row from before it was learnt."""
        scaled = self._scaled(block)
        predictions = self.unit().of_heads([head.update(scaled) for head in self.heads])
        if block.n_rows:
            low, high = self._label_range
            low, high = min(low, block.label.min()), max(high, block.label.max())
            self._label_range = np.array([low, high])
        return predictions

    def predict(self, block: Block) -> FloatArray:
        """Predictions in the label's unit; see `LabelUnit.of_heads`."""
        return self.unit().of_heads([head.predict(block) for head in self.heads])

    def linear(self) -> Linear:
        """The weights of all heads by their margins, of which `unit` makes predictions."""
        if len(self.heads) == 1:
            return self.heads[0].linear()
        found = [head.linear() for head in self.heads]
        return Linear(
            np.concatenate([one.intercept for one in found]),
            np.concatenate([one.dense for one in found]),
            np.concatenate([one.hashed for one in found], axis=1),
        )

    def unit(self) -> LabelUnit:
        """What turns margins into predictions, as it is now."""
        s = self.settings
        clips = s.clip and s.loss in REGRESSION
        low, high = map(float, self._label_range if clips else NO_RANGE)
        return LabelUnit(self.losses, s.center, s.scale, (low, high))

    def loss(self, block: Block) -> float:
        """Sum over rows and heads of the loss of the model as it stands, on scaled labels."""
        scaled = self._scaled(block)
        return sum(
            loss.total(head.predict(scaled), scaled.label, scaled.weight)
            for loss, head in zip(self.losses, self.heads, strict=True)
        )

    def judge(self, block: Block) -> None:
        """Score rows that are never learnt: nothing to compare with here."""

    def best(self) -> Learner:
        """The learner whose predictions count: this one."""
        return self

    def partition_begins(self) -> None:
        """Let what has been learnt age, where `half_life` is counted in partitions."""
        if self.settings.half_life_partitions is not None:
            for head in self.heads:
                if isinstance(head, Newton | Hybrid):
                    head.fade(0.5 ** (1 / self.settings.half_life_partitions))

    def horizon(self, done: int, planned: int) -> None:
        """Take note that `planned` rows follow the first `done` ones."""
        for head in self.heads:
            head.horizon(done, planned)

    def weights(self) -> list[Weights]:
        """Weights of each head in the label's unit (by the margin where a link lies between)."""
        center, scale = self.settings.center, self.settings.scale
        return [
            Weights(
                intercept=w.intercept * scale + center,
                dense=w.dense * scale,
                hashed=w.hashed * scale,
                covariance=None if w.covariance is None else w.covariance * scale**2,
            )
            for w in (head.weights() for head in self.heads)
        ]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """See `Updater.arrays`."""
        return numbered(self.heads) | {LABEL_RANGE: self._label_range}

    def restore(self, state: State) -> None:
        """Take over a state; see `Updater.restore`."""
        label_range = checked(state, LABEL_RANGE, self._label_range)
        restored(self.heads, state)
        self._label_range = label_range

    def _scaled(self, block: Block) -> Block:
        if (self.settings.center, self.settings.scale) == (0.0, 1.0):
            return block
        return replace(block, label=(block.label - self.settings.center) / self.settings.scale)


def _make_updater(settings: Settings, loss: Loss) -> Updater:
    s = settings
    if s.solver != "newton":
        steps = Steps(
            learning_rate=s.learning_rate or 1.0,
            schedule=s.schedule,
            averages=s.averaging == "polynomial",
            implicit=s.implicit,
            minibatch=s.minibatch,
            l1=s.l1,
            l2=s.l2,
        )
        return FirstOrder(s.solver, loss, s.n_dense, s.n_slots, steps, base=s.base)
    if s.n_slots:
        return Hybrid(loss, s.n_dense, s.n_slots, l2=s.l2, base=s.base, half_life=s.half_life_rows)
    return Newton(loss, s.n_dense, l2=s.l2, base=s.base, half_life=s.half_life_rows)
