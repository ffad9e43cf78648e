"""The protocol of a stateful learner, its weights, and helpers for states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.learn.likelihood import FitStatistics
from onepass.learn.objective import Objective, Sums

State = Mapping[str, NDArray[np.generic]]
"""Arrays by name, with which a learner goes on as if it had never stopped."""


@dataclass(frozen=True, slots=True)
class Identified:
    """Weights that the rows determine, on raw features, with their uncertainty."""

    weights: FloatArray
    """Shape (n_outputs, n_dense + 1), intercepts last; 0 for aliased features."""
    covariance: FloatArray
    """Covariance of `weights`, flat; NaN for aliased features, and for those that never varied."""
    aliased: NDArray[np.bool_]
    """Whether each feature is a combination of features before it, shape (n_dense,)."""
    freedom: float
    """Number of rows less that of weights."""
    mass: FloatArray
    """Weighted sum of each feature, shape (n_dense,)."""
    deviation: FloatArray
    """Standard deviation of each feature, shape (n_dense,)."""
    information: FloatArray
    """Curvature of the loss along each weight alone, shape of `weights`.

    For a 0/1 feature it is the sum over its rows: of p (1 - p) for classes, of the mean for
    counts.
    """
    robust: FloatArray | None = None
    """Covariance of `weights` that holds for any variance of the labels, of the shape of
    `covariance`: for rows that are independent, or for clusters that are; None if not kept."""
    clusters: int | None = None
    """Number of clusters; None if rows are taken as independent."""
    fit: FitStatistics | None = None
    """How well the weights fit the rows."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights on the raw features of a block.

    Losses with several margins (softmax) have one more axis, of length n_outputs.
    """

    intercept: float | FloatArray
    """A number, or shape (n_outputs,)."""
    dense: FloatArray
    """Shape (n_dense,), or (n_outputs, n_dense)."""
    hashed: FloatArray
    """Shape (n_slots,), or (n_slots, n_outputs)."""
    covariance: FloatArray | None
    """Covariance of the dense weights, each output's followed by its intercept.

    Shape (n_outputs * (n_dense + 1),) squared; NaN for features that are aliased or never varied.
    None for learners that do not know their curvature.
    """
    identified: Identified | None = None
    """Weights that the rows determine; None for learners that do not know their curvature."""
    hashed_variance: FloatArray | None = None
    """Variance of each hashed weight, shape of `hashed`; None for learners that do not know it.

    That of a slot that no row has hit is the variance of the prior.
    """

    @classmethod
    def of(cls, linear: Linear, known: Identified | None, *, several: bool) -> Weights:
        """Return the weights in the shapes of one margin, or of `several`."""
        covariance = None if known is None else known.covariance
        if several:
            hashed = linear.hashed.astype(np.float64)
            return cls(linear.intercept, linear.dense, hashed, covariance, known)
        hashed = linear.hashed.reshape(-1).astype(np.float64)
        return cls(float(linear.intercept[0]), linear.dense[0], hashed, covariance, known)


class Updater(Protocol):
    """A learner that is updated block by block.

    Labels and margins are on the learner's scale (see `Learner`). An updater is not thread-safe.
    """

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight learnt so far."""
        ...

    def update(self, block: Block) -> FloatArray:
        """Learn a block; return the margin of each row from before it was learnt.

        Raises
        ------
        Diverged
            If the weights are no longer finite.
        """
        ...

    def predict(self, block: Block) -> FloatArray:
        """Return the margin of each row, shape (n_rows,), or (n_rows, n_classes) for softmax."""
        ...

    def horizon(self, done: int, planned: int) -> None:
        """Note that `planned` rows follow the first `done` ones, for rates that end there."""
        ...

    def objective(self) -> Objective:
        """Return the objective that a batch rule minimises over all rows."""
        ...

    def point(self) -> FloatArray:
        """Return all weights that `predict` uses, flat, as `objective` takes them."""
        ...

    def adopt(self, point: FloatArray, sums: Sums, *, trusted: bool) -> None:
        """Go on from exactly the weights that a batch rule has found.

        Parameters
        ----------
        sums
            Loss and derivatives of all rows at the point, with curvature.
        trusted
            Whether the curvature at the point tells what happens at some distance.
        """
        ...

    def linear(self) -> Linear:
        """Return copies of the weights that `predict` uses."""
        ...

    def weights(self, repeats: float = 1.0) -> Weights:
        """Return copies of the weights that `predict` uses, with their covariance if known.

        Parameters
        ----------
        repeats
            How often each row was learnt, on average; a row gives its information once.
        """
        ...

    def arrays(self) -> State:
        """Return all arrays that change, by name, without copying them.

        Names and dtypes are the same at any time, except for the anchor that some refined weights
        have. So are the shapes, except for those of the first rows that newton keeps for a while.
        """
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of `arrays`.

        Restored into an updater of the same settings, the rest of the stream gives the same bytes
        on the same kind of machine with the same library versions.
        """
        ...

    def restore(self, state: State) -> None:
        """Continue from a result of `state`.

        Raises
        ------
        ValueError
            If an array is missing or has another shape.
        """
        ...


class Restorable(Protocol):
    """An object whose state can be taken and restored."""

    def arrays(self) -> State:
        """Return all arrays that change, without copying them."""
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays that change."""
        ...

    def restore(self, state: State) -> None:
        """Continue from a result of `state`."""
        ...


def copied(arrays: State, kept: State | None = None) -> dict[str, NDArray[np.generic]]:
    """Return copies of arrays.

    Copies into the memory of an earlier copy are several times as fast as into new memory, for
    which the tasks that read blocks compete.

    Parameters
    ----------
    kept
        Earlier copies that are no longer needed. They are overwritten where name, shape and dtype
        fit.
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
    """Return the arrays of parts, named ``number.name``."""
    return {
        f"{number}.{name}": array
        for number, part in enumerate(parts)
        for name, array in part.arrays().items()
    }


def restored(parts: Sequence[Restorable], state: State) -> None:
    """Restore parts from arrays named as in `numbered`: all parts, or none.

    Raises
    ------
    ValueError
        If an array is missing or has another shape; no part has changed then.
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
    """Return a copy of an array of a state, if its shape and dtype are those of `like`.

    Parameters
    ----------
    any_rows
        Whether the first axis may have any length.

    Raises
    ------
    ValueError
        If the array is missing, or its shape or dtype differs.
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
