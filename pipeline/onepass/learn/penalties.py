"""The l1 penalty, the constraints and the prior of the dense weights of a learner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Penalties:
    """Penalties and constraints of the dense features of a block, in the learner's label unit.

    Every tuple has an element for each dense feature, or none where nothing of its kind is asked.
    """

    l1: float = 0.0
    """Adds ``l1 * |w|`` per row, on standardised features, intercept free."""
    factors: tuple[float, ...] = ()
    """Factor of the ridge and l1 penalty of each feature; 0 for one that is not penalised."""
    low: tuple[float, ...] = ()
    """Least weight of each feature as it arrives, not standardised; minus infinity for none."""
    high: tuple[float, ...] = ()
    """Largest weight; infinity for none."""
    chains: tuple[tuple[tuple[int, float], ...], ...] = ()
    """Features whose weights ascend from 0, each with the unit in which they do:
    ``0 <= w[j1] / unit1 <= w[j2] / unit2 <= ...``."""
    target: tuple[float, ...] = ()
    """Weight of each feature as it arrives, towards which the ridge penalty pulls; 0 if empty."""
    groups: tuple[int, ...] = ()
    """Number of the column of each feature, for penalties by column."""

    @property
    def is_constrained(self) -> bool:
        """Whether some weights are bounded or ordered."""
        return bool(self.low or self.chains)


NONE = Penalties()
