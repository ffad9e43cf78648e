"""Compiled loops that add the scores and the curvatures of rows to their clusters."""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray, IntArray, RealArray
from onepass.jit import APART, compiled, reordered


@compiled
def add_scores(places: IntArray, x: RealArray, g: FloatArray, scores: FloatArray) -> None:
    """Add the score of each row to its cluster."""
    width = x.shape[1]
    for i in range(len(x)):
        own = scores[places[i]]
        for k in range(g.shape[1]):
            for j in range(width):
                own[k * width + j] += g[i, k] * x[i, j]


@reordered
def add_curvatures(
    places: IntArray, order: IntArray, x: RealArray, c: FloatArray, curvature: FloatArray
) -> None:
    """Add the curvature of each row to the lower triangle of its cluster, cluster by cluster."""
    width, n_outputs = x.shape[1], c.shape[1]
    row, total = np.zeros(width + APART), np.zeros((n_outputs * width, n_outputs * width + APART))
    for at in range(len(order)):
        i = order[at]
        row[:width] = x[i]
        for k in range(n_outputs):
            for m in range(k + 1):
                for j in range(width):
                    curved, line = c[i, k, m] * row[j], total[k * width + j, m * width :]
                    for n in range(width):
                        line[n] += curved * row[n]
        if at + 1 == len(order) or places[order[at + 1]] != places[i]:
            own = curvature[places[i]].reshape(n_outputs * width, n_outputs * width)
            own += total[:, : n_outputs * width]
            total[:] = 0.0
