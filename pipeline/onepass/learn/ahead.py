"""Predict the first rows of a stream in growing pieces, each after the rows before it.

A learner learns a block as a whole. So it predicts the rows of the first block before it has learnt
any, although those near its end could be predicted well. A copy of the learner, the scout, learns
the block piece by piece instead and is thrown away: the learner itself ends with the same bytes as
without a scout. A block is scouted only if it has more rows than were learnt before it, which
happens at the start alone.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from onepass.block import Block, FloatArray
from onepass.errors import Diverged
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.newton import Newton
from onepass.learn.updater import Updater

FIRST_ROWS = 32
"""Rows of the first piece."""

MOST_BYTES = 64 << 20
"""Most bytes of a state that is copied for a scout."""


def growing_pieces(n_rows: int, known: int) -> list[tuple[int, int]]:
    """Return the first and the last row, exclusive, of each piece of a block.

    A piece has as many rows as are known before it, and at least `FIRST_ROWS`; the last one has
    what is left.

    Parameters
    ----------
    known
        Rows learnt before the block.

    Examples
    --------
    >>> growing_pieces(200, 0)
    [(0, 32), (32, 64), (64, 128), (128, 200)]
    >>> growing_pieces(200, 200)
    [(0, 200)]
    """
    edges = [0]
    while (left := n_rows - edges[-1]) > 0:
        edges.append(edges[-1] + min(left, max(FIRST_ROWS, known + edges[-1])))
    return list(pairwise(edges)) or [(0, 0)]


def margins_ahead(
    updater: Updater, block: Block, pieces: list[tuple[int, int]]
) -> FloatArray | None:
    """Return the margins of a block's rows, each from before its piece is learnt.

    Parameters
    ----------
    updater
        Not changed.
    block
        Rows on the updater's scale.

    Returns
    -------
    None if `Updater.update` gives as good margins: if there is one piece, or the updater learns row
    by row. Also if the scout diverges on a piece, as a learner does not on the whole.
    """
    if len(pieces) < 2 or not isinstance(updater, Newton | Hybrid):
        return None
    scout, margins = updater.scout(), []
    try:
        for first, last in pieces[:-1]:
            margins.append(scout.update(block.take(np.arange(first, last))))
        rest = block.take(np.arange(*pieces[-1]))
        # The slots of a hybrid predict row by row while they learn; newton need not learn the rest.
        margins.append(scout.update(rest) if isinstance(scout, Hybrid) else scout.foresee(rest))
    except Diverged:
        return None
    return np.concatenate(margins)
