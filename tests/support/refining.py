"""Refine a learner on one block."""

from __future__ import annotations

import numpy as np

from onepass.block import Block
from onepass.learn.minimise import KINK_WIDTH, Minimum, minimise
from onepass.learn.objective import Sums
from onepass.learn.updater import Updater


def refined(head: Updater, rule: str, block: Block, n_passes: int = 30) -> Minimum:
    """Refine as `onepass refine` does, in one process."""
    objective = head.objective()

    def evaluate(point: np.ndarray, curvature: bool) -> Sums:
        return objective.sums(point, block, width=KINK_WIDTH, curvature=curvature)

    found = minimise(rule, objective, head.point(), evaluate, n_passes)
    if found.improved or found.settled:
        head.adopt(found.point, found.sums, trusted=found.trusted)
    return found
