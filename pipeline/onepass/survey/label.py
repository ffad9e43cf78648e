"""Read the label off the sample: which loss it asks for, its classes, its scale.

Every loss is checked here against the labels of the sample, so that a label which it cannot learn
from is refused before a model is made; labels beyond the sample are checked as they are encoded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.classes import MAX_CLASSES
from onepass.encode.columns import label_family, label_values
from onepass.encode.schema import Label
from onepass.encode.target import OUTSIDE
from onepass.errors import JobError
from onepass.survey.label_classes import Described, SampledLabel, describe_classes
from onepass.survey.profile import location_and_scale

CLASSIFICATION = frozenset({"logistic", "hinge", "softmax"})
"""Losses whose labels are classes."""

AUTO_CLASSES = 100
"""Text labels with more classes than this are trained only where softmax is asked for."""

FEW_VALUES = 20
"""Whole numbers with at most so many values may be meant as classes."""


@dataclass(frozen=True, slots=True)
class LabelProfile:
    """The label as the sample shows it."""

    label: Label
    loss: str
    """The loss asked for, or the one that the values suggest."""
    null_share: float
    """Share of rows without a label in the sample."""
    mean: float | None
    """Mean of the labels in the sample; None where they are text."""
    distinct: int
    """Distinct labels in the sample."""
    class_shares: dict[str, float]
    """Share of each class among the labels of the sample; empty for a regression."""
    delta: float
    """The residual at which huber loss turns linear by default: `robust_scale` of the labels."""
    warnings: list[str]
    """What the user should know."""


def profile_label(
    name: str, values: pa.Array, loss: str = "auto", classes: Sequence[str] = ()
) -> LabelProfile:
    """Decide the loss and freeze the label's classes or scale.

    Parameters
    ----------
    values
        Labels of the sample.
    loss
        The job's loss; auto picks logistic for two classes (truth values, 0/1, -1/1, two texts),
        softmax for up to `AUTO_CLASSES` texts, squared for all other numbers.
    classes
        The job's classes; those of the sample if empty.

    Raises
    ------
    JobError
        If the loss cannot learn from these labels.
    """
    kind = label_family(values, name)
    numbers = np.zeros(0) if kind == "text" else label_values(values, name)
    numbers = numbers[~np.isnan(numbers)]
    n_present = len(values) - values.null_count if kind == "text" else len(numbers)
    if kind == "null" or not n_present:
        raise JobError(f"the label {name!r} is null in every sampled row")
    sample = SampledLabel(name, kind, values, numbers, tuple(classes))
    loss, hints = _chosen(sample, loss)
    described = (
        describe_classes(sample, loss) if loss in CLASSIFICATION else _as_numbers(sample, loss)
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


def robust_scale(values: FloatArray) -> float:
    """A scale of numbers that a tail does not move: 1 where all are equal.

    The larger of IQR / 1.35 and 0.3 (q90 - q10) / 2.56, which are 1 and 0.3 standard deviations of
    a normal distribution; the second keeps it above 0 where half of the values are equal. Where
    even that is 0, the standard deviation.
    """
    unit = float(np.abs(values).max()) or 1.0
    q10, q25, q75, q90 = np.quantile(values / unit, [0.1, 0.25, 0.75, 0.9])
    scale = float(max((q75 - q25) / 1.35, 0.3 * (q90 - q10) / 2.56)) * unit
    return scale or location_and_scale(values)[1]


def _chosen(sample: SampledLabel, loss: str) -> tuple[str, list[str]]:
    """The loss, and hints about other choices."""
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
        return _chosen_for_text(sample), []
    distinct = np.unique(sample.numbers)
    if len(distinct) == 2:
        low, high = distinct
        return "squared", [
            f"{name}: two values, {low:.12g} and {high:.12g}, trained as numbers (not 0/1 "
            f"classes); --loss logistic --classes {low:.12g},{high:.12g} to train them as classes"
        ]
    if 3 <= len(distinct) <= FEW_VALUES and (distinct == np.floor(distinct)).all():
        counts = ", --loss poisson if they are counts" if distinct[0] >= 0 else ""
        return "squared", [
            f"{name}: {len(distinct)} different whole numbers, trained as numbers; "
            f"--loss softmax if they are classes{counts}"
        ]
    return "squared", []


def _chosen_for_text(sample: SampledLabel) -> str:
    n_classes = len(sample.counts())
    if n_classes > AUTO_CLASSES:
        raise JobError(
            f"the label {sample.name!r} is text with {n_classes:,} different values "
            f"({sample.shown(3)}); --loss softmax if they are classes (at most {MAX_CLASSES:,})"
        )
    return "logistic" if n_classes == 2 else "softmax"


def _as_numbers(sample: SampledLabel, loss: str) -> Described:
    name, numbers = sample.name, sample.numbers
    if sample.kind == "text":
        raise JobError(
            f"{loss} loss needs a label of numbers, but {name!r} is text ({sample.shown(3)}); "
            "leave --loss out to train it as classes"
        )
    center, scale = (0.0, 1.0) if loss in {"poisson", "gamma"} else location_and_scale(numbers)
    fields: dict[str, object] = {"name": name, "family": sample.kind}
    fields |= {"center": center, "scale": scale}
    if loss in {"poisson", "gamma"}:
        fields |= {"domain": _domain(sample, loss), "base": math.log(numbers.mean())}
    constant = len(np.unique(numbers)) == 1
    warning = f"{name}: the label is {numbers[0]:g} in every sampled row; nothing to learn"
    return Described(Label.model_validate(fields), {}, [warning] if constant else [])


def _domain(sample: SampledLabel, loss: str) -> str:
    least, name = sample.numbers.min(), sample.name
    if loss == "poisson":
        if least < 0:
            found = f"{OUTSIDE['non_negative'].format(f'{least:g}')} in {name!r}"
            raise JobError(f"{found}; --loss squared or huber take any number")
        if not sample.numbers.any():
            raise JobError(f"poisson loss needs a label above 0 somewhere, but {name!r} is all 0")
        return "non_negative"
    if least <= 0:
        share = float(np.mean(sample.numbers <= 0))
        found = f"{OUTSIDE['positive'].format(f'{least:g}')} in {name!r}"
        advice = (
            "--loss poisson takes zeros, or train gamma on a lake without these rows"
            if least == 0
            else "--loss squared or huber take any number"
        )
        raise JobError(f"{found} ({share:.2%} of the sample is not above 0); {advice}")
    return "positive"


def _null_warnings(name: str, null_share: float) -> list[str]:
    if not null_share:
        return []
    return [
        f"{name}: {null_share:.1%} of the labels are null; --on-null-label drop leaves them out"
    ]
