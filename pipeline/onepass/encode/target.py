"""A label column as the numbers that learners see, as the frozen label says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.classes import class_indices
from onepass.encode.columns import label_family, label_values
from onepass.encode.schema import Label
from onepass.errors import BadColumn

OUTSIDE = {
    "non_negative": "poisson loss needs labels of at least 0, found {}",
    "positive": "gamma loss needs labels above 0, found {}",
}


def label_target(values: pa.Array, label: Label) -> FloatArray:
    """Labels in their own unit, or the index of each one's class; null is NaN.

    Raises
    ------
    BadColumn
        If the column is of another kind than the frozen label, or a value is of no class, not
        finite, or outside of what the loss can learn from.
    """
    if len(values) and values.null_count == len(values):
        values = pa.nulls(len(values))
    found = label_family(values, label.name)
    if found != "null" and (found == "text") != (label.family == "text"):
        expected = "text" if label.family == "text" else "a number or a bool"
        raise BadColumn(f"the label must be {expected}, found type {values.type}", label.name)
    if label.classes is not None:
        return class_indices(values, label.classes, label.family, label.name)
    target = label_values(values, label.name)
    if label.domain != "real":
        outside = np.flatnonzero(target < 0 if label.domain == "non_negative" else target <= 0)
        if len(outside):
            reason = OUTSIDE[label.domain].format(f"{target[outside[0]]:g}")
            raise BadColumn(reason, label.name)
    return target
