"""The summary speaks in the units of the columns, with the errors of statsmodels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.formula.api as smf

from onepass import Model, train
from onepass.actions.summary import summarise


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
        if ours.feature == "town is unknown":
            assert ours.std_error is None
            continue
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
