"""The first rows of a stream, kept to be learnt again together with the next ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block
from onepass.learn.newton.limits import kept_rows


class Kept:
    """Rows that are learnt again, with those that follow, until there are `kept_rows` of them.

    An expansion around weights that few rows determine is poor, and it would stay in the quadratic
    model for good. Where files are small, learning the first rows again brings the result from a
    percent above the batch optimum to the optimum.

    Parameters
    ----------
    n_dense
        Number of dense features.
    has_clusters
        Whether rows have clusters that matter.
    """

    def __init__(self, n_dense: int, *, has_clusters: bool = False) -> None:
        self._n_dense, self._has_clusters = n_dense, has_clusters
        self.clear()

    @staticmethod
    def nbytes(n_dense: int, n_weights: int, *, has_clusters: bool = False) -> int:
        """Return the bytes of the most rows that are kept: one less than `kept_rows`."""
        return (kept_rows(n_weights) - 1) * (4 * n_dense + (2 + has_clusters) * 8)

    def __len__(self) -> int:
        return len(self.weight)

    def clear(self) -> None:
        """Drop all rows."""
        self.dense = np.empty((0, self._n_dense), np.float32)
        self.label = np.empty(0)
        self.weight = np.empty(0)
        self.cluster = np.empty(0, np.int64) if self._has_clusters else None

    def with_more(self, block: Block) -> Block:
        """Return the kept rows followed by those of a block, without slots and entries."""
        no_slots = np.empty((len(self.label), 0), np.int32)
        kept = Block(self.dense, no_slots, self.label, self.weight, cluster=self.cluster)
        own = block.cluster if self._has_clusters else None
        more = replace(block, slots=block.slots[:, :0], entries=None, cluster=own)
        return Block.concatenated([kept, more])

    def keep(self, block: Block, n_weights: int) -> None:
        """Replace the kept rows by those of a block; keep none if there are `kept_rows` or more."""
        if block.n_rows < kept_rows(n_weights):
            self.dense, self.label, self.weight = block.dense, block.label, block.weight
            self.cluster = block.cluster
        else:
            self.clear()

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays, by name, without copying them."""
        found: dict[str, NDArray[np.generic]] = {
            "kept_dense": self.dense,
            "kept_label": self.label,
            "kept_weight": self.weight,
        }
        return found if self.cluster is None else found | {"kept_cluster": self.cluster}

    def take(self, state: dict[str, NDArray[Any]]) -> None:
        """Put arrays, named as in `arrays`, in place of the present ones."""
        for name in self.arrays():
            setattr(self, name.removeprefix("kept_"), state[name])
