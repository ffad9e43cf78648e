"""Lay out predictions as the columns of a table.

``prediction`` is a number in the label's unit, the probability of the positive class for logistic
loss, the margin for hinge loss, and the most likely class for softmax and ordinal loss, in the
label's own type. These two add ``prediction_<class>`` with the probability of each class. Several
quantiles add ``prediction_<quantile>`` for each, and ``prediction`` is the one nearest to the
median.
"""

from __future__ import annotations

import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.classes import class_type, class_values
from onepass.learn.losses import SEVERAL
from onepass.learn.metrics.quantile import middle
from onepass.model.file import ModelFile

PREDICTION = "prediction"


def prediction_fields(file: ModelFile) -> list[pa.Field]:
    """Return the fields of the table of predictions, as the module describes them."""
    label = file.encoder.label
    of_class = file.job.loss in SEVERAL
    first = pa.field(PREDICTION, class_type(label) if of_class else pa.float64())
    return [first, *(pa.field(f"{PREDICTION}_{part}", pa.float64()) for part in _parts(file))]


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
    if file.job.loss not in SEVERAL:
        return [parts[middle(file.job.quantile)], *parts]
    label = file.encoder.label
    known = pa.array(class_values(label), class_type(label))
    return [known.take(pa.array(table.argmax(axis=1))), *parts]


def _parts(file: ModelFile) -> list[str]:
    """Return the text of the class or quantile of each column after the first."""
    if file.job.loss in SEVERAL:
        return list(file.encoder.label.classes or ())
    quantiles = file.job.quantile if file.job.loss == "quantile" else []
    return [f"{quantile:g}" for quantile in quantiles] if len(quantiles) > 1 else []
