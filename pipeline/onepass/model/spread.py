"""The uncertainty of the margins of rows, which the covariance of the weights implies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, Float32Array, FloatArray
from onepass.errors import JobError
from onepass.jit import reordered
from onepass.learn.sparse import add_products
from onepass.learn.updater import Weights
from onepass.model.covariance import Errors, covariance_of

_NUMBERS = 1 << 20
"""Numbers of a temporary array: rows are worked on in pieces, so that memory stays flat."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Covariance of the weights of one head, in which unknown weights are certain."""

    covariance: FloatArray
    """Shape (n_outputs, n_dense + 1, n_outputs, n_dense + 1), intercepts last."""
    unseen: NDArray[np.intp]
    """Features that were 0 in all rows learnt: nothing is known of a row where one is not."""
    hashed: FloatArray | None
    """Variance of each hashed weight, shape (n_slots, n_outputs); None without hashed columns."""

    @classmethod
    def of(cls, weights: Weights, errors: Errors | None, scale: float, solver: str) -> Spread:
        """Return the spread of a head.

        Parameters
        ----------
        scale
            Scale of the label, in whose unit the weights are; margins are not.
        solver
            Solver of the model, for messages.

        Raises
        ------
        JobError
            If the learner does not know the covariance of its weights.
        """
        known, variance = weights.identified, weights.hashed_variance
        if known is not None and known.n_thresholds:
            raise JobError("probabilities of ordinal loss have no intervals; leave --interval out")
        if known is None or (weights.hashed.size and variance is None):
            raise JobError(
                "an interval of predictions needs the covariance of the weights, which "
                f"solver {solver} does not keep for this model; train a new one with --solver "
                "newton, without --l1 and --constraint, and with another loss than hinge"
            )
        n_outputs, width = known.weights.shape
        whole = covariance_of(known, errors) / scale**2
        never = np.isnan(np.diag(whole))[: width - 1] & ~known.aliased
        return cls(
            np.where(np.isnan(whole), 0.0, whole).reshape(n_outputs, width, n_outputs, width),
            np.flatnonzero(never & (known.mass == 0)),
            None
            if variance is None or not variance.size
            else variance.reshape(len(variance), -1) / scale**2,
        )

    @property
    def n_outputs(self) -> int:
        """Number of margins of a row."""
        return len(self.covariance)

    def variances(self, block: Block) -> FloatArray:
        """Return the variance of the margin of each row, shape (n_rows,), of a single margin.

        It is NaN where a feature is not 0 that was so in all rows learnt.
        """
        found = np.empty(block.n_rows)
        for rows in self._pieces(block):
            found[rows] = self._covariances(block.dense[rows], 0, 0)
        found += self._of_slots(block)[:, 0]
        return self._known(block, found)

    def variances_of_log_odds(self, block: Block, p: FloatArray) -> FloatArray:
        """Return the variance of the log odds of each class, shape (n_rows, n_classes).

        It is that of their linear expansion around the margins (the delta method). The derivative
        of the log odds of class k is 1 by its own margin, and -p_j / (1 - p_k) by that of class j.

        Parameters
        ----------
        p
            Probabilities, shape (n_rows, n_classes).
        """
        of_slots, n = self._of_slots(block), self.n_outputs
        found = np.empty((block.n_rows, n))
        for rows in self._pieces(block):
            dense, own = block.dense[rows], p[rows]
            joint = np.empty((len(dense), n, n))
            for j in range(n):
                for k in range(j + 1):
                    joint[:, j, k] = joint[:, k, j] = self._covariances(dense, j, k)
                joint[:, j, j] += of_slots[rows, j]
            for k in range(n):
                slope = -own / np.maximum(1 - own[:, k], np.finfo(np.float64).tiny)[:, None]
                slope[:, k] = 1.0
                found[rows, k] = np.einsum("ij,ijk,ik->i", slope, joint, slope)
        return self._known(block, found)

    def _covariances(self, dense: Float32Array, j: int, k: int) -> FloatArray:
        """Return the covariance of the margins j and k of each row, shape (n_rows,)."""
        found = np.empty(len(dense))
        between = np.ascontiguousarray(self.covariance[j, :, k])
        _forms(np.ascontiguousarray(dense), between, found)
        return found

    def _of_slots(self, block: Block) -> FloatArray:
        found = np.zeros((block.n_rows, self.n_outputs))
        if self.hashed is None:
            return found
        for column in block.slots.T:
            found += self.hashed[column]
        if block.entries is not None:
            squares = np.square(block.entries.value)
            entries = type(block.entries)(block.entries.start, block.entries.slot, squares)
            add_products(entries, self.hashed, found)
        return found

    def _known(self, block: Block, variances: FloatArray) -> FloatArray:
        variances = np.maximum(variances, 0.0)
        variances[(block.dense[:, self.unseen] != 0).any(axis=1)] = np.nan
        return variances

    def _pieces(self, block: Block) -> list[slice]:
        n, width = self.n_outputs, self.covariance.shape[1]
        step = max(1, _NUMBERS // (n * n + 3 * width))
        return [slice(first, first + step) for first in range(0, block.n_rows, step)]


@reordered
def _forms(x: Float32Array, between: FloatArray, out: FloatArray) -> None:
    """Write x' C x of each row, with a last feature of 1.

    BLAS is faster, but its sums depend on the number of its threads, and prediction files must not.
    """
    n_dense = x.shape[1]
    row = np.ones(n_dense + 1)
    for i in range(len(x)):
        for j in range(n_dense):
            row[j] = x[i, j]
        total = 0.0
        for j in range(n_dense + 1):
            own = 0.0
            for k in range(n_dense + 1):
                own += between[j, k] * row[k]
            total += row[j] * own
        out[i] = total
