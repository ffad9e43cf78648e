"""Histograms of scores: the AUC of a ranking, and groups of rows with similar scores."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.jit import compiled
from onepass.learn.metrics.base import Values, ratio

N_BINS = 4096
N_GROUPS = 10
"""Groups of `group_bins`, at most."""


@compiled
def _place(score: float) -> int:
    """Return the bin of a score; see `Ranking`."""
    return int(min(max((score + 20.0) * (N_BINS / 40.0), 0.0), N_BINS - 1.0))


@compiled
def _rank(
    score: FloatArray,
    positive: NDArray[np.bool_],
    weight: FloatArray,
    value: FloatArray,
    bins: FloatArray,
) -> None:
    for i in range(len(score)):
        place = _place(score[i])
        bins[1 if positive[i] else 0, place] += weight[i]
        bins[2, place] += weight[i] * value[i]


class Ranking:
    """Histograms of the scores of negatives and of positives, in 4096 bins from -20 to 20.

    Rows of one bin count as ties. So the error of the AUC is at most `auc_error`: half the share of
    those pairs of a negative and a positive that fall into one bin.
    """

    def __init__(self) -> None:
        self.bins = np.zeros((3, N_BINS))
        """By bin: weight of negatives, weight of positives, weighted sum of the values added."""

    def add(
        self, score: FloatArray, positive: np.ndarray, weight: FloatArray, value: FloatArray
    ) -> None:
        """Add rows; each argument has shape (n_rows,).

        Parameters
        ----------
        value
            Number to be summed for each bin, such as the prediction.
        """
        _rank(score, positive, weight, value, self.bins)

    def merge(self, other: Ranking) -> None:
        """Add the rows of another ranking."""
        self.bins += other.bins

    def values(self) -> Values:
        """Return the AUC and the bound of its error; NaN if there is one class only."""
        negative, positive, _ = self.bins
        below = np.cumsum(negative) - negative
        pairs = float(negative.sum() * positive.sum())
        tied = 0.5 * float(positive @ negative)
        auc = ratio(float(positive @ below) + tied, pairs)
        return {"auc": auc, "auc_error": ratio(tied, pairs)}


@compiled
def group_bins(bins: FloatArray, found: FloatArray) -> int:
    """Group the bins of `Ranking` into tenths of the rows.

    Parameters
    ----------
    found
        Output, a row for each group: first bin, last bin + 1, weight, weighted sum of predictions,
        weight of positives.

    Returns
    -------
    Number of groups.
    """
    total = bins[0].sum() + bins[1].sum()
    before, last, n_groups = 0.0, -1, 0
    for place in range(bins.shape[1]):
        weight = bins[0, place] + bins[1, place]
        if not weight > 0.0:
            continue
        # A bin belongs to the tenth in which its middle row lies. A middle on the border of two
        # tenths, rounding aside, belongs to the lower one.
        middle = (before + 0.5 * weight) * (N_GROUPS / total)
        group = min(max(math.ceil(math.floor(middle * 1e9 + 0.5) / 1e9) - 1, 0), N_GROUPS - 1)
        before += weight
        if group != last:
            found[n_groups, 0] = place
            found[n_groups, 2:] = 0.0
            last, n_groups = group, n_groups + 1
        own = found[n_groups - 1]
        own[1] = place + 1
        own[2] += weight
        own[3] += bins[2, place]
        own[4] += bins[1, place]
    return n_groups


def probability_edges(at: FloatArray) -> FloatArray:
    """Return the probability at the lower edge of bins; the outermost bins reach to 0 and 1."""
    edge = 1 / (1 + np.exp(20 - at * (40 / N_BINS)))
    return np.where(at == 0, 0.0, np.where(at == N_BINS, 1.0, edge))
