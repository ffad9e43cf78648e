"""The weights of a linear model by its margins, without what a learner needs to go on."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.block import FloatArray, RealArray


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights of the features of a block, for each margin."""

    intercept: FloatArray
    """Shape (n_outputs,)."""
    dense: FloatArray
    """Shape (n_outputs, n_dense)."""
    hashed: RealArray
    """Shape (n_slots, n_outputs); a row has the sum of those of its slots."""
