"""The interface that training uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray
from onepass.learn.cross_validation import CrossValidation
from onepass.learn.updater import State, Weights

if TYPE_CHECKING:
    from onepass.learn.learner import Learner


class Learns(Protocol):
    """The interface that training uses: one learner, or several candidates side by side."""

    def update(self, block: Block) -> FloatArray:
        """Learn a block; return the predictions of its rows from before they were learnt."""
        ...

    def judge(self, block: Block) -> None:
        """Score the candidates on rows that are never learnt."""
        ...

    def best(self) -> Learner:
        """Return the learner whose predictions count."""
        ...

    def partition_begins(self) -> None:
        """Note that the rows of the next partition follow."""
        ...

    def horizon(self, done: int, planned: int) -> None:
        """Note that `planned` rows follow the first `done` ones, for rates that end there."""
        ...

    @property
    def adds_up(self) -> bool:
        """Whether several learners may go on from this state, to be merged afterwards.

        False for solvers whose steps do not add up, and while too little is known: before the
        first row, while newton keeps the first rows, and before slots have a prior.
        """
        ...

    def hold(self, n_shares: int, n_rows: int) -> None:
        """Begin to learn a share of a round.

        From now on nothing is refreshed that all learners of the round share: the scale of
        features, the prior of slots, the windows of scores.

        Parameters
        ----------
        n_shares
            Number of learners of the round.
        n_rows
            Number of rows that all of them learn together, approximately.
        """
        ...

    def difference(self, base: Self) -> Any:
        """Return what has been learnt since `hold`, when this was a copy of `base`.

        Returns
        -------
        A value that can be pickled and never changes; see `merging.Composes`.
        """
        ...

    def merge(self, differences: Iterable[Any]) -> None:
        """Learn what others have learnt that began as copies of this, the base, in order.

        All are added first. Then what is due is refreshed, and then the weights are computed.

        Raises
        ------
        Diverged
            If the weights are no longer finite.
        """
        ...

    def cross_validations(self) -> list[CrossValidation]:
        """Return the cross-validation of each candidate that has one.

        Empty without folds, and while fewer than two folds have rows.
        """
        ...

    def weights(self, repeats: float = 1.0) -> list[Weights]:
        """Return the weights of each head."""
        ...

    def arrays(self) -> State:
        """Return all arrays that change, without copying them; see `Updater.arrays`."""
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays; see `Updater.state`."""
        ...

    def restore(self, state: State) -> None:
        """Continue from a state; see `Updater.restore`."""
        ...
