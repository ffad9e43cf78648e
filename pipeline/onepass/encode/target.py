"""Convert label and weight columns to the numbers that learners see."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.classes import UNKNOWN, class_indices
from onepass.encode.columns import floats, label_family, label_values
from onepass.encode.schema import OTHER, Label, family
from onepass.errors import BadColumn

_DOMAINS = {"non_negative": ("poisson", "of at least 0"), "positive": ("gamma", "above 0")}
"""Loss that older models have with each domain, and the domain in words."""

SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-100, 1e15
"""Range of the weights above 0. Larger ones would drown all other rows in sums of weights; squares
of smaller or larger ones would under- or overflow."""


def label_target(values: pa.Array, label: Label) -> FloatArray:
    """Return labels in their own unit, or the index of each label's class; null becomes NaN.

    The index of an unknown class is `UNKNOWN`, if the label allows any; see `settle_unknown`.

    Raises
    ------
    BadColumn
        If the column is of another family than the frozen label, or a value is of no known class,
        not finite, or outside of the domain of the loss.
    """
    if len(values) and values.null_count == len(values):
        values = pa.nulls(len(values))
    found = label_family(values, label.name)
    if found != "null" and (found == "text") != (label.family == "text"):
        expected = "text" if label.family == "text" else "a number or a bool"
        raise BadColumn(f"the label must be {expected}, found type {values.type}", label.name)
    if label.classes is not None:
        return class_indices(values, label)
    target = label_values(values, label.name, label.missing_texts)
    if label.domain != "real":
        outside = np.flatnonzero(target < 0 if label.domain == "non_negative" else target <= 0)
        if len(outside):
            raise BadColumn(outside_of_domain(label, float(target[outside[0]])), label.name)
    return target


def outside_of_domain(label: Label, found: float) -> str:
    """Return a message for a label outside of the domain of the loss."""
    loss, words = _DOMAINS[label.domain]
    return f"{label.domain_of or loss} loss needs labels {words}, found {found:g}"


def settle_unknown(target: FloatArray, label: Label) -> int:
    """Give rows of an unknown class the class "other", or NaN where they are to be dropped.

    Parameters
    ----------
    target
        Labels as `label_target` returns them; changed in place.

    Returns
    -------
    Number of these rows.
    """
    if label.classes is None or label.unknown == "error":
        return 0
    unknown = target == UNKNOWN
    index = label.classes.index(OTHER) if label.unknown == "other" else np.nan
    target[unknown] = index
    return int(np.count_nonzero(unknown))


def row_weights(values: pa.Array, name: str) -> FloatArray:
    """Return the weights of rows, shape (len(values),).

    Raises
    ------
    BadColumn
        If the column is not one of numbers, or a weight is null, negative, not finite, or outside
        of `SMALLEST_WEIGHT` to `LARGEST_WEIGHT` though not 0.
    """
    if family(values.type) not in {"integer", "real", "bool"}:
        raise BadColumn(f"a weight must be a number, found type {values.type}", name)
    weight = floats(values)
    # NaN fails both comparisons.
    usable = (weight == 0) | ((weight >= SMALLEST_WEIGHT) & (weight <= LARGEST_WEIGHT))
    if not usable.all():
        found = weight[np.flatnonzero(~usable)[0]]
        raise BadColumn(
            "expected weights of at least 0"
            + (f", and of {SMALLEST_WEIGHT:g} to {LARGEST_WEIGHT:g}" if found > 0 else "")
            + f", found {found:g}",
            name,
        )
    return weight
