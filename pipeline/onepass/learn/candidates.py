"""Several learners trained side by side on the same blocks; the best on held-out rows is the model.

No candidate learns the held-out rows. Each is scored with the weights that `predict` uses. The
progressive loss would be no fair score: it is computed with the present weights, also for
candidates that predict with averages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray
from onepass.errors import Diverged
from onepass.learn.cross_validation import CrossValidation
from onepass.learn.learner import Learner
from onepass.learn.merging import CandidatesDifference, LearnerDifference, composed
from onepass.learn.settings import Settings
from onepass.learn.tweedie import N_DISPERSIONS, profiled
from onepass.learn.updater import State, Weights, checked, copied, numbered, restored

_FIRST_WINDOW = 256
"""Held-out rows in the first window of scores."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One candidate and its score."""

    learning_rate: float | None
    l2: float
    loss: float | None
    """Mean loss per held-out row, on scaled labels, over the newer half of the rows at least.

    None before the first held-out row, and for a candidate that has diverged.
    """
    chosen: bool
    """Whether the candidate is the model now."""
    power: float | None = None
    """Power of the variance of tweedie loss; None for other losses."""


class Candidates:
    """Learners with different settings; see `Learns`.

    Scores are sums over two windows of held-out rows: the present one, and the one before. The next
    window begins when the present one has twice the rows of the one before. So the scores forget
    how a candidate began.

    Parameters
    ----------
    settings
        Settings of the candidates, at least one.
    """

    def __init__(self, settings: Sequence[Settings]) -> None:
        self._learners = [Learner(one) for one in settings]
        shape = (N_DISPERSIONS,) if settings[0].loss == "tweedie" else ()
        self._losses = np.zeros((2, len(self._learners), *shape))
        self._weight = np.zeros(2)
        self._n_rows = np.zeros(2, np.int64)
        self._out = np.zeros(len(self._learners), bool)
        self._is_held = False

    def update(self, block: Block) -> FloatArray:
        """Learn a block with each candidate; return the predictions of the one best before.

        A candidate that diverges is excluded from then on.

        Raises
        ------
        Diverged
            If no candidate is left.
        """
        best = self._best()
        predictions = [self._update(number, block) for number in range(len(self._learners))]
        return predictions[best]

    def judge(self, block: Block) -> None:
        """Score held-out rows with each candidate."""
        if not block.n_rows:
            return
        self._begin_window_if_due()
        self._losses[0] += np.array([learner.loss(block) for learner in self._learners])
        self._weight[0] += self._learners[0].settings.scaled(block).weight.sum()
        self._n_rows[0] += block.n_rows

    def best(self) -> Learner:
        """Return the candidate whose predictions count."""
        return self._learners[self._best()]

    @property
    def adds_up(self) -> bool:
        """Whether differences to each candidate can be merged; see `Learns.adds_up`."""
        left = zip(self._learners, self._out, strict=True)
        return all(learner.adds_up for learner, is_out in left if not is_out)

    def hold(self, n_shares: int, n_rows: int) -> None:
        """Begin to learn a share of a round; see `Learns.hold`."""
        self._is_held = True
        for learner in self._learners:
            learner.hold(n_shares, n_rows)

    def difference(self, base: Candidates) -> CandidatesDifference:
        """Return what has been learnt since `hold`; see `Learns.difference`."""
        learners = zip(self._learners, base._learners, self._out, strict=True)
        losses = self._of_those_left(self._losses[0] - base._losses[0])
        return CandidatesDifference(
            tuple(None if is_out else one.difference(other) for one, other, is_out in learners),
            losses,
            float(self._weight[0] - base._weight[0]),
            int(self._n_rows[0] - base._n_rows[0]),
        )

    def merge(self, differences: Iterable[CandidatesDifference]) -> None:
        """Learn what others have learnt that began as copies of this; see `Learns.merge`.

        A candidate that diverged in one of them, or in the merge, is excluded from then on.
        """
        found = composed(differences)
        if found is None:
            return
        if found.n_rows:
            self._begin_window_if_due()
        for number, one in enumerate(found.learners):
            if not self._out[number]:
                self._merge(number, one)
        self._losses[0] += self._of_those_left(found.losses)
        self._weight[0] += found.weight
        self._n_rows[0] += found.n_rows

    def standings(self) -> list[Standing]:
        """Return each candidate with its score, in the order of the settings."""
        weight, best = float(self._weight.sum()), self._best()
        losses = self._totals() / weight if weight else None
        return [
            Standing(
                learner.settings.learning_rate,
                learner.settings.l2,
                None if losses is None or self._out[i] else float(losses[i]),
                i == best,
                learner.settings.power if learner.settings.loss == "tweedie" else None,
            )
            for i, learner in enumerate(self._learners)
        ]

    def cross_validations(self) -> list[CrossValidation]:
        """Return the cross-validation of each candidate; see `Learns.cross_validations`."""
        best = self._best()
        return [
            replace(found, chosen=number == best)
            for number, learner in enumerate(self._learners)
            for found in learner.cross_validations()
        ]

    def weights(self, repeats: float = 1.0) -> list[Weights]:
        """Return the weights of the best candidate."""
        return self.best().weights(repeats)

    def partition_begins(self) -> None:
        """Tell each candidate that the rows of the next partition follow."""
        for learner in self._learners:
            learner.partition_begins()

    def horizon(self, done: int, planned: int) -> None:
        """Note that `planned` rows follow the first `done` ones, for rates that end there."""
        for learner in self._learners:
            learner.horizon(done, planned)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change; see `Updater.arrays`."""
        return numbered(self._learners) | self._scores()

    def restore(self, state: State) -> None:
        """Continue from a state; see `Updater.restore`."""
        found = {name: checked(state, name, like) for name, like in self._scores().items()}
        restored(self._learners, state)
        self._losses, self._weight = found["losses"], found["weight"]
        self._n_rows, self._out = found["n_rows"], found["out"]

    def _scores(self) -> dict[str, NDArray[np.generic]]:
        return {
            "losses": self._losses,
            "weight": self._weight,
            "n_rows": self._n_rows,
            "out": self._out,
        }

    def _of_those_left(self, losses: FloatArray) -> FloatArray:
        out = self._out.reshape(-1, *[1] * (losses.ndim - 1))
        return np.where(out, 0.0, losses)

    def _totals(self) -> FloatArray:
        """Return the sum of losses of each candidate over both windows."""
        losses: FloatArray = self._losses.sum(axis=0)
        return losses if losses.ndim == 1 else profiled(losses)

    def _best(self) -> int:
        losses = self._totals()
        usable = np.isfinite(losses) & ~self._out
        return int(np.argmin(np.where(usable, losses, np.inf)))

    def _update(self, number: int, block: Block) -> FloatArray:
        learner = self._learners[number]
        if self._out[number]:
            return learner.predict(block)
        try:
            return learner.update(block)
        except Diverged:
            self._exclude(number)
            if self._out.all():
                raise
            return self._learners[number].predict(block)

    def _merge(self, number: int, found: LearnerDifference | None) -> None:
        try:
            if found is None:
                raise Diverged("a candidate has diverged; look for absurd values")
            self._learners[number].merge([found])
        except Diverged:
            self._exclude(number)
            if self._out.all():
                raise

    def _exclude(self, number: int) -> None:
        self._out[number] = True
        self._losses[:, number] = 0.0
        # A new learner in its place has finite arrays, which states can hold.
        self._learners[number] = Learner(self._learners[number].settings)

    def _begin_window_if_due(self) -> None:
        if not self._is_held and self._n_rows[0] > max(_FIRST_WINDOW, 2 * self._n_rows[1]):
            for newest_first in (self._losses, self._weight, self._n_rows):
                newest_first[1] = newest_first[0]
                newest_first[0] = 0
