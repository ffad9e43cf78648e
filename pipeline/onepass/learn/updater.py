"""The protocol of a stateful learner, and what it gives away of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.learn.objective import Objective, Sums

State = Mapping[str, NDArray[np.generic]]
"""Arrays by name: everything that a learner needs to go on as if it had never stopped."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the features as they stand in a block.

    Losses with several margins (softmax) have one more axis, of length n_outputs.
    """

    intercept: float | FloatArray
    """A number, or shape (n_outputs,)."""
    dense: FloatArray
    """Shape (n_dense,), or (n_outputs, n_dense)."""
    hashed: FloatArray
    """Shape (n_slots,), or (n_slots, n_outputs)."""
    covariance: FloatArray | None
    """Of the dense weights and the intercept behind them, output by output, where the learner knows
    its curvature; shape (n_outputs * (n_dense + 1),) squared."""

    @classmethod
    def of(cls, linear: Linear, covariance: FloatArray | None, *, several: bool) -> Weights:
        """Weights by the margin, of which a loss may have `several`."""
        if several:
            hashed = linear.hashed.astype(np.float64)
            return cls(linear.intercept, linear.dense, hashed, covariance)
        hashed = linear.hashed.reshape(-1).astype(np.float64)
        return cls(float(linear.intercept[0]), linear.dense[0], hashed, covariance)


class Updater(Protocol):
    """Learns from blocks, one after another.

    Labels and margins are on the learner's scale (see `Learner`). An updater is not thread-safe.
    """

    def update(self, block: Block) -> FloatArray:
        """Learn a block in place; return the margin of each row from before it was learnt.

        Raises
        ------
        Diverged
            If the weights are no longer finite.
        """
        ...

    def predict(self, block: Block) -> FloatArray:
        """Margin of each row, shape (n_rows,)."""
        ...

    def horizon(self, done: int, planned: int) -> None:
        """Take note that `planned` rows follow the first `done` ones, for rates that end there."""
        ...

    def objective(self) -> Objective:
        """What is minimised, for batch passes over all rows."""
        ...

    def point(self) -> FloatArray:
        """All weights that `predict` uses, flat, as `objective` takes them."""
        ...

    def adopt(self, point: FloatArray, sums: Sums, *, newton_step: bool) -> None:
        """Go on from weights that a batch rule has found.

        Parameters
        ----------
        sums
            Over all rows at the point, with curvature.
        newton_step
            Whether to go on to the minimum of the quadratic model there, where there is one.
        """
        ...

    def linear(self) -> Linear:
        """The weights that `predict` uses; learning on does not change them."""
        ...

    def weights(self) -> Weights:
        """The same, with what is known of their errors."""
        ...

    def arrays(self) -> State:
        """All arrays that change, as they are; same names and dtypes at any time, and, but for rows
        that are kept at first, the same shapes."""
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of `arrays`.

        Restored into an updater of the same settings, the rest of the stream gives the same bytes
        on the same kind of machine with the same library versions.
        """
        ...

    def restore(self, state: State) -> None:
        """Take over what `state` gave.

        Raises
        ------
        ValueError
            If an array is missing or has another shape.
        """
        ...


class Restorable(Protocol):
    """Anything with a state."""

    def arrays(self) -> State:
        """All arrays that change, as they are."""
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all arrays that change."""
        ...

    def restore(self, state: State) -> None:
        """Take over what `state` gave."""
        ...


def copied(arrays: State, kept: State | None = None) -> dict[str, NDArray[np.generic]]:
    """Copies of arrays, in the memory of some that are no longer needed where they fit.

    With 2^22 slots of four numbers each a copy into new memory took 50 to 200 ms beside tasks that
    ask for memory, too, and 12 to 25 into memory that is there.
    """
    found = {}
    for name, array in arrays.items():
        old = (kept or {}).get(name)
        if old is None or (old.shape, old.dtype) != (array.shape, array.dtype):
            found[name] = array.copy()
        else:
            np.copyto(old, array)
            found[name] = old
    return found


def numbered(parts: Sequence[Restorable]) -> dict[str, NDArray[np.generic]]:
    """The arrays of parts, called ``number.name``."""
    return {
        f"{number}.{name}": array
        for number, part in enumerate(parts)
        for name, array in part.arrays().items()
    }


def restored(parts: Sequence[Restorable], state: State) -> None:
    """Restore parts by arrays as `numbered` calls them: all of them, or none.

    Raises
    ------
    ValueError
        If the arrays of one part are not those it needs.
    """
    before = [part.state() for part in parts]
    try:
        for number, part in enumerate(parts):
            prefix = f"{number}."
            own = {n.removeprefix(prefix): a for n, a in state.items() if n.startswith(prefix)}
            part.restore(own)
    except ValueError:
        for part, earlier in zip(parts, before, strict=True):
            part.restore(earlier)
        raise


def checked(
    state: State, name: str, like: NDArray[np.generic], *, any_rows: bool = False
) -> NDArray[Any]:
    """An array of a state, copied, after its shape and dtype have been compared with `like`.

    Parameters
    ----------
    any_rows
        Whether its first axis may have any length.

    Raises
    ------
    ValueError
        If it is missing or differs.
    """
    found = state.get(name)
    first = 1 if any_rows else 0
    fits = (
        found is not None
        and found.ndim == like.ndim
        and found.shape[first:] == like.shape[first:]
        and found.dtype == like.dtype
    )
    if found is None or not fits:
        shown = None if found is None else (found.shape, str(found.dtype))
        raise ValueError(f"state {name!r}: expected {(like.shape, str(like.dtype))}, found {shown}")
    return found.copy()
