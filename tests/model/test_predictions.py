"""Predictions as columns: what they are called, of which type, and what stands in them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.schema import Label, Schema
from onepass.job import Job
from onepass.model.directory import ModelFile
from onepass.model.predictions import prediction_columns, prediction_fields


def model(loss, *, family="number", classes=None, quantile=(0.5,)):
    label = Label(name="y", family=family, classes=classes)
    return ModelFile(
        format=1,
        id="x",
        created="2026-01-01",
        job=Job(lake="/l", label="y", model="/m", loss=loss, quantile=list(quantile)),
        encoder=Schema(columns=[], label=label, weight=None, hash_bits=1, hive={}),
        batch_rows=1,
    )


def table(predictions, file):
    schema = pa.schema(prediction_fields(file))
    return pa.table(prediction_columns(np.asarray(predictions, float), file), schema=schema)


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson", "gamma", "logistic", "hinge"])
def test_one_number_per_row_is_the_prediction(loss):
    classes = ["no", "yes"] if loss in {"logistic", "hinge"} else None
    family = "text" if classes else "number"
    found = table([0.5, -1, 2], model(loss, classes=classes, family=family))
    assert found.to_pydict() == {"prediction": [0.5, -1, 2]}


@pytest.mark.parametrize(
    ("family", "classes", "expected", "kind"),
    [
        ("text", ["a b", "", "ü"], ["ü", "a b"], pa.string()),
        ("number", ["-1", "7", "12345678901"], [12345678901, -1], pa.int64()),
        ("number", ["0.5", "1", "2"], [2.0, 0.5], pa.float64()),
        ("number", ["1", "2", str(2**63)], [2.0**63, 1.0], pa.float64()),
        ("bool", ["false", "true"], [True, False], pa.bool_()),
    ],
)
def test_most_likely_class_stands_in_the_labels_own_type(family, classes, expected, kind):
    n = len(classes)
    p = np.full((2, n), 0.1)
    p[0, n - 1] = p[1, 0] = 0.8
    found = table(p, model("softmax", family=family, classes=classes))
    assert found.column_names == ["prediction", *(f"prediction_{text}" for text in classes)]
    assert found["prediction"].to_pylist() == expected
    assert found.schema.field("prediction").type == kind
    for i, text in enumerate(classes):
        assert found[f"prediction_{text}"].to_pylist() == p[:, i].tolist()


@pytest.mark.parametrize(
    ("quantile", "middle"), [((0.1, 0.5, 0.9), 1), ((0.25, 0.75), 0), ((0.7, 0.9), 0)]
)
def test_several_quantiles_have_a_column_each_and_the_one_in_the_middle_is_the_prediction(
    quantile, middle
):
    p = np.arange(2.0 * len(quantile)).reshape(2, -1)
    found = table(p, model("quantile", quantile=quantile))
    assert found.column_names == ["prediction", *(f"prediction_{q}" for q in quantile)]
    assert found["prediction"].to_pylist() == p[:, middle].tolist()
    assert found[f"prediction_{quantile[-1]}"].to_pylist() == p[:, -1].tolist()


def test_one_quantile_is_the_prediction():
    assert table([1, 2], model("quantile", quantile=[0.9])).to_pydict() == {"prediction": [1, 2]}


@pytest.mark.parametrize("loss", ["softmax", "quantile", "squared"])
def test_no_rows_have_the_same_columns(loss):
    file = model(loss, classes=["1", "2", "3"], quantile=[0.1, 0.9])
    found = table(np.empty(0), file)
    assert found.num_rows == 0
    assert found.schema.names == [field.name for field in prediction_fields(file)]
