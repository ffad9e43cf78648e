"""The band in which the progressive loss of the next partition is expected, and drift out of it.

The loss of a group, before it is learnt, is divided by the loss of the best constant on the same
rows. This takes out most of what makes one day harder than another. The band is the median of the
entries before, plus and minus a multiple of their median absolute deviation, so a few strange days
neither move nor widen it. Nothing here knows of any holdout.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from onepass.ledger.trained import Trained

WINDOW = 40
"""Most entries that a band is made from, the newest ones."""

LEAST = 8
"""Fewest entries that a band is made from."""

WIDTH = 5.0
"""Half the width of a band, in robust standard deviations of the entries. Of 40,000 simulated
entries without any drift, 0.1 % left the band with normal noise, and 1.4 % with the heavy tails of
Student's t with 3 degrees of freedom."""

_LEAST_SHARE, _LEAST_WIDTH = 0.01, 0.001
"""Least half width, as a share of the median, and as a share of the constant's loss."""

_ROUNDING = 1e-12
"""Loss of a constant, as a share of the model's, that is only rounding: all labels are the same."""

_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

Drift: TypeAlias = Literal["above", "below"]
"""Side on which a loss leaves its band: above is worse than expected."""


@dataclass(frozen=True, slots=True)
class Band:
    """Where the relative loss of the next group is expected."""

    low: float
    middle: float
    """Median of the relative losses before."""
    high: float

    def side(self, relative: float) -> Drift | None:
        """Return the side on which a relative loss leaves the band; None within it."""
        return "above" if relative > self.high else "below" if relative < self.low else None


@dataclass(frozen=True, slots=True)
class Standing:
    """Relative loss of one entry, beside the band that the entries before it give."""

    relative: float | None
    """Progressive loss over that of the best constant; None if it cannot be said, or in a later
    epoch, whose rows the model knows already."""
    band: Band | None
    """None if too few entries came before."""
    drift: Drift | None
    """Side on which the entry leaves the band; None within it, and where nothing can be said."""


def relative_loss(entry: Trained) -> float | None:
    """Return the loss of an entry over that of the best constant on the same rows.

    Returns
    -------
    None without a loss, where the constant makes no error, and in a later epoch: its rows are known
    to the model already, so their loss says nothing of new ones.
    """
    constant = entry.metrics.get("constant_loss")
    if entry.epoch > 1 or entry.loss is None or constant is None or not constant > 0:
        return None
    found = entry.loss / constant
    return found if math.isfinite(found) else None


def expected(history: Sequence[Trained], rows: int) -> Band | None:
    """Return the band of the next group.

    Parameters
    ----------
    history
        Entries that count, oldest first; `History.trained` returns them.
    rows
        Rows of the next group. The band of a group that is smaller than its predecessors is wider.

    Returns
    -------
    None if too few entries have a relative loss.
    """
    return _expected(history, rows, relative_loss)


def loss_beside_exact_constant(entry: Trained) -> float | None:
    """Return the loss of an entry whose labels are all the same, so that a constant is exact.

    Returns
    -------
    None if the loss can be said in relation to that of the best constant, and in a later epoch.
    """
    constant = entry.metrics.get("constant_loss")
    if entry.epoch > 1 or entry.loss is None or constant is None:
        return None
    return entry.loss if abs(constant) <= _ROUNDING * abs(entry.loss) else None


def expected_loss(history: Sequence[Trained], rows: int) -> Band | None:
    """Return the band of the loss itself of the next group; the parameters are as of `expected`.

    The loss itself varies more from group to group than its ratio to the loss of a constant. It is
    of use where there is no such ratio.
    """
    return _expected(history, rows, lambda entry: entry.loss if entry.epoch == 1 else None)


def _expected(
    history: Sequence[Trained], rows: int, measured: Callable[[Trained], float | None]
) -> Band | None:
    recent: deque[tuple[float, int]] = deque(maxlen=WINDOW)
    for entry in reversed(history):
        found = measured(entry)
        if found is not None:
            recent.append((found, entry.rows))
        if len(recent) == WINDOW:
            break
    return _band(recent, rows)


def standings(history: Sequence[Trained], first: int = 0) -> Iterator[Standing]:
    """Iterate over entries that count, oldest first, and hold each against its band.

    Parameters
    ----------
    first
        Number of the oldest entries that only give bands to those after them. To hold one entry
        against its band takes longer than to read it, and a log may have 100,000 entries.
    """
    recent: deque[tuple[float, int]] = deque(maxlen=WINDOW)
    for place, entry in enumerate(history):
        relative = relative_loss(entry)
        if place >= first:
            band = None if relative is None else _band(recent, entry.rows)
            side = None if relative is None or band is None else band.side(relative)
            yield Standing(relative, band, side)
        if relative is not None:
            recent.append((relative, entry.rows))


def drifted(history: Sequence[Trained], first: int = 0) -> list[Drift | None]:
    """Return for each entry on which side of its band it lies; None within the band.

    Parameters
    ----------
    first
        See `standings`.
    """
    return [standing.drift for standing in standings(history, first)]


def _band(recent: deque[tuple[float, int]], rows: int) -> Band | None:
    if len(recent) < LEAST:
        return None
    # `sorted` of forty numbers is ten times as fast as numpy.
    middle = _median(relative for relative, _ in recent)
    sigma = _TO_SIGMA * _median(abs(relative - middle) for relative, _ in recent)
    # The mean of fewer rows varies more, by the square root of their number.
    smaller = max(1.0, _median(size for _, size in recent) / max(rows, 1)) ** 0.5
    half = max(WIDTH * sigma, _LEAST_SHARE * middle, _LEAST_WIDTH) * smaller
    return Band(max(0.0, middle - half), middle, middle + half)


def _median(values: Iterable[float]) -> float:
    found = sorted(values)
    half = len(found) // 2
    return found[half] if len(found) % 2 else 0.5 * (found[half - 1] + found[half])
