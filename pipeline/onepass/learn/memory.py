"""Memory that a learner needs, to choose the size of blocks by."""

from __future__ import annotations

from onepass.learn.firstorder.rules import N_SLOT_NUMBERS
from onepass.learn.learner import Settings
from onepass.learn.newton.limits import Limits

_COPIES = 3
"""The state itself, its copy while that is written, and room for temporaries."""


def learner_bytes(settings: Settings) -> int:
    """Bytes that a learner with these settings holds at its fullest."""
    n_heads = len(settings.quantiles) if settings.loss == "quantile" else 1
    n_outputs = max(1, settings.n_classes) if settings.loss == "softmax" else 1
    return n_heads * _head_bytes(settings, n_outputs)


def _head_bytes(settings: Settings, n_outputs: int) -> int:
    weights = n_outputs * (settings.n_dense + 1)
    slots = n_outputs * settings.n_slots
    if settings.solver != "newton":
        numbers = N_SLOT_NUMBERS[settings.solver] + 2 * (settings.averaging == "polynomial")
        # Dense weights are a weight, two accumulators and an average, in double precision.
        return _COPIES * (4 * 8 * weights + numbers * 4 * slots)
    # Curvature with its moved and scaled copies; the first block, standardised, and its roots.
    dense = 8 * 8 * weights**2 + 3 * 8 * (settings.n_dense + 1) * Limits().first_block(weights)
    # Weight and variance of a slot.
    return dense + _COPIES * 2 * 4 * slots
