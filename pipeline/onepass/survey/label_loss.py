"""Choose the loss of a label that a job leaves open."""

from __future__ import annotations

import numpy as np

from onepass.block import FloatArray
from onepass.encode.classes import MAX_CLASSES
from onepass.errors import JobError
from onepass.survey.label_classes import CLASSIFICATION, SampledLabel, listed_losses
from onepass.survey.naming import naming
from onepass.text import percent

AUTO_CLASSES = 100
"""Maximum number of classes for which ``auto`` chooses softmax; beyond it the user must ask."""

FEW_VALUES = 20
"""Maximum number of distinct values for which whole numbers may be meant as classes."""


OVERDISPERSED = 2.0
"""Variance of counts, in units of their mean, from which on a hint names negative_binomial."""

MANY_ZEROS = 0.1
"""Share of zeros among amounts of 0 or more from which on a hint names tweedie."""


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
            losses = listed_losses(CLASSIFICATION)
            raise JobError(f"--classes belongs to {losses} loss, not to {loss}")
        return loss, _hints_about_counts(sample, loss)
    if sample.classes:
        return ("logistic" if len(sample.classes) == 2 else "softmax"), []
    if sample.kind == "bool" or sample.number_classes():
        return "logistic", []
    if sample.kind == "text":
        return _choose_loss_of_text(sample), []
    return "squared", _hints_about_numbers(name, sample.numbers)


def _hints_about_counts(sample: SampledLabel, loss: str) -> list[str]:
    """Tell of a loss for counts whose variance is far above their mean."""
    if loss != "poisson" or sample.kind == "text" or not _is_overdispersed(sample.numbers):
        return []
    ratio = float(sample.numbers.var() / sample.numbers.mean())
    return [
        f"{sample.name}: the variance of the counts is {ratio:.3g} times their mean; unless the "
        "columns explain it, the standard errors of poisson loss are too small, and --loss "
        "negative_binomial learns how far the variance goes beyond the mean"
    ]


def _is_overdispersed(numbers: FloatArray) -> bool:
    """Return whether labels are whole numbers whose variance is far above their mean."""
    is_count = bool((numbers >= 0).all() and (numbers == np.floor(numbers)).all())
    return is_count and bool(0 < OVERDISPERSED * numbers.mean() < numbers.var())


def _hints_about_numbers(name: str, numbers: FloatArray) -> list[str]:
    """Tell how to train labels that may be classes, counts, or amounts with many zeros."""
    distinct = np.unique(numbers)
    if len(distinct) == 2:
        low, high = distinct
        return [
            f"{name}: two values, {low:.12g} and {high:.12g}, trained as numbers (not 0/1 "
            f"classes); --loss logistic {naming('classes', f'{low:.12g}', f'{high:.12g}')} to "
            "train them as classes"
        ]
    if 3 <= len(distinct) <= FEW_VALUES and (distinct == np.floor(distinct)).all():
        counted = "negative_binomial" if _is_overdispersed(numbers) else "poisson"
        counts = f", --loss {counted} if they are counts" if distinct[0] >= 0 else ""
        return [
            f"{name}: {len(distinct)} different whole numbers, trained as numbers; "
            f"--loss softmax if they are classes{counts}"
        ]
    zeros = float(np.mean(numbers == 0))
    if len(distinct) > FEW_VALUES and distinct[0] == 0 and zeros >= MANY_ZEROS:
        if _is_overdispersed(numbers):
            return []
        return [
            f"{name}: {percent(zeros)} of the labels are 0 and the others above, trained by "
            "squared loss; --loss tweedie if they are amounts"
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
