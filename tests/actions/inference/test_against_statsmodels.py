"""Tests, references, contrasts, ratios and curves are those of statsmodels on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from onepass import Model, refine, train
from onepass.actions.summary import Summary, summarise
from onepass.encode.splines import heights
from onepass.errors import JobError

TOWN = "C(town, Treatment('{}'))"


def frame(n_rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    town = np.array(["aachen", "bonn", "celle"])[rng.integers(0, 3, n_rows)]
    rows = pd.DataFrame(
        {"area": rng.gamma(3, 30, n_rows), "age": 100 * rng.random(n_rows), "town": town}
    )
    z = 0.01 * rows.area + np.sin(rows.age / 15) + 0.7 * (town == "bonn") - 1.5
    rows["price"] = 3 * z + rng.normal(size=n_rows)
    rows["sold"] = (rng.logistic(size=n_rows) < z).astype(int)
    rows["visits"] = rng.poisson(np.exp(0.5 * z))
    rows["kind"] = (z + rng.logistic(size=n_rows) > 0) * 1 + (rng.random(n_rows) < 0.3) * 1
    return rows


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return frame(6000)


@pytest.fixture(scope="module")
def lake(tmp_path_factory, rows) -> str:
    folder = tmp_path_factory.mktemp("lake")
    for i in range(2):
        part = rows.iloc[i::2].reset_index(drop=True)
        pq.write_table(pa.Table.from_pandas(part, preserve_index=False), folder / f"{i}.parquet")
    return str(folder)


JOBS: dict[str, tuple[str, Any]] = {
    "price": ("squared", smf.ols),
    "sold": ("logistic", smf.logit),
    "visits": ("poisson", smf.poisson),
}


@pytest.fixture(scope="module")
def models(lake, tmp_path_factory) -> dict[str, Model]:
    found = {}
    for label, (loss, _) in JOBS.items():
        model = str(tmp_path_factory.mktemp("models") / label)
        job = {"lake": lake, "label": label, "loss": loss, "model": model}
        train(job | {"features": ["area", "age", "town"], "bins": ["age:4"]})
        refine({"model": model})
        found[label] = Model.load(model)
    return found


def theirs(model: Model, rows: pd.DataFrame, reference: str) -> tuple[Any, pd.DataFrame]:
    """Fit the same design with statsmodels; return the fit and its rows."""
    (bins,) = (c for c in model.file.encoder.columns if c.name == "age")
    cut = np.searchsorted(bins.edges, rows.age, side="right")
    data = rows.assign(band=[f"b{one}" for one in cut])
    fit = JOBS[model.file.job.label][1]
    options = {} if fit is smf.ols else {"disp": 0}
    formula = f"{model.file.job.label} ~ area + C(band) + {TOWN.format(reference)}"
    return fit(formula, data).fit(**options), data


@pytest.mark.parametrize("label", JOBS)
def test_wald_test_of_a_column_is_that_of_statsmodels(models, rows, label):
    model = models[label]
    found = summarise(model)
    fitted, _ = theirs(model, rows, found.references["town"])
    expected = fitted.wald_test_terms(scalar=True).table
    names = {"area": "area", "age": "C(band)", "town": TOWN.format(found.references["town"])}
    assert {one.column for one in found.tests} == set(names)
    for one in found.tests:
        line = expected.loc[names[one.column]]
        assert one.statistic == pytest.approx(line["statistic"], rel=2e-3)
        assert one.df == line["df_constraint"]
        assert one.p_value == pytest.approx(line["pvalue"], abs=1e-6)
        assert one.distribution == ("F" if label == "price" else "chi2")


@pytest.mark.parametrize("label", JOBS)
def test_another_reference_gives_the_coefficients_of_a_model_trained_with_it(models, rows, label):
    model = models[label]
    first = summarise(model)
    (reference,) = {"celle", "aachen"} - {first.references["town"]} - {"bonn"} or {"celle"}
    found = summarise(model, references={"town": reference})
    fitted, _ = theirs(model, rows, reference)
    low_high = fitted.conf_int()
    for one in [*found.intercepts, *found.coefficients]:
        if one.column not in {"town", "area", None}:
            continue
        name = {"area": "area", "(intercept)": "Intercept"}.get(
            one.feature, f"{TOWN.format(reference)}[T.{one.feature.removeprefix('town = ')}]"
        )
        assert one.coefficient == pytest.approx(fitted.params[name], abs=2e-3)
        assert one.std_error == pytest.approx(fitted.bse[name], rel=2e-3)
        assert one.low == pytest.approx(low_high.loc[name, 0], abs=4e-3)
        if label != "price":
            assert one.ratio == pytest.approx(np.exp(fitted.params[name]), rel=3e-3)
            assert one.ratio_high == pytest.approx(np.exp(low_high.loc[name, 1]), rel=5e-3)
    assert f"town = {reference}" not in {one.feature for one in found.coefficients}
    assert found.references["town"] == reference
    # A test of the whole column knows no reference.
    assert found.tests == first.tests


@pytest.mark.parametrize("label", JOBS)
def test_contrasts_are_those_of_statsmodels(models, rows, label):
    model = models[label]
    wanted = ["town=bonn:celle", "town=celle:aachen", "area=150:50", "age=90:10"]
    found = summarise(model, contrast=wanted)
    fitted, data = theirs(model, rows, "aachen")
    of_town = TOWN.format("aachen") + "[T.{}]"
    last = data.band.max()
    texts = [
        f"{of_town.format('bonn')} - {of_town.format('celle')} = 0",
        f"{of_town.format('celle')} = 0",
        "100 * area = 0",
        f"C(band)[T.{last}] = 0",
    ]
    for one, text in zip(found.contrasts, texts, strict=True):
        expected = fitted.t_test(text)
        assert one.difference == pytest.approx(float(expected.effect[0]), abs=2e-3)
        assert one.std_error == pytest.approx(float(expected.sd[0, 0]), rel=2e-3)
        assert one.p_value == pytest.approx(float(expected.pvalue), abs=2e-3)
        assert one.high == pytest.approx(expected.conf_int()[0, 1], abs=4e-3)
    swapped = summarise(model, contrast=["town=celle:bonn"]).contrasts[0]
    assert swapped.difference == -found.contrasts[0].difference
    assert swapped.std_error == pytest.approx(found.contrasts[0].std_error, rel=1e-12)


def test_classes_compared_with_a_base_class_are_those_of_statsmodels(lake, rows, tmp_path):
    model = str(tmp_path / "m")
    job = {"lake": lake, "label": "kind", "loss": "softmax", "model": model}
    train(job | {"features": ["area", "town"]})
    refine({"model": model})
    found = summarise(Model.load(model), references={"kind": "0", "town": "aachen"})
    fitted = smf.mnlogit(f"kind ~ area + {TOWN.format('aachen')}", rows).fit(disp=0)
    assert (found.base, found.ratio) == ("0", "odds ratio to 0")
    for one in [*found.intercepts, *found.coefficients]:
        name = {"area": "area", "(intercept)": "Intercept"}.get(
            one.feature, f"{TOWN.format('aachen')}[T.{one.feature.removeprefix('town = ')}]"
        )
        column = int(one.output) - 1
        assert one.coefficient == pytest.approx(fitted.params.loc[name, column], abs=3e-3)
        assert one.std_error == pytest.approx(fitted.bse.loc[name, column], rel=3e-3)
    by_column = {one.column: one for one in found.tests}
    # Two features of each of three classes, of which one is determined by the others.
    assert (by_column["town"].df, by_column["area"].df) == (4, 2)
    b = fitted.params.loc["area"].to_numpy()
    at = [list(fitted.params.index).index("area") + k * len(fitted.params) for k in range(2)]
    v = fitted.cov_params().to_numpy()[np.ix_(at, at)]
    expected = b @ np.linalg.solve(v, b)
    assert by_column["area"].statistic == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("reference", [None, "40", "33.3"])
def test_curve_of_a_spline_has_the_interval_of_the_same_basis_in_statsmodels(
    lake, rows, tmp_path, reference
):
    model = str(tmp_path / "m")
    job = {"lake": lake, "label": "price", "model": model, "features": ["area", "age", "town"]}
    train(job | {"spline": ["age:5"]})
    loaded = Model.load(model)
    found = summarise(
        loaded, curve=["age"], references={} if reference is None else {"age": reference}
    )
    (spline,) = (c for c in loaded.file.encoder.columns if c.name == "age")
    basis = heights(spline.knots, spline.degree, rows.age.to_numpy()).T
    x = np.column_stack(
        [np.ones(len(rows)), rows.area, rows.town == "bonn", rows.town == "celle", basis]
    )
    fitted = sm.OLS(rows.price.to_numpy(), x.astype(float)).fit()
    (profile,) = found.profiles
    values = np.array([one.number for one in profile.points])
    base = spline.knots[0] if reference is None else float(reference)
    at = heights(spline.knots, spline.degree, np.append(values, base)).T
    expected = fitted.t_test(np.column_stack([np.zeros((len(values), 4)), at[:-1] - at[-1]]))
    np.testing.assert_allclose([p.effect for p in profile.points], expected.effect, atol=1e-3)
    low, high = expected.conf_int().T
    np.testing.assert_allclose([p.low for p in profile.points], low, atol=2e-3)
    np.testing.assert_allclose([p.high for p in profile.points], high, atol=2e-3)
    (curve,) = found.curves
    np.testing.assert_allclose([p.value for p in curve.knots], spline.knots, rtol=1e-6)
    own = dict(zip(values, profile.points, strict=True))
    for knot in curve.knots:
        assert knot.effect == pytest.approx(own[knot.value].effect, abs=1e-12)
        if knot.effect:
            assert knot.low == pytest.approx(own[knot.value].low, abs=1e-12)


def test_units_and_order_of_columns_do_not_change_tests(lake, rows, tmp_path):
    folder = tmp_path / "lake"
    folder.mkdir()
    turned = rows.assign(area=rows.area * 1e-4)[list(rows.columns[::-1])]
    pq.write_table(pa.Table.from_pandas(turned, preserve_index=False), folder / "a.parquet")
    found = []
    for place, name in ((lake, "m"), (str(folder), "n")):
        model = str(tmp_path / name)
        train({"lake": place, "label": "price", "features": ["area", "town"], "model": model})
        found.append(summarise(Model.load(model)))
    first, second = ({one.column: one for one in one.tests} for one in found)
    for name, one in first.items():
        assert second[name].statistic == pytest.approx(one.statistic, rel=1e-4)
        assert second[name].df == one.df


WRONG = {
    "a hashed reference": {"references": {"nobody": "x"}},
    "a number's reference": {"references": {"area": "5"}},
    "no such level": {"references": {"town": "ulm"}},
    "no such bin": {"references": {"age": "old"}},
    "no colon": {"contrast": ["town=bonn"]},
    "no such column": {"contrast": ["city=bonn:celle"]},
    "no number": {"contrast": ["area=big:small"]},
    "no curve": {"curve": ["nobody"]},
    "no coverage": {"level": 1.5},
    "no robust errors": {"errors": "robust"},
}


@pytest.mark.parametrize("asked", WRONG.values(), ids=WRONG.keys())
def test_a_question_that_the_model_cannot_answer_is_refused(models, asked):
    with pytest.raises(JobError):
        summarise(models["price"], **asked)


def test_level_of_the_intervals_is_the_one_that_is_asked_for(models):
    def width(found: Summary) -> float:
        (one,) = (one for one in found.coefficients if one.feature == "area")
        return one.high - one.low

    wide, narrow = (summarise(models["sold"], level=level) for level in (0.95, 0.5))
    assert width(wide) / width(narrow) == pytest.approx(1.959964 / 0.67449, rel=1e-5)
