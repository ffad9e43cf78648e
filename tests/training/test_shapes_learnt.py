"""Crosses and shapes are learnt in one pass, and every action on the model knows them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from patsy import dmatrix

from lakes import write_files
from onepass import Model, evaluate, refine, score, train
from onepass.actions.summary import summarise
from onepass.errors import JobError
from onepass.report.write import write_report

N_FILES, N_ROWS = 4, 2500


def part(seed):
    rng = np.random.default_rng(seed)
    site, device = rng.integers(0, 12, (2, N_ROWS))
    age, temp = rng.gamma(4, 10, N_ROWS), rng.normal(15, 8, N_ROWS)
    wave = 3 * np.sin(age / 12)
    slope = (site - 6) / 3 * (temp - 15) / 8
    return pa.table(
        {
            "site": [f"s{i}" for i in site],
            "device": [f"d{i}" for i in device],
            "age": age,
            "temp": temp,
            "xor": (site % 2 ^ device % 2 ^ (rng.random(N_ROWS) < 0.02)).astype(np.int8),
            "curve": wave + rng.normal(size=N_ROWS),
            "bent": 0.05 * (age - 40) * (temp - 10) + rng.normal(size=N_ROWS),
            "slopes": slope + 0.3 * rng.normal(size=N_ROWS),
        }
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    files = {f"{i}.parquet": part(i) for i in range(N_FILES)}
    return str(write_files(tmp_path_factory.mktemp("lake"), files))


NEW = part(99)
TARGETS = ("xor", "curve", "bent", "slopes")


@pytest.fixture
def trained(lake, tmp_path):
    """Train a model of one label; returns the model."""

    def train_one(label, **fields):
        others = [name for name in TARGETS if name != label]
        job = {"lake": lake, "label": label, "model": str(tmp_path / "m"), "clip": False}
        train(job | {"exclude": others} | fields)
        return Model.load(job["model"])

    return train_one


def test_one_pass_learns_what_two_columns_tell_only_together(trained):
    model = trained("xor", cross=["site*device"], features=["site", "device"], exclude=[])
    wrong = (model.predict(NEW) > 0.5) != NEW["xor"].to_numpy().astype(bool)
    assert wrong.mean() < 0.04


def everything(names):
    rows = pa.concat_tables(map(part, range(N_FILES)))
    return [rows[name].to_numpy() for name in names]


def least_squares(design, y, new):
    return new @ np.linalg.lstsq(design, y, rcond=None)[0]


def test_spline_of_squared_loss_is_least_squares_on_the_textbook_basis(trained):
    model = trained("curve", spline=["age:7"], features=["age"], exclude=[])
    knots = model.file.encoder.columns[0].knots

    def design(x):
        # Beyond its bounds, patsy goes on as a line, too.
        formula = "cr(x, knots=k, lower_bound=low, upper_bound=high)"
        known = {"x": x, "k": knots[1:-1], "low": knots[0], "high": knots[-1]}
        inside = np.clip(x, knots[0], knots[-1])
        basis = np.asarray(dmatrix(formula, known | {"x": inside}))
        step = 1e-3
        for end, sign in ((knots[0], 1), (knots[-1], -1)):
            two = np.asarray(dmatrix(formula, known | {"x": np.array([end, end + sign * step])}))
            out = (x < end) if sign > 0 else (x > end)
            basis[out] += np.outer(sign * (x - end)[out], two[1] - two[0]) / step
        return basis

    age, y = everything(["age", "curve"])
    expected = least_squares(design(age), y, design(NEW["age"].to_numpy()))
    np.testing.assert_allclose(model.predict(NEW), expected, atol=2e-3)


def test_product_of_numbers_is_least_squares_with_their_product(trained):
    model = trained("bent", cross=["age*temp"], features=["age", "temp"], exclude=[])

    def design(age, temp):
        return np.column_stack([np.ones(len(age)), age, temp, age * temp])

    age, temp, y = everything(["age", "temp", "bent"])
    new = design(NEW["age"].to_numpy(), NEW["temp"].to_numpy())
    expected = least_squares(design(age, temp), y, new)
    np.testing.assert_allclose(model.predict(NEW), expected, rtol=1e-3, atol=1e-3)
    found = {one.feature: one for one in summarise(model).coefficients}
    assert found["age*temp"].coefficient == pytest.approx(0.05, abs=0.001)
    assert found["age*temp"].read_as == "each from its mean"


def test_category_times_number_gives_each_level_its_slope(trained):
    fields = {"features": ["site", "temp"], "exclude": []}
    model = trained("slopes", cross=["site*temp"], **fields)
    error = np.sqrt(np.mean((model.predict(NEW) - NEW["slopes"].to_numpy()) ** 2))
    assert error < 0.33
    values = {one.value: one.weight for one in summarise(model).hashed_values if "*" in one.column}
    assert values["s11"] - values["s0"] == pytest.approx(11 / 3, rel=0.1)


@pytest.fixture
def all_shapes(trained):
    return trained(
        "xor",
        cross=["site*device", "site*temp", "age*temp"],
        spline=["age:5"],
        bins=["temp:6"],
        l2=[1e-4],
    )


def test_summary_names_combinations_bins_and_the_curve(all_shapes):
    found = summarise(all_shapes)
    names = {one.feature for one in found.coefficients}
    columns = {column.name: column for column in all_shapes.file.encoder.columns}
    spline, bins = columns["age"], columns["temp"]
    texts = spline.knot_texts()
    assert {f"age at {text}" for text in texts[1:]} <= names
    assert {f"temp {level}" for level in bins.levels[1:]} <= names
    assert found.references["age"] == texts[0]
    assert found.references["temp"] == bins.levels[0]
    assert {one.value for one in found.hashed_values if one.column == "site*device"} >= {"s0*d1"}
    assert [point.value for point in found.curves[0].knots] == spline.knots


def test_curve_is_the_change_of_the_prediction_from_knot_to_knot(trained):
    model = trained("curve", spline=["age:5"], log=["age"], features=["age"], exclude=[])
    (curve,) = summarise(model).curves
    at = model.predict({"age": [point.value for point in curve.knots]})
    np.testing.assert_allclose(at - at[0], [point.effect for point in curve.knots], atol=1e-5)
    line = model.predict({"age": [point.value for point in curve.line]})
    np.testing.assert_allclose(line - at[0], [point.effect for point in curve.line], atol=1e-5)
    assert all(point.low < point.effect < point.high for point in curve.knots[1:])


def test_scores_evaluations_refinement_and_the_page_take_every_shape(all_shapes, lake, tmp_path):
    job = all_shapes.file.job
    score(lake, model=job.model, out=str(tmp_path / "out"))
    found = pq.read_table(tmp_path / "out" / "0.parquet")["prediction"].to_numpy()
    np.testing.assert_allclose(found, all_shapes.predict(part(0)), rtol=1e-6)
    before = evaluate(lake, model=job.model)
    refine({"model": job.model}, n_passes=8)
    assert evaluate(lake, model=job.model).loss < before.loss
    write_report(job.model, tmp_path / "page.html")
    assert "Curves" in (tmp_path / "page.html").read_text()


def test_scikit_learn_predicts_by_curves_bins_and_products(trained):
    shapes = {"spline": ["age:7"], "bins": ["temp:4"], "cross": ["age*slopes", "age*bent"]}
    model = trained("curve", **shapes, features=["age", "temp", "slopes"], exclude=[])
    assert model.file.encoder.n_dense == 6 + 3 + 1 + 2
    np.testing.assert_allclose(model.to_sklearn().predict(NEW), model.predict(NEW), rtol=1e-6)


@pytest.mark.parametrize("cross", ["site*device", "site*temp"])
def test_scikit_learn_has_no_counterpart_of_hashed_crosses(trained, cross):
    model = trained("curve", cross=[cross], features=["age"], exclude=[])
    with pytest.raises(JobError, match="crosses of categories has no counterpart"):
        model.to_sklearn()


def test_rounds_of_several_groups_learn_the_same_as_themselves_again(lake, tmp_path):
    states = set()
    for name in ("one", "two"):
        job = {"lake": lake, "label": "xor", "model": str(tmp_path / name), "parallel": 2}
        job |= {"cross": ["site*device", "site*temp"], "spline": ["age:5"]}
        states.add(train(job | {"features": ["site", "age"]}).state_sha256)
    assert len(states) == 1
