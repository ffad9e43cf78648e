"""The summary speaks in the units of the columns, with the errors of statsmodels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.formula.api as smf

from onepass import Model, refine, train
from onepass.actions.coefficient import Coefficient
from onepass.actions.summary import Summary, summarise


def frame(n_rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    town = np.array(["aachen", "bonn", "celle"])[rng.integers(0, 3, n_rows)]
    found = pd.DataFrame(
        {"area": rng.gamma(3, 30, n_rows), "age": 1900 + 100 * rng.random(n_rows), "town": town}
    )
    z = 0.02 * found.area - 0.01 * (found.age - 1950) + (town == "bonn")
    found["price"] = 100 + 10 * z + 5 * rng.normal(size=n_rows)
    found["sold"] = (rng.logistic(size=n_rows) < z - 2).astype(int)
    found["visits"] = rng.poisson(np.exp(0.3 * z - 1))
    found["user"] = [f"u{i}" for i in (300 ** rng.random(n_rows)).astype(int)]
    return found


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> tuple[str, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("lake")
    parts = [frame(3000, seed) for seed in range(3)]
    for i, part in enumerate(parts):
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), folder / f"{i}.parquet")
    return str(folder), pd.concat(parts)


MODELS = {
    "price": ("squared", smf.ols, {}),
    "sold": ("logistic", smf.logit, {"disp": 0}),
    "visits": ("poisson", smf.poisson, {"disp": 0}),
}


@pytest.mark.parametrize("label", MODELS)
def test_coefficients_errors_and_intervals_are_those_of_statsmodels(lake, tmp_path, label):
    loss, fit, options = MODELS[label]
    folder, rows = lake
    job = {"lake": folder, "label": label, "loss": loss, "model": str(tmp_path / "m")}
    train(job | {"features": ["area", "age", "town"]})
    found = summarise(Model.load(job["model"]))
    # The reference level is the most frequent one of the sample.
    levels = {c.feature.split(" = ")[1] for c in found.coefficients if " = " in c.feature}
    (reference,) = {"aachen", "bonn", "celle"} - levels
    theirs = fit(f"{label} ~ area + age + C(town, Treatment('{reference}'))", rows).fit(**options)
    low_high = theirs.conf_int()
    for ours in [*found.intercepts, *found.coefficients]:
        level = ours.feature.removeprefix("town = ")
        name = {
            "(intercept)": "Intercept",
            "area": "area",
            "age": "age",
        }.get(ours.feature, f"C(town, Treatment('{reference}'))[T.{level}]")
        assert ours.feature != "town is unknown", "no row has an unknown town"
        assert ours.coefficient == pytest.approx(theirs.params[name], rel=0.02, abs=0.002)
        assert ours.std_error == pytest.approx(theirs.bse[name], rel=0.02)
        assert ours.p_value == pytest.approx(theirs.pvalues[name], abs=0.01)
        assert ours.low == pytest.approx(low_high.loc[name, 0], rel=0.03, abs=0.01)
        assert ours.high == pytest.approx(low_high.loc[name, 1], rel=0.03, abs=0.01)


def test_frequent_values_of_hashed_columns_are_named_with_their_weights(tmp_path):
    effects = {f"u{i}": 5.0 * (-1) ** i for i in range(1, 6)}
    folder = tmp_path / "lake"
    folder.mkdir()
    for i in range(4):
        rows = frame(2000, i)
        rows["price"] += rows.user.map(effects).fillna(0.0)
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), folder / f"{i}.parquet")
    job = {"lake": str(folder), "label": "price", "model": str(tmp_path / "m")}
    train(job | {"exclude": ["sold", "visits"]})
    found = summarise(Model.load(job["model"]))
    assert found.hashed == {"user": 1 << 18}
    top = {value.value: value.weight for value in found.hashed_values[:5]}
    assert set(top) == set(effects)
    for name, effect in effects.items():
        assert top[name] == pytest.approx(effect, abs=0.8)
    assert found.hashed_values[0].rows > 50
    assert any("take the weights of hashed columns as known" in text for text in found.warnings)


def test_each_class_and_each_quantile_has_its_own_coefficients(lake, tmp_path):
    folder, _ = lake
    base = {"lake": folder, "features": ["area", "age"]}
    train(base | {"label": "town", "model": str(tmp_path / "c")})
    classes = summarise(Model.load(tmp_path / "c"))
    assert [c.output for c in classes.intercepts] == ["aachen", "bonn", "celle"]
    train(base | {"label": "price", "quantile": [0.1, 0.9], "model": str(tmp_path / "q")})
    quantiles = summarise(Model.load(tmp_path / "q"))
    low, high = (c.coefficient for c in quantiles.intercepts)
    assert [c.output for c in quantiles.intercepts] == ["0.1", "0.9"]
    assert low < high


def test_first_order_solvers_have_coefficients_without_errors(lake, tmp_path):
    folder, _ = lake
    train({"lake": folder, "label": "price", "solver": "nag", "model": str(tmp_path / "m")})
    found = summarise(Model.load(tmp_path / "m"))
    assert {c.std_error for c in [*found.intercepts, *found.coefficients]} == {None}


def model_of(rows: pd.DataFrame, folder: Path, **job) -> str:
    lake, model = folder / "lake", str(folder / "m")
    lake.mkdir()
    for i in range(3):
        part = rows.iloc[i::3].reset_index(drop=True)
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), lake / f"{i}.parquet")
    train({"lake": str(lake), "model": model} | job)
    return model


def of_feature(found: Summary) -> dict[str, Coefficient]:
    return {c.feature: c for c in [*found.intercepts, *found.coefficients]}


def collinear(n_rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"a": rng.normal(size=n_rows), "b": rng.normal(size=n_rows) * 3 + 7})
    level = rng.integers(0, 5, n_rows)
    rows["c"], rows["level"], rows["years"] = rows.a + rows.b, [f"l{i}" for i in level], level * 2.5
    z = 2 * rows.a - rows.b + level
    rows["y"] = z + rng.normal(size=n_rows)
    rows["bought"] = (rng.logistic(size=n_rows) < (z - z.mean()) / 3).astype(int)
    return rows


@pytest.mark.parametrize("label", ["y", "bought"])
def test_aliased_columns_are_named_and_the_others_are_those_of_the_design_without(tmp_path, label):
    rows = collinear(6000)
    exclude = [one for one in ("y", "bought") if one != label]
    model = model_of(rows, tmp_path, label=label, exclude=exclude, numeric=["years"])
    refine({"model": model})
    found = summarise(Model.load(model))
    by_name = of_feature(found)
    aliased = {name for name, c in by_name.items() if c.aliased}
    assert aliased == {"c", "years"}
    for name in aliased:
        c = by_name[name]
        assert (c.coefficient, c.std_error, c.p_value, c.low) == (0.0, None, None, None)
    assert any("c, years: a linear combination" in text for text in found.warnings)
    reference = found.references["level"]
    fit = smf.ols if label == "y" else smf.logit
    formula = f"{label} ~ a + b + C(level, Treatment('{reference}'))"
    theirs = fit(formula, rows).fit(**({} if label == "y" else {"disp": 0}))
    for name in ("a", "b"):
        assert by_name[name].coefficient == pytest.approx(theirs.params[name], rel=1e-4)
        assert by_name[name].std_error == pytest.approx(theirs.bse[name], rel=1e-4)
    for level in set(rows.level) - {reference}:
        name = f"C(level, Treatment('{reference}'))[T.{level}]"
        assert by_name[f"level = {level}"].coefficient == pytest.approx(
            theirs.params[name], rel=1e-3, abs=1e-4
        )
        assert by_name[f"level = {level}"].std_error == pytest.approx(theirs.bse[name], rel=1e-4)


@pytest.mark.parametrize("label", ["price", "visits"])
def test_epochs_give_no_more_information(lake, tmp_path, label):
    folder, _ = lake
    loss = MODELS[label][0]
    found = {}
    for epochs in (1, 3):
        model = str(tmp_path / str(epochs))
        job = {"lake": folder, "label": label, "loss": loss, "features": ["area", "age", "town"]}
        train(job | {"model": model, "epochs": epochs})
        found[epochs] = of_feature(summarise(Model.load(model)))
    for name, one in found[1].items():
        again = found[3][name]
        assert again.std_error == pytest.approx(one.std_error, rel=0.02)
        assert again.p_value == pytest.approx(one.p_value, abs=0.02)
    refine({"model": model})
    for name, one in of_feature(summarise(Model.load(model))).items():
        assert one.std_error == pytest.approx(found[1][name].std_error, rel=0.02)


def test_levels_whose_rows_are_of_one_class_are_named(tmp_path):
    rng = np.random.default_rng(6)
    n_rows = 6000
    rows = pd.DataFrame({"x": rng.normal(size=n_rows)})
    rows["town"] = rng.choice(["aachen", "bonn", "celle", "dorf"], n_rows, p=[0.5, 0.3, 0.19, 0.01])
    rows["sold"] = (rng.logistic(size=n_rows) < rows.x - 0.5).astype(int)
    rows.loc[rows.town == "dorf", "sold"] = 1
    model = model_of(rows, tmp_path, label="sold")
    for _ in range(2):
        (separated,) = (t for t in summarise(Model.load(model)).warnings if "infinite" in t)
        assert separated.startswith("town = dorf: (almost) all rows are of one class")
        refine({"model": model})


def test_numbers_that_tell_a_class_exactly_are_named(tmp_path):
    rng = np.random.default_rng(8)
    rows = pd.DataFrame({"x": rng.normal(size=6000), "z": rng.normal(size=6000)})
    rows["mark"] = np.where(rng.random(6000) < 0.02, 1.5, 0.5)
    rows["sold"] = (rng.logistic(size=6000) < rows.x - 0.5).astype(int)
    rows.loc[rows.mark > 1, "sold"] = 1
    model = model_of(rows, tmp_path, label="sold", numeric=["mark"])
    refine({"model": model}, n_passes=20)
    (warning,) = summarise(Model.load(model)).warnings
    assert warning.startswith("mark: a class has (almost) no row beyond some value")


def test_classes_that_the_columns_separate_are_told(tmp_path):
    rows = pd.DataFrame({"x": np.random.default_rng(7).normal(size=4000)})
    rows["sold"] = (rows.x > 0.3).astype(int)
    model = model_of(rows, tmp_path, label="sold")
    refine({"model": model}, n_passes=20)
    assert any("separate the classes" in text for text in summarise(Model.load(model)).warnings)


def test_refining_is_advised_before_conclusions_where_one_pass_is_not_exact(lake, tmp_path):
    folder, _ = lake
    job = {"lake": folder, "features": ["area", "age", "town"]}
    for label, (loss, *_) in MODELS.items():
        model = str(tmp_path / label)
        train(job | {"label": label, "loss": loss, "model": model})
        advised = [
            text for text in summarise(Model.load(model)).warnings if "onepass refine" in text
        ]
        assert len(advised) == (loss != "squared")
        refine({"model": model})
        assert summarise(Model.load(model)).warnings == []


@pytest.mark.parametrize("tails", ["clip", "log"])
def test_coefficients_of_curbed_columns_are_per_unit_of_what_is_read(tmp_path, tails):
    rng = np.random.default_rng(0)
    x = np.where(rng.random(9000) < 0.02, 1e5, 0) + rng.lognormal(sigma=2, size=9000)
    table = pa.table({"x": x, "y": np.zeros(9000)})
    (tmp_path / "lake").mkdir()
    pq.write_table(table, tmp_path / "lake" / "a.parquet")
    job = {"lake": str(tmp_path / "lake"), "label": "y", "tails": tails}
    train(job | {"model": str(tmp_path / "first")})
    (column,) = Model.load(tmp_path / "first").file.encoder.columns
    form = np.minimum(x, np.inf if column.high is None else column.high)
    form = form if tails == "clip" else np.log1p(form / column.log_unit)
    table = table.set_column(1, "y", pa.array(7 + 3 * form / form.std()))
    pq.write_table(table, tmp_path / "lake" / "a.parquet")
    train(job | {"model": str(tmp_path / "m"), "tails": tails})
    found = summarise(Model.load(tmp_path / "m"))
    assert found.coefficients[0].coefficient == pytest.approx(3 / form.std(), rel=1e-4)
    assert found.intercepts[0].coefficient == pytest.approx(7, rel=1e-3)
    assert found.coefficients[0].read_as == column.curb != ""
    assert found.intercepts[0].read_as is None


def test_class_weights_are_told(tmp_path):
    rng = np.random.default_rng(5)
    rows = pa.table({"x": rng.normal(size=2000), "y": rng.random(2000) < 0.05})
    pq.write_table(rows, tmp_path / "a.parquet")
    model = str(tmp_path / "model")
    lake = str(tmp_path / "a.parquet")
    train({"lake": lake, "label": "y", "class_weight": "balanced", "model": model})
    found = summarise(Model.load(model)).warnings
    assert any("rows are weighted by class" in text for text in found)
