"""Choose the loss of a label that a job leaves open."""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray
from onepass.encode.classes import MAX_CLASSES
from onepass.errors import JobError
from onepass.survey.label_classes import SampledLabel
from onepass.survey.naming import naming

CLASSIFICATION = frozenset({"logistic", "hinge", "softmax", "ordinal"})
"""Losses whose labels are classes."""

AUTO_CLASSES = 100
"""Maximum number of classes for which ``auto`` chooses softmax; beyond it the user must ask."""

FEW_VALUES = 20
"""Maximum number of distinct values for which whole numbers may be meant as classes."""


def choose_loss(sample: SampledLabel, loss: str) -> tuple[str, list[str]]:
    """Return the loss of a label, and hints about other losses.

    Raises
    ------
    JobError
        If the job leaves the loss open and the label has too many texts, or names classes for
        another loss.
    """
    name = sample.name
    if loss != "auto":
        if sample.classes and loss not in CLASSIFICATION:
            raise JobError(
                f"--classes belongs to logistic, hinge, softmax and ordinal loss, not to {loss}"
            )
        return loss, []
    if sample.classes:
        return ("logistic" if len(sample.classes) == 2 else "softmax"), []
    if sample.kind == "bool" or sample.number_classes():
        return "logistic", []
    if sample.kind == "text":
        return _choose_loss_of_text(sample), []
    return "squared", _hints_about_numbers(name, np.unique(sample.numbers))


def _hints_about_numbers(name: str, distinct: FloatArray) -> list[str]:
    """Tell how to train a label of few distinct numbers as classes or counts."""
    if len(distinct) == 2:
        low, high = distinct
        return [
            f"{name}: two values, {low:.12g} and {high:.12g}, trained as numbers (not 0/1 "
            f"classes); --loss logistic {naming('classes', f'{low:.12g}', f'{high:.12g}')} to "
            "train them as classes"
        ]
    if 3 <= len(distinct) <= FEW_VALUES and (distinct == np.floor(distinct)).all():
        counts = ", --loss poisson if they are counts" if distinct[0] >= 0 else ""
        return [
            f"{name}: {len(distinct)} different whole numbers, trained as numbers; "
            f"--loss softmax if they are classes{counts}"
        ]
    return []


def _choose_loss_of_text(sample: SampledLabel) -> str:
    n_classes = len(sample.counts)
    if n_classes > AUTO_CLASSES or (sample.scanned is not None and sample.scanned.has_too_many):
        raise JobError(
            f"the label {sample.name!r} is text with {sample.number} different values "
            f"({sample.shown(3)}); --loss softmax if they are classes (at most {MAX_CLASSES:,})"
        )
    return "logistic" if n_classes == 2 and sample.unknown != "other" else "softmax"
