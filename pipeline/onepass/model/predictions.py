"""Lay out predictions as the columns of a table.

``prediction`` is a number in the label's unit, the probability of the positive class for logistic
loss, the margin for hinge loss, and the most likely class for softmax loss, in the label's own
type. Softmax adds ``prediction_<class>`` with the probability of each class. Several quantiles add
``prediction_<quantile>`` for each, and ``prediction`` is the one nearest to the median. Intervals
add two columns for each number, such as ``prediction_low`` and ``prediction_high``.
"""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from onepass.block import FloatArray
from onepass.encode.classes import class_type, class_values
from onepass.errors import JobError
from onepass.learn.metrics.quantile import middle
from onepass.model.file import ModelFile

PREDICTION = "prediction"


def prediction_fields(file: ModelFile, *, intervals: bool = False) -> list[pa.Field]:
    """Return the fields of the table of predictions, as the module describes them.

    Parameters
    ----------
    intervals
        Whether each number has an interval, in columns of its name with ``_low`` and ``_high``.

    Raises
    ------
    JobError
        If two fields have the same name, as those of classes x and x_low have.
    """
    label = file.encoder.label
    of_class = file.job.loss == "softmax"
    first = pa.field(PREDICTION, class_type(label) if of_class else pa.float64())
    fields = [first, *(pa.field(f"{PREDICTION}_{part}", pa.float64()) for part in _parts(file))]
    if not intervals:
        return fields
    numbers = [field.name for field in (fields[1:] if of_class else fields)]
    ends = [pa.field(f"{name}_{end}", pa.float64()) for name in numbers for end in ("low", "high")]
    names = Counter(field.name for field in [*fields, *ends])
    if twice := [name for name, n in names.items() if n > 1]:
        raise JobError(f"--interval: two columns would be called {twice[0]!r}; leave it out")
    return [*fields, *ends]


def interval_columns(low: FloatArray, high: FloatArray, file: ModelFile) -> list[pa.Array]:
    """Return the ends of intervals as the last columns of `prediction_fields`; NaN as null.

    Parameters
    ----------
    low, high
        Of the shape of the predictions in `prediction_columns`.
    """
    ends = [prediction_columns(one, file) for one in (low, high)]
    first = 1 if file.job.loss == "softmax" else 0
    pairs = zip(ends[0][first:], ends[1][first:], strict=True)
    return [pc.if_else(pc.is_nan(end), None, end) for pair in pairs for end in pair]


def prediction_columns(predictions: FloatArray, file: ModelFile) -> list[pa.Array]:
    """Return predictions as the columns of `prediction_fields`.

    Parameters
    ----------
    predictions
        Shape (n_rows,), or (n_rows, n_parts) for several quantiles and for classes.
    """
    n_parts = len(_parts(file))
    if not n_parts:
        return [pa.array(predictions.reshape(-1))]
    table = predictions.reshape(-1, n_parts)
    parts = [pa.array(table[:, i]) for i in range(n_parts)]
    if file.job.loss != "softmax":
        return [parts[middle(file.job.quantile)], *parts]
    label = file.encoder.label
    known = pa.array(class_values(label), class_type(label))
    return [known.take(pa.array(table.argmax(axis=1))), *parts]


def _parts(file: ModelFile) -> list[str]:
    """Return the text of the class or quantile of each column after the first."""
    if file.job.loss == "softmax":
        return list(file.encoder.label.classes or ())
    quantiles = file.job.quantile if file.job.loss == "quantile" else []
    return [f"{quantile:g}" for quantile in quantiles] if len(quantiles) > 1 else []
