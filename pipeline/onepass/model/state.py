"""What training changes: the learner, and the frequent values seen on the way.

Both are one state. It is written after every partition and put back before the next run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray
from onepass.encode.encoder import Encoded
from onepass.encode.frequent import Frequent
from onepass.errors import Diverged, ForeignModel
from onepass.learn.candidates import Candidates
from onepass.learn.learner import LABEL_RANGE, Learns
from onepass.learn.unit import NO_RANGE
from onepass.learn.updater import copied
from onepass.ledger.npz import Writable, dump_state, load_state, write_state
from onepass.ledger.store import Content

_FREQUENT = "frequent"


class Trainee:
    """A learner with the most frequent values of the hashed columns.

    Parameters
    ----------
    learner
        Fresh, or at least of the same settings as the states to restore.
    frequent
        Of the hashed columns.
    """

    def __init__(self, learner: Learns, frequent: Frequent) -> None:
        self.learner, self.frequent = learner, frequent
        self._snapshot: dict[str, NDArray[np.generic]] = {}

    def learn(self, encoded: Encoded, held_out: Block | None) -> FloatArray:
        """Learn a block; return the prediction of each row from before it was learnt."""
        self.frequent.add(encoded.frequent)
        predictions = self.learner.update(encoded.block)
        if held_out is not None:
            self.learner.judge(held_out)
        return predictions

    def standings(self) -> list[dict[str, Any]]:
        """How the candidates do; empty where there is one learner only."""
        if not isinstance(self.learner, Candidates):
            return []
        return [asdict(standing) for standing in self.learner.standings()]

    def dump(self) -> bytes:
        """The state as the bytes of a file."""
        return dump_state({**self.learner.arrays(), _FREQUENT: self.frequent.dump()})

    def snapshot(self) -> Content:
        """The state as it is now, to be written while learning goes on.

        It takes the memory of the snapshot before, which is to be written by then. Writing it
        raises `Diverged` if it is not finite: learners look at what they see anyway, a commit is
        for ever.
        """
        self._snapshot = copied(self.learner.arrays(), self._snapshot)
        return partial(_write_finite, self._snapshot | {_FREQUENT: self.frequent.dump()})

    def forget_snapshot(self) -> None:
        """Give back the memory of the last snapshot, which must have been written."""
        self._snapshot = {}

    def restore(self, data: bytes, key: str) -> None:
        """Take over a state.

        Raises
        ------
        ForeignModel
            If it is damaged, its arrays are not those of this model, or they are not finite: none
            such is ever committed, and it would predict NaN. Names the file `key`.
        """
        try:
            state = load_state(data)
        except ForeignModel as error:
            raise ForeignModel(f"{key} is {error}") from None
        try:
            if name := _first_not_finite(state):
                raise ValueError(f"state {name!r}: expected finite numbers, found NaN or infinity")
            if _FREQUENT not in state:
                raise ValueError(f"state {_FREQUENT!r} is missing")
            self.learner.restore(state)
            self.frequent.load(np.asarray(state[_FREQUENT], np.uint8))
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
    """Name of an array that holds NaN or infinity where there must be none."""
    for name, array in arrays.items():
        # Of a learner that has seen no label yet, or of a candidate that is out.
        is_empty = name.rpartition(".")[2] == LABEL_RANGE and np.array_equal(array, NO_RANGE)
        if array.dtype.kind == "f" and not is_empty and not np.isfinite(array).all():
            return name
    return None
