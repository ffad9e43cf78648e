"""`Model.to_sklearn`: a pipeline that predicts what the model predicts."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakes import number_table, write_files
from onepass import Model, train
from onepass.errors import JobError

CLASSES = ["late", "lost", "punctual"]

JOBS: dict[str, dict[str, Any]] = {
    "squared": {"loss": "squared"},
    "huber": {"loss": "huber", "delta": 0.8},
    "quantile": {"loss": "quantile", "quantile": 0.8},
    "poisson": {"loss": "poisson"},
    "gamma": {"loss": "gamma"},
    "tweedie": {"loss": "tweedie", "power": 1.3},
    "inverse_gaussian": {"loss": "inverse_gaussian"},
    "logistic": {"loss": "logistic"},
    "hinge": {"loss": "hinge"},
    "softmax": {"loss": "softmax"},
}
REGRESSIONS = (
    *("squared", "huber", "quantile", "poisson", "gamma"),
    *("tweedie", "inverse_gaussian"),
)
CLASSIFIERS = ("logistic", "hinge", "softmax")
WITH_PROBABILITIES = ("logistic", "softmax")


def labels(loss: str, z: np.ndarray) -> pa.Array:
    """Return labels of the loss's domain that depend on `z`."""
    rng = np.random.default_rng(0)
    mean = np.exp(np.clip(z / 2, -2, 2))
    match loss:
        case "poisson":
            return pa.array(rng.poisson(mean))
        case "tweedie":
            return pa.array(rng.poisson(1.0, len(mean)) * rng.gamma(2, mean / 2))
        case "negative_binomial":
            return pa.array(rng.poisson(mean * rng.gamma(2, 0.5, len(mean))))
        case "gamma" | "inverse_gaussian":
            return pa.array(rng.gamma(2, mean / 2) + 1e-3)
        case "logistic" | "probit" | "cloglog" | "hinge":
            return pa.array((z > 0.7).astype(np.int8))
        case "softmax":
            return pa.array(np.array(CLASSES)[np.digitize(z, [0.0, 1.5])])
        case _:
            return pa.array(z)


@pytest.fixture
def trained(tmp_path):
    """Train a model of a loss on a small lake; returns the model."""

    def train_one(loss: str, **fields: Any) -> Model:
        table = number_table(900, seed=1)
        table = table.set_column(4, "y", labels(loss, table["y"].to_numpy()))
        if "categorical" in fields:
            shops = [f"shop {i % 90}" for i in range(len(table))]
            table = table.append_column("shop", pa.array(shops))
        lake = write_files(tmp_path / "lake", {"a.parquet": table})
        job = {"lake": str(lake), "label": "y", "model": str(tmp_path / "model")}
        train({**job, "clip": False, **JOBS.get(loss, {"loss": loss}), **fields})
        return Model.load(job["model"])

    return train_one


@pytest.fixture
def rows() -> pa.Table:
    """Rows that no model has seen, some beyond the range of those it has."""
    table = number_table(300, seed=2)
    return table.set_column(0, "a", pa.array(table["a"].to_numpy() * 3)).drop_columns("y")


@pytest.mark.parametrize("loss", REGRESSIONS)
def test_predictions_of_a_regression_are_those_of_the_model(trained, rows, loss):
    model = trained(loss)
    np.testing.assert_allclose(model.to_sklearn().predict(rows), model.predict(rows), rtol=1e-6)


@pytest.mark.parametrize("loss", CLASSIFIERS)
def test_classes_are_those_of_the_model(trained, rows, loss):
    model = trained(loss)
    pipeline, found = model.to_sklearn(), model.predict(rows)
    assert pipeline.classes_.tolist() == model.classes
    if loss == "softmax":
        expected = found
    else:
        expected = np.asarray(model.classes)[
            (found > (0.5 if loss == "logistic" else 0)).astype(int)
        ]
    assert len(set(expected)) == len(model.classes)
    np.testing.assert_array_equal(pipeline.predict(rows), expected)


@pytest.mark.parametrize("loss", WITH_PROBABILITIES)
def test_probabilities_are_those_of_the_model(trained, rows, loss):
    model = trained(loss)
    np.testing.assert_allclose(
        model.to_sklearn().predict_proba(rows), model.predict_proba(rows), rtol=1e-5, atol=1e-9
    )


def test_margins_of_hinge_loss_are_those_of_the_model(trained, rows):
    model = trained("hinge")
    margins = model.to_sklearn().decision_function(rows)
    np.testing.assert_allclose(margins, model.predict(rows), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", JOBS)
def test_pickled_pipeline_predicts_the_same(trained, rows, loss):
    pipeline = trained(loss).to_sklearn()
    again = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(again.predict(rows), pipeline.predict(rows))
    if loss in WITH_PROBABILITIES:
        np.testing.assert_array_equal(again.predict_proba(rows), pipeline.predict_proba(rows))


def test_encoding_names_its_features(trained, rows):
    model = trained("squared")
    encode, linear = model.to_sklearn()
    names = encode.get_feature_names_out(rows.column_names).tolist()
    assert names == model.file.encoder.feature_names()
    assert linear.n_features_in_ == len(names) == encode.transform(rows).shape[1]


@pytest.mark.parametrize("loss", ["negative_binomial", "probit", "cloglog"])
def test_loss_that_scikit_learn_lacks_is_refused(trained, loss):
    with pytest.raises(JobError, match=f"scikit-learn has no linear model of {loss} loss"):
        trained(loss).to_sklearn()


@pytest.mark.parametrize("solver", ["newton", "sgd"])
def test_model_with_hashed_columns_is_refused(trained, solver):
    model = trained("squared", solver=solver, categorical=["shop"], hash_bits=8)
    assert model.file.encoder.n_hashed
    with pytest.raises(JobError, match="hashed columns"):
        model.to_sklearn()


def test_model_of_several_quantiles_is_refused(trained):
    with pytest.raises(JobError, match="several quantiles"):
        trained("quantile", quantile=[0.1, 0.9]).to_sklearn()
