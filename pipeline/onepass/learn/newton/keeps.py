"""What newton keeps of the rows beside their curvature, for inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ScoreKind: TypeAlias = Literal["none", "rows", "clusters"]


@dataclass(frozen=True, slots=True)
class Keeps:
    """What a learner keeps for inference; frozen when a model is created."""

    likelihood: bool = False
    """Whether the sums of the likelihood are kept; see `onepass.learn.likelihood`."""
    scores: ScoreKind = "none"
    """Of what the scores are kept, for robust standard errors: of nothing, rows, or clusters."""


NOTHING = Keeps()
