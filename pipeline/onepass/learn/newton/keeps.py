"""The sums that newton keeps for standard errors and for statistics of the fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ScoreKind: TypeAlias = Literal["none", "rows", "clusters"]


@dataclass(frozen=True, slots=True)
class Keeps:
    """Choice of the sums that a learner keeps; it is frozen when a model is created."""

    likelihood: bool = False
    """Whether the sums of the likelihood are kept; see `onepass.learn.likelihood`."""
    scores: ScoreKind = "none"
    """Whether newton keeps scores for robust standard errors: none, of rows, or of clusters."""


NOTHING = Keeps()
