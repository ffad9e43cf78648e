"""The state of a model: everything that training changes and a commit writes.

It consists of the learner and of the counts of frequent values. It is written after every group of
partitions and restored before the next run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray
from onepass.encode.encoder import Encoded
from onepass.encode.frequent import Frequent, FrequentDifference
from onepass.errors import Diverged, ForeignModel
from onepass.learn.candidates import Candidates
from onepass.learn.learner import LABEL_RANGE
from onepass.learn.learns import Learns
from onepass.learn.merging import Difference, composed
from onepass.learn.unit import NO_RANGE
from onepass.learn.updater import copied
from onepass.ledger.npz import Writable, dump_state, load_state, write_state
from onepass.ledger.store import Content

_FREQUENT = "frequent"


@dataclass(frozen=True, slots=True)
class StateDifference:
    """The difference between a state and the base that it was copied from."""

    learner: Difference
    frequent: FrequentDifference

    def then(self, later: StateDifference) -> StateDifference:
        """Return the difference of a learner that learns these rows, then the later ones."""
        learner = self.learner.then(later.learner)  # type: ignore[arg-type]
        return StateDifference(learner, self.frequent.then(later.frequent))


class ModelState:
    """A learner, and counts of the most frequent values of the hashed columns.

    Parameters
    ----------
    learner
        Learner with the settings of the states that are to be restored.
    frequent
        Counts for the hashed columns.
    """

    def __init__(self, learner: Learns, frequent: Frequent) -> None:
        self.learner, self.frequent = learner, frequent
        self._snapshot: dict[str, NDArray[np.generic]] = {}

    def learn(self, encoded: Encoded, held_out: Block | None) -> FloatArray:
        """Learn a block; return the prediction of each row from before the row was learnt.

        Parameters
        ----------
        held_out
            Rows that score the candidates and are not learnt; None if the model has no candidates.

        Returns
        -------
        Predictions in the label's unit; see `LabelUnit.of_heads` for their shape.
        """
        self.frequent.add(encoded.frequent)
        predictions = self.learner.update(encoded.block)
        if held_out is not None:
            self.learner.judge(held_out)
        return predictions

    def standings(self) -> list[dict[str, Any]]:
        """Return the fields of each candidate's `Standing`; empty if there is one learner."""
        if not isinstance(self.learner, Candidates):
            return []
        return [asdict(standing) for standing in self.learner.standings()]

    @property
    def adds_up(self) -> bool:
        """Whether several states may go on from this one, to be merged; see `Learns.adds_up`."""
        return self.learner.adds_up

    def hold(self, n_shares: int, n_rows: int) -> None:
        """Begin to learn a share of a round; see `Learns.hold`."""
        self.learner.hold(n_shares, n_rows)
        self.frequent.hold()

    def difference(self, base: ModelState) -> StateDifference:
        """Return what has been learnt since `hold`, when this was a copy of `base`."""
        return StateDifference(self.learner.difference(base.learner), self.frequent.difference())

    def merge(self, differences: Iterable[StateDifference]) -> None:
        """Learn what others have learnt that began as copies of this; see `Learns.merge`."""
        found = composed(differences)
        if found is not None:
            self.learner.merge([found.learner])
            self.frequent.add(found.frequent.counts)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays of the state, those of the learner without copying them."""
        return {**self.learner.arrays(), _FREQUENT: self.frequent.dump()}

    def load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Replace this state by copies of the arrays of another one.

        Raises
        ------
        ValueError
            If an array is missing or has another shape.
        """
        if _FREQUENT not in state:
            raise ValueError(f"state {_FREQUENT!r} is missing")
        self.learner.restore(state)
        self.frequent.load(np.asarray(state[_FREQUENT], np.uint8))

    def dump(self) -> bytes:
        """Return the content of a state file."""
        return dump_state(self.arrays())

    def snapshot(self) -> Content:
        """Copy the state, so that it can be written while learning goes on.

        The copy reuses the memory of the previous snapshot, which must have been written by now.

        Returns
        -------
        A function that writes the copy to a stream. It raises `Diverged` if a number is not finite:
        learners check only the weights that they use, and such a state must not be committed.
        """
        self._snapshot = copied(self.learner.arrays(), self._snapshot)
        return partial(_write_finite, self._snapshot | {_FREQUENT: self.frequent.dump()})

    def forget_snapshot(self) -> None:
        """Free the memory of the last snapshot, which must have been written."""
        self._snapshot = {}

    def restore(self, data: bytes, key: str) -> None:
        """Replace this state by the content of a state file.

        Parameters
        ----------
        key
            Name of the file, for messages.

        Raises
        ------
        ForeignModel
            If the content is damaged, its arrays do not fit this model, or a number is not finite.
            A state with NaN or infinity is never committed, and would predict NaN.
        """
        try:
            state = load_state(data)
        except ForeignModel as error:
            raise ForeignModel(f"{key} is {error}") from None
        try:
            if name := _first_not_finite(state):
                raise ValueError(f"state {name!r}: expected finite numbers, found NaN or infinity")
            self.load(state)
        except ValueError as error:
            raise ForeignModel(
                f"{key} does not fit the model: {error}; go back to a version before it: "
                "onepass rewind DIR --to VERSION"
            ) from None


def _write_finite(arrays: Mapping[str, NDArray[np.generic]], stream: Writable) -> None:
    if name := _first_not_finite(arrays):
        raise Diverged(
            f"the state of the learner ({name}) is no longer finite, and is not committed; "
            "look for absurd values, or train a new model with a smaller --learning-rate"
        )
    write_state(arrays, stream)


def _first_not_finite(arrays: Mapping[str, NDArray[np.generic]]) -> str | None:
    """Return the name of an array that holds NaN or infinity where none may be."""
    for name, array in arrays.items():
        # The range of labels is infinite before the first label, as in a candidate that diverged.
        is_empty = name.rpartition(".")[2] == LABEL_RANGE and np.array_equal(array, NO_RANGE)
        if array.dtype.kind == "f" and not is_empty and not np.isfinite(array).all():
            return name
    return None
