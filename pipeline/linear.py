"""The margins of a linear model: what is left of a learner when all it has to do is predict."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.block import FloatArray


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights of the features of a block, for each margin."""

    intercept: FloatArray
    """Shape (n_outputs,)."""
    dense: FloatArray
    """Shape (n_outputs, n_dense)."""
    hashed: FloatArray
    """Shape (n_slots, n_outputs); a row has the sum of those of its slots."""
