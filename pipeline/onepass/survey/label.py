"""Profile the label of a sample: choose the loss, and the classes or the scale to freeze.

The loss is checked against the labels of the sample, so that a label that it cannot learn from is
refused before a model is made. The encoder checks all further labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.classes import MAX_CLASSES
from onepass.encode.columns import label_family, label_values
from onepass.encode.schema import Label
from onepass.encode.target import label_target
from onepass.errors import JobError
from onepass.survey.label_classes import SampledLabel, describe_classes
from onepass.survey.label_numbers import describe_numbers
from onepass.survey.lake_warnings import Place, label_order_warnings, leak_warnings
from onepass.survey.levels_or_line import Target
from onepass.survey.profile import ColumnProfile
from onepass.survey.sample import Sample
from onepass.survey.scale import robust_scale

CLASSIFICATION = frozenset({"logistic", "hinge", "softmax"})
"""Losses whose labels are classes."""

AUTO_CLASSES = 100
"""Maximum number of classes for which ``auto`` chooses softmax; beyond it the user must ask."""

FEW_VALUES = 20
"""Maximum number of distinct values for which whole numbers may be meant as classes."""


@dataclass(frozen=True, slots=True)
class LabelProfile:
    """The label as found in the sample."""

    label: Label
    """The label to freeze."""
    loss: str
    """The job's loss, or the one that ``auto`` chooses for these values."""
    null_share: float
    """Share of the sampled rows without a label."""
    mean: float | None
    """Mean of the sampled labels; None for text."""
    distinct: int
    """Number of distinct labels in the sample."""
    class_shares: dict[str, float]
    """Share of each class among the sampled labels; empty for a regression."""
    delta: float
    """Default residual at which huber loss turns linear: `robust_scale` of the labels."""
    warnings: list[str]
    """Messages to the user about the label."""


def profile_label(
    name: str, values: pa.Array, loss: str = "auto", classes: Sequence[str] = ()
) -> LabelProfile:
    """Choose the loss, and describe the label's classes or scale.

    Parameters
    ----------
    values
        Labels of the sample.
    loss
        The job's loss. ``auto`` chooses logistic for two classes (truth values, 0/1, -1/1, two
        texts), softmax for up to `AUTO_CLASSES` texts, and squared for all other numbers.
    classes
        The job's classes; if empty, those of the sample.

    Raises
    ------
    JobError
        If the loss cannot learn from these labels.
    BadColumn
        If the column is of a type that is no label.
    """
    kind = label_family(values, name)
    numbers = np.zeros(0) if kind == "text" else label_values(values, name)
    numbers = numbers[~np.isnan(numbers)]
    n_present = len(values) - values.null_count if kind == "text" else len(numbers)
    if kind == "null" or not n_present:
        raise JobError(f"the label {name!r} is null in every sampled row")
    sample = SampledLabel(name, kind, values, numbers, tuple(classes))
    loss, hints = _choose_loss(sample, loss)
    described = (
        describe_classes(sample, loss) if loss in CLASSIFICATION else describe_numbers(sample, loss)
    )
    null_share = 1 - n_present / len(values)
    return LabelProfile(
        label=described.label,
        loss=loss,
        null_share=null_share,
        mean=float(numbers.mean()) if len(numbers) else None,
        distinct=len(sample.counts()) if kind == "text" else len(np.unique(numbers)),
        class_shares={text: n / n_present for text, n in described.counts.items()},
        delta=robust_scale(numbers) if len(numbers) else 1.0,
        warnings=[*_null_warnings(name, null_share), *hints, *described.warnings],
    )


def describe_label(
    name: str | None, loss: str, classes: Sequence[str], sample: Sample
) -> tuple[LabelProfile, Target] | tuple[None, None]:
    """Profile the label of a sample.

    Parameters
    ----------
    name
        Column of the label; None if the job has none.
    loss, classes
        As in the job; see `profile_label`.

    Returns
    -------
    The profile, and the label of each row. None without a label.

    Raises
    ------
    JobError
        If the loss cannot learn from these labels.
    """
    if name is None:
        return None, None
    values = sample.rows.column(name).combine_chunks()
    found = profile_label(name, values, loss, classes)
    nominal = len(found.label.classes or ()) > 2
    return found, Target(label_target(values, found.label), nominal=nominal)


def warnings_of_label(
    found: LabelProfile,
    target: Target,
    sample: Sample,
    place: Place | None,
    columns: list[ColumnProfile],
) -> list[str]:
    """Check the sample for sorted labels and leaks, and return all warnings about the label.

    Parameters
    ----------
    place
        Where the rows of the sample lie; None if the order of the rows needs no warning.
    columns
        Profiles of the columns that may be features.
    """
    name, nominal = found.label.name, target.nominal
    order = (
        [] if place is None else label_order_warnings(name, target.values, place, classes=nominal)
    )
    leaks = leak_warnings(name, target.values, sample.rows, columns, classes=nominal)
    return [*found.warnings, *order, *leaks]


def _choose_loss(sample: SampledLabel, loss: str) -> tuple[str, list[str]]:
    """Return the loss, and hints about other losses."""
    name = sample.name
    if loss != "auto":
        if sample.classes and loss not in CLASSIFICATION:
            raise JobError(f"--classes belongs to logistic, hinge and softmax loss, not to {loss}")
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
            f"classes); --loss logistic --classes {low:.12g},{high:.12g} to train them as classes"
        ]
    if 3 <= len(distinct) <= FEW_VALUES and (distinct == np.floor(distinct)).all():
        counts = ", --loss poisson if they are counts" if distinct[0] >= 0 else ""
        return [
            f"{name}: {len(distinct)} different whole numbers, trained as numbers; "
            f"--loss softmax if they are classes{counts}"
        ]
    return []


def _choose_loss_of_text(sample: SampledLabel) -> str:
    n_classes = len(sample.counts())
    if n_classes > AUTO_CLASSES:
        raise JobError(
            f"the label {sample.name!r} is text with {n_classes:,} different values "
            f"({sample.shown(3)}); --loss softmax if they are classes (at most {MAX_CLASSES:,})"
        )
    return "logistic" if n_classes == 2 else "softmax"


def _null_warnings(name: str, null_share: float) -> list[str]:
    if not null_share:
        return []
    return [
        f"{name}: {null_share:.1%} of the labels are null; --on-null-label drop leaves them out"
    ]
