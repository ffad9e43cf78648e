"""Read the label off the sample: which loss it asks for, its classes, its scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.block import FloatArray
from pipeline.encode.profile import location_and_scale
from pipeline.encode.schema import Label
from pipeline.errors import JobError


@dataclass(frozen=True, slots=True)
class LabelProfile:
    """The label as the sample shows it."""

    label: Label
    loss: Literal["squared", "logistic"]
    """The loss asked for, or the one that the values suggest."""
    null_share: float
    """Share of rows without a label in the sample."""
    mean: float
    """Mean of the labels in the sample."""
    distinct: int
    """Distinct labels in the sample."""
    warnings: list[str]
    """What the user should know."""


def profile_label(
    name: str, values: FloatArray, loss: Literal["auto", "squared", "logistic"]
) -> LabelProfile:
    """Decide the loss and freeze the label's classes or scale.

    Parameters
    ----------
    values
        Labels of the sample, NaN where null.

    Raises
    ------
    JobError
        If logistic loss is asked for and the label does not have two classes, 0/1 or -1/1.
    """
    present = values[~np.isnan(values)]
    null_share = 1 - len(present) / max(1, len(values))
    if not len(present):
        raise JobError(f"the label {name!r} is null in every sampled row")
    distinct = np.unique(present)
    classes = _classes(distinct)
    if loss == "logistic" and classes is None:
        raise JobError(
            f"logistic loss needs a label of 0 and 1 (or -1 and 1), but {name!r} has "
            f"{', '.join(f'{v:g}' for v in distinct[:6])}{', ...' if len(distinct) > 6 else ''}"
        )
    binary = loss == "logistic" or (loss == "auto" and classes is not None)
    center, scale = (0.0, 1.0) if binary else location_and_scale(present)
    label = Label(name=name, center=center, scale=scale, classes=classes if binary else None)
    return LabelProfile(
        label=label,
        loss="logistic" if binary else "squared",
        null_share=null_share,
        mean=float(present.mean()),
        distinct=len(distinct),
        warnings=[*_null_warnings(name, null_share), *_warnings(name, distinct, classes, loss)],
    )


def _classes(distinct: FloatArray) -> tuple[float, float] | None:
    for classes in ((0.0, 1.0), (-1.0, 1.0)):
        if len(distinct) == 2 and set(distinct) == set(classes):
            return classes
    return None


def _null_warnings(name: str, null_share: float) -> list[str]:
    if not null_share:
        return []
    return [
        f"{name}: {null_share:.1%} of the labels are null; --on-null-label drop leaves them out"
    ]


def _warnings(
    name: str, distinct: FloatArray, classes: tuple[float, float] | None, loss: str
) -> list[str]:
    if len(distinct) == 1:
        return [f"{name}: the label is {distinct[0]:g} in every sampled row; nothing to learn"]
    if classes == (-1.0, 1.0) and loss != "squared":
        return [f"{name}: labels are -1 and 1; -1 is taken as the negative class"]
    if len(distinct) == 2 and classes is None:
        low, high = distinct
        return [f"{name}: two values, {low:g} and {high:g}, trained as numbers (not 0/1 classes)"]
    return []
