"""The part of a learner that knows of folds; it does nothing for learners without them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, IntArray, Linear
from onepass.learn.cross_validation import CrossValidation, cross_validate
from onepass.learn.folds import Folds, FoldsDifference
from onepass.learn.losses import Loss
from onepass.learn.settings import Settings
from onepass.learn.updater import State

_PREFIX = "folds."
"""Prefix of the names of state arrays."""


class CrossValidator:
    """The folds of a learner, if its settings have any; see `Folds`.

    Parameters
    ----------
    settings
        Settings of the learner.
    loss
        Its loss, on scaled labels.
    """

    def __init__(self, settings: Settings, loss: Loss) -> None:
        s = self._settings = settings
        self._loss, self._folds = loss, None
        if s.n_folds:
            base, half_life = s.base, s.half_life_rows
            self._folds = Folds(loss, s.n_dense, s.n_folds, base=base, half_life=half_life)

    @staticmethod
    def nbytes(settings: Settings) -> int:
        """Return the most bytes that `arrays` take, without making them."""
        return Folds.nbytes(settings.n_dense, settings.n_folds) if settings.n_folds else 0

    @staticmethod
    def working_bytes(settings: Settings) -> int:
        """Return the bytes to set aside; see `Folds.working_bytes`."""
        return Folds.working_bytes(settings.n_dense, settings.n_folds) if settings.n_folds else 0

    def add(self, block: Block, fold: IntArray, linear: Linear) -> None:
        """Add the rows of a block, after they were learnt; see `Folds.add`."""
        if self._folds is not None:
            self._folds.add(block, fold, linear)

    def fade(self, factor: float) -> None:
        """Multiply the weight of all rows so far by a factor."""
        if self._folds is not None:
            self._folds.fade(factor)

    def results(self, linear: Linear) -> list[CrossValidation]:
        """Return the cross-validation, given the present weights; see `cross_validate`."""
        if self._folds is None:
            return []
        found = cross_validate(
            self._folds.expanded(linear), self._settings.l2, self._settings.scale
        )
        return [] if found is None else [found]

    @property
    def adds_up(self) -> bool:
        """Whether differences to this state can be merged; see `Learns.adds_up`."""
        return self._folds is None or self._folds.adds_up

    def hold(self) -> None:
        """Begin to learn a share of a round; see `Learns.hold`."""
        if self._folds is not None:
            self._folds.hold()

    def difference(self, base: CrossValidator) -> FoldsDifference | None:
        """Return what has been added since `hold`; see `Learns.difference`."""
        if self._folds is None or base._folds is None:
            return None
        return self._folds.difference(base._folds)

    def merge(self, found: FoldsDifference | None) -> None:
        """Add what others have learnt that began as copies of this; see `Learns.merge`."""
        if self._folds is not None and found is not None:
            self._folds.merge(found)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change; see `Updater.arrays`."""
        arrays = {} if self._folds is None else self._folds.arrays()
        return {f"{_PREFIX}{name}": array for name, array in arrays.items()}

    def restored(self, state: State) -> CrossValidator:
        """Return another one of the same settings, which continues from a state.

        Raises
        ------
        ValueError
            If an array is missing or has another shape.
        """
        found = CrossValidator(self._settings, self._loss)
        if found._folds is not None:
            own = (name for name in state if name.startswith(_PREFIX))
            found._folds.restore({name.removeprefix(_PREFIX): state[name] for name in own})
        return found
