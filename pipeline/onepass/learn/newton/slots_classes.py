"""Weights of classes beside hashed slots: they change the margins, and bring no evidence.

A row whose class weighs 60 is one row, not 60. A prior that is learnt from 60 equal rows trusts the
weights of rare values far too much.

With logistic and softmax loss, the weighted loss is smallest at the margins of the plain loss,
moved by the logarithms of the weights (G. King, L. Zeng, "Logistic regression in rare events data",
Political Analysis 9, 2001, sec. 4.1). So slots learn each row once, at margins that are moved back.
With other losses they learn rows at the weights of their classes over a dispersion, the variance of
the weighted gradients over their curvature (R. Wedderburn, Biometrika 61, 1974, sec. 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onepass.block import FloatArray
from onepass.learn.losses import Loss
from onepass.learn.pointwise import LOGISTIC, SOFTMAX


@dataclass(frozen=True, slots=True, eq=False)
class ClassWeights:
    """Slots learn rows with these in place of the weights of their classes."""

    divisor: FloatArray
    """Divides the weight of a row of each class, shape (n_classes,)."""
    shift: FloatArray
    """By how much the weights move each margin, shape (n_outputs,)."""
    dispersion: float
    """Divides the weighted loss, where it is compared with the prior."""

    @classmethod
    def of(cls, loss: Loss, weights: FloatArray, base: float | FloatArray) -> ClassWeights:
        """Return what weights of classes, shape (n_classes,), are to the slots.

        Parameters
        ----------
        base
            Margins of the weighted shares of the classes.
        """
        share = _shares(loss, base)
        # Squared distances between each label and the shares, over those that the shares expect.
        square = share @ share
        dispersion = share * weights @ (1 - 2 * share + square) / (1 - square)
        logs = np.log(weights)
        if loss.code == SOFTMAX:
            return cls(weights, logs, float(dispersion))
        if loss.code == LOGISTIC:
            return cls(weights, logs[1:] - logs[:1], float(dispersion))
        return cls(np.full(len(weights), dispersion), np.zeros(loss.n_outputs), float(dispersion))

    def evidence(self, label: FloatArray, weight: FloatArray) -> FloatArray:
        """Return the weights with which slots learn rows, given those of the weighted loss."""
        return np.asarray(weight / self.divisor[label.astype(np.int64)])


def _shares(loss: Loss, base: float | FloatArray) -> FloatArray:
    """Return the weighted shares of the classes; equal ones for hinge, which predicts none."""
    if loss.code == SOFTMAX:
        p = np.exp(np.broadcast_to(base - np.max(base), (loss.n_outputs,)))
        return np.asarray(p / p.sum())
    margin = np.array([float(base)])
    positive = 0.5 if loss.is_kinked else float(loss.mean(margin)[0])
    return np.array([1 - positive, positive])
