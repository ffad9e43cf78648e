"""Intervals of predictions are those of statsmodels, and of the covariance of all weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from onepass import Model, refine, score, train
from onepass.errors import JobError
from onepass.model import spread
from onepass.model.intervals import AskedInterval
from recording import Recorder

N_ROWS = 4000


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    town = np.array(["aachen", "bonn", "celle"])[rng.integers(0, 3, N_ROWS)]
    found = pd.DataFrame({"area": rng.gamma(3, 30, N_ROWS), "town": town})
    z = 0.02 * found.area + (town == "bonn") - 2
    found["price"] = 100 + 10 * z + 5 * rng.normal(size=N_ROWS)
    found["sold"] = (rng.logistic(size=N_ROWS) < z).astype(int)
    found["visits"] = rng.poisson(np.exp(0.5 * z))
    found["kind"] = (z + rng.logistic(size=N_ROWS) > 0) * 1 + (rng.random(N_ROWS) < 0.3) * 1
    found["user"] = [f"u{i}" for i in (300 ** rng.random(N_ROWS)).astype(int)]
    return found


@pytest.fixture(scope="module")
def lake(tmp_path_factory, rows) -> str:
    folder = tmp_path_factory.mktemp("lake")
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), folder / "a.parquet")
    return str(folder)


@pytest.fixture(scope="module")
def trained(lake, tmp_path_factory) -> Any:
    known: dict[str, str] = {}

    def model(label: str, features: str = "area,town", **job: Any) -> Model:
        key = repr((label, features, job))
        if key not in known:
            known[key] = str(tmp_path_factory.mktemp("model") / "m")
            given = {"lake": lake, "label": label, "features": features.split(",")}
            train(given | {"model": known[key]} | job)
            if "solver" not in job and job.get("loss") != "hinge":
                refine({"model": known[key]})
        return Model.load(known[key])

    return model


FAMILIES = {
    "price": ("squared", sm.families.Gaussian()),
    "sold": ("logistic", sm.families.Binomial()),
    "visits": ("poisson", sm.families.Poisson()),
}


@pytest.mark.parametrize("label", FAMILIES)
def test_intervals_of_means_are_those_of_statsmodels(trained, rows, label):
    loss, family = FAMILIES[label]
    model = trained(label, loss=loss, clip=False)
    fitted = smf.glm(f"{label} ~ area + C(town)", rows, family=family).fit()
    expected = fitted.get_prediction(rows).summary_frame(alpha=0.1)
    low, high = model.predict_interval(rows, 0.9)
    # The normal of statsmodels' GLM and Student's t of squared loss differ by 0.1 %.
    width = expected["mean_ci_upper"] - expected["mean_ci_lower"]
    np.testing.assert_allclose(high - low, width, rtol=5e-3)
    np.testing.assert_allclose(low, expected["mean_ci_lower"], rtol=3e-3, atol=1e-3)
    assert np.all(low < model.predict(rows))
    assert np.all(model.predict(rows) < high)


def test_interval_of_a_new_row_adds_the_variance_of_residuals(trained, rows):
    model = trained("price", clip=False)
    fitted = smf.ols("price ~ area + C(town)", rows).fit()
    low, high = model.predict_interval(rows, 0.9, of="row")
    expected = fitted.get_prediction(rows).summary_frame(alpha=0.1)
    np.testing.assert_allclose(low, expected["obs_ci_lower"], rtol=1e-4)
    np.testing.assert_allclose(high, expected["obs_ci_upper"], rtol=1e-4)


def test_intervals_of_classes_are_those_of_the_delta_method(trained, rows):
    model = trained("kind", loss="softmax")
    some = rows.iloc[:50]
    low, high = model.predict_interval(some)
    fitted = smf.mnlogit("kind ~ area + C(town)", rows).fit(disp=0)
    names = ["Intercept", "C(town)[T.bonn]", "C(town)[T.celle]", "area"]
    x = np.column_stack([np.ones(50), some.town == "bonn", some.town == "celle", some.area]).astype(
        float
    )
    b = fitted.params.loc[names].to_numpy()
    # statsmodels has the parameters of one class after those of another.
    order = [list(fitted.params.index).index(n) + k * 4 for k in range(2) for n in names]
    covariance = fitted.cov_params().to_numpy()[np.ix_(order, order)]

    def odds(flat: np.ndarray, k: int) -> np.ndarray:
        eta = np.column_stack([np.zeros(50), x @ flat.reshape(2, 4).T])
        p = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
        return np.log(p[:, k] / (1 - p[:, k]))

    for k in range(3):
        flat, step = b.T.ravel(), 1e-5
        slopes = np.column_stack(
            [(odds(flat + e, k) - odds(flat - e, k)) / (2 * step) for e in step * np.eye(8)]
        )
        error = np.sqrt(np.einsum("ij,jk,ik->i", slopes, covariance, slopes))
        for found, sign in ((low, -1), (high, 1)):
            expected = 1 / (1 + np.exp(-(odds(flat, k) + sign * 1.959964 * error)))
            np.testing.assert_allclose(found[:, k], expected, rtol=5e-3, atol=1e-4)


def test_variance_of_hashed_weights_widens_the_interval(trained, rows):
    model = trained("price", "area,user", clip=False)
    (weights,) = model.weights
    assert weights.hashed_variance is not None
    some = rows.iloc[:200]
    low, high = model.predict_interval(some, 0.9)
    block = model._encoded(some).block
    x = np.column_stack([block.dense, np.ones(200)])
    variance = np.einsum("ij,jk,ik->i", x, weights.identified.covariance, x)
    variance += weights.hashed_variance[block.slots[:, 0]]
    np.testing.assert_allclose(((high - low) / (2 * 1.645)) ** 2, variance, rtol=5e-3)


def test_several_quantiles_have_an_interval_each_that_holds_them(trained, rows):
    model = trained("price", quantile=[0.1, 0.5, 0.9])
    low, high = model.predict_interval(rows)
    predictions = model.predict(rows)
    assert low.shape == predictions.shape == (N_ROWS, 3)
    assert np.all(low <= predictions)
    assert np.all(predictions <= high)
    assert np.all(low[:, 0] < high[:, 0])


def test_pieces_of_rows_do_not_change_intervals(trained, rows, monkeypatch):
    for label, job in (("price", {"clip": False}), ("kind", {"loss": "softmax"})):
        model = trained(label, **job)
        whole = model.predict_interval(rows)
        monkeypatch.setattr(spread, "_NUMBERS", 500)
        np.testing.assert_allclose(model.predict_interval(rows), whole, rtol=1e-12)
        monkeypatch.undo()


def test_nothing_is_known_of_a_level_that_no_row_had(trained, rows):
    model = trained("price", clip=False)
    some = rows.iloc[:3].assign(town=["aachen", "nowhere", "bonn"])
    low, high = model.predict_interval(some)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, False]
    assert np.isfinite(model.predict(some)).all()


@pytest.mark.parametrize(
    ("label", "job", "numbers"),
    [
        ("sold", {"loss": "logistic"}, ["prediction"]),
        ("kind", {"loss": "softmax"}, ["prediction_0", "prediction_1", "prediction_2"]),
        ("price", {"quantile": [0.1, 0.9]}, ["prediction", "prediction_0.1", "prediction_0.9"]),
    ],
)
def test_scores_have_the_intervals_of_the_model_as_columns(
    trained, lake, rows, tmp_path, label, job, numbers
):
    model = trained(label, **job)
    path, out = model.file.job.model, tmp_path / "out"
    score(lake, path, out, keep=["user"])
    plain = pq.read_table(out / "a.parquet")
    report = score(lake, path, out, keep=["user"], interval=0.9)
    assert report.partitions == 1
    table = pq.read_table(out / "a.parquet")
    ends = [f"{name}_{end}" for name in numbers for end in ("low", "high")]
    assert table.column_names == [*plain.column_names, *ends]
    for name in numbers:
        np.testing.assert_allclose(table[name], plain[name], rtol=1e-12)
    low, _ = model.predict_interval(rows, 0.9)
    low = low.reshape(N_ROWS, -1)
    for name, own in zip(numbers[-low.shape[1] :], low.T, strict=True):
        np.testing.assert_allclose(table[f"{name}_low"], own, rtol=1e-12)
    # The same once more is there already, and another level is not.
    assert score(lake, path, out, keep=["user"], interval=0.9).partitions == 0
    assert score(lake, path, out, keep=["user"], interval=0.8).partitions == 1


def test_intervals_of_a_model_with_class_weights_are_told_to_be_those_of_the_weighted_rows(
    trained, lake, tmp_path
):
    told = {}
    for weights in ({}, {"class_weight": {"1": 5.0}}):
        model = trained("sold", **weights)
        for level in (None, 0.9):
            recorder = Recorder()
            out = tmp_path / f"{len(told)}"
            score(lake, model.file.job.model, out, interval=level, progress=recorder)
            told[bool(weights), level] = recorder.notes
    assert not any(notes for case, notes in told.items() if case != (True, 0.9))
    (note,) = told[True, 0.9]
    assert note.startswith("rows are weighted by class (0 1, 1 5): probabilities are those of the")
    assert "so are their intervals" in note
    assert "train without --class-weight" in note


REFUSED = {
    "first order": ({"solver": "nag"}, AskedInterval(0.9), "newton"),
    "hinge": ({"loss": "hinge"}, AskedInterval(0.9), "hinge"),
    "a new row of two classes": ({"loss": "logistic"}, AskedInterval(0.9, "row"), "quantile"),
    "coverage": ({"loss": "logistic"}, AskedInterval(95), "between 0 and 1"),
    "robust": ({"loss": "logistic"}, AskedInterval(0.9, "mean", "robust"), "robust"),
}


@pytest.mark.parametrize(("job", "asked", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_intervals_that_a_model_does_not_have_are_refused(trained, job, asked, told):
    with pytest.raises(JobError, match=told):
        trained("sold", **job).intervals(asked)
