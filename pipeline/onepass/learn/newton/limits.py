"""Decide how many rows newton learns at once, and whether it may use single precision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the blocks of `Newton`; the defaults are measured."""

    first_rows: int = 32_768
    """Most rows of the first block."""
    first_bytes: int = 32 << 20
    """Most bytes of the first block's standardised features."""
    settled_rows: int = 65_536
    """Most rows of any later block."""
    allows_single: bool = True
    """Whether later blocks may be computed in single precision, which takes half the time."""

    def first_block(self, n_weights: int) -> int:
        """Return the rows of the first block: as many as fit into a bounded matrix."""
        most = min(self.first_rows, self.first_bytes // (8 * n_weights))
        return max(least_rows(n_weights), most)

    def next_block(self, n_weights: int, known_rows: int) -> int:
        """Return the rows of a block after the first ones, given how many rows are known.

        A block that is small beside the known rows barely moves the weights. Larger blocks need
        fewer linear systems.
        """
        return max(least_rows(n_weights), min(self.settled_rows, known_rows // 64))


def least_rows(n_weights: int) -> int:
    """Return the rows with which the curvature of one block is well determined."""
    return max(4096, 20 * n_weights)


def kept_rows(n_weights: int) -> int:
    """Return the number of rows from which on the first rows are not learnt again; see `Kept`."""
    return max(4096, 30 * n_weights)
