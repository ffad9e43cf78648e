"""The known part of margins: the offset that rows bring along, beside what features explain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from onepass.block import Block, FloatArray
from onepass.learn.losses import LOG_LINK, REGRESSION

_LARGEST = 700.0
"""Largest offset whose exp is taken; exp overflows a little above it."""


def scaled(block: Block, center: float, scale: float) -> Block:
    """Return a block with labels and offsets on the scale of a learner.

    Parameters
    ----------
    center, scale
        Subtracted from the labels, and divides labels and offsets.
    """
    if (center, scale) == (0.0, 1.0):
        return block
    label = (block.label - center) / scale
    if block.offset is None:
        return replace(block, label=label)
    return replace(block, label=label, offset=block.offset / scale)


def with_offset(margins: FloatArray, block: Block) -> FloatArray:
    """Return margins, shape (n_rows, n_outputs), plus the offsets of the block's rows."""
    return margins if block.offset is None else margins + block.offset[:, None]


def explained(values: FloatArray, offset: FloatArray | None, loss: str) -> FloatArray:
    """Return the part of labels or predictions that is left to the features.

    Parameters
    ----------
    values
        In the label's unit, shape (n_rows,) or (n_rows, n_outputs).
    offset
        Shape (n_rows,), in the label's unit; None if there is none.
    loss
        Name of the loss.

    Returns
    -------
    ``values - offset``; with a logarithmic link ``values / exp(offset)``, such as counts per unit
    of exposure. The values themselves if they are classes.
    """
    if offset is None or loss not in REGRESSION:
        return values
    offset = offset if values.ndim == 1 else offset[:, None]
    return values / _factor(offset) if loss in LOG_LINK else values - offset


def restored(value: float, offset: FloatArray, loss: str) -> FloatArray:
    """Return the labels of rows whose `explained` part is one value, shape of `offset`."""
    return value * _factor(offset) if loss in LOG_LINK else value + offset


def _factor(offset: FloatArray) -> FloatArray:
    return np.asarray(np.exp(np.clip(offset, -_LARGEST, _LARGEST)))
