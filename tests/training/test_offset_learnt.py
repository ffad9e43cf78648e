"""Models whose rows have an offset or an exposure, from the lake to the prediction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import statsmodels.api as sm
from click.testing import CliRunner

from lakes import write_files
from onepass import Model, evaluate, refine, score, train
from onepass.actions.path import choose_penalty, penalty_path
from onepass.actions.summary import summarise
from onepass.cli.summary import command
from onepass.errors import BadColumn, BadPartition


def policies(n_rows: int, seed: int) -> pd.DataFrame:
    """Policies that run for parts of a year, with their claims and a known part of the level."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame({"age": rng.integers(18, 80, n_rows), "power": rng.normal(8, 2, n_rows)})
    found["years"] = rng.uniform(0.02, 1.0, n_rows)
    found["model"] = [f"m{i}" for i in rng.integers(0, 400, n_rows)]
    rate = np.exp(-0.02 * (found.age - 40) + 0.1 * found.power - 1.5)
    found["claims"] = rng.poisson(found.years * rate)
    found["rate"] = found.claims / found.years
    found["cost"] = rng.gamma(2.0, found.years * rate / 2) + 1e-6
    found["known"] = rng.normal(size=n_rows) * 50
    found["level"] = 3 * found.power + found.known + rng.normal(size=n_rows)
    found["rest"] = found.level - found.known
    return found


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> tuple[str, pd.DataFrame]:
    parts = [policies(2500, seed) for seed in range(4)]
    tables = {f"{i}.parquet": pa.Table.from_pandas(one) for i, one in enumerate(parts)}
    return str(write_files(tmp_path_factory.mktemp("lake"), tables)), pd.concat(parts)


def job_of(lake: tuple[str, pd.DataFrame], model: Path, label: str, **options) -> dict:
    own = {"lake": lake[0], "label": label, "model": str(model), "features": ["age", "power"]}
    return own | options


FAMILIES = {
    "claims": ("poisson", sm.families.Poisson()),
    "cost": ("gamma", sm.families.Gamma(sm.families.links.Log())),
}


@pytest.mark.parametrize("label", FAMILIES)
def test_refined_models_with_an_exposure_are_those_of_statsmodels(lake, tmp_path, label):
    loss, family = FAMILIES[label]
    job, rows = job_of(lake, tmp_path / "m", label, loss=loss, exposure="years"), lake[1]
    train(job)
    refine(job)
    x = sm.add_constant(rows[["age", "power"]].astype(float))
    oracle = sm.GLM(rows[label], x, family=family, exposure=rows.years).fit()
    model = Model.load(job["model"])
    found = summarise(model)
    own = {c.feature: c.coefficient for c in [*found.intercepts, *found.coefficients]}
    own["const"] = own.pop("(intercept)")
    np.testing.assert_allclose([own[name] for name in x], oracle.params, rtol=1e-5)
    np.testing.assert_allclose(
        model.predict(rows), oracle.predict(x, exposure=rows.years), rtol=1e-5
    )
    report = evaluate(lake[0], job["model"])
    assert report.loss == pytest.approx(oracle.deviance / len(rows), rel=1e-6)
    null = oracle.null_deviance / len(rows)
    assert report.metrics["constant_loss"] == pytest.approx(null, rel=1e-6)
    assert report.metrics["mean_error"] == pytest.approx(0.0, abs=0.02)


def test_counts_with_an_exposure_learn_what_rates_with_it_as_weight_do(lake, tmp_path):
    jobs = [
        job_of(lake, tmp_path / "counts", "claims", loss="poisson", exposure="years"),
        job_of(lake, tmp_path / "rates", "rate", loss="poisson", weight="years"),
    ]
    found = []
    for job in jobs:
        train(job)
        refine(job)
        found.append(Model.load(job["model"]).weights[0])
    one, other = found
    np.testing.assert_allclose(one.dense, other.dense, rtol=1e-5)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-4)


@pytest.mark.parametrize("solver", ["newton", "nag"])
@pytest.mark.parametrize("hashed", [False, True])
def test_an_offset_is_the_log_of_an_exposure(lake, tmp_path, solver, hashed):
    rows = lake[1]
    logs = rows.assign(logs=np.log(rows.years))
    write_files(tmp_path / "logs", {"a.parquet": pa.Table.from_pandas(logs[:6000])})
    features = ["age", "power", *(["model"] if hashed else [])]
    own = {"loss": "poisson", "solver": solver, "features": features, "order": "stored"}
    predictions = []
    for name, role in (("years", "exposure"), ("logs", "offset")):
        job = job_of(lake, tmp_path / name, "claims", **own) | {role: name}
        train(job | {"lake": str(tmp_path / "logs")})
        predictions.append(Model.load(job["model"]).predict(logs))
    np.testing.assert_allclose(*predictions, rtol=1e-6)
    # A hundred times the exposure is a hundred times the count, far beyond any label.
    more = Model.load(str(tmp_path / "years")).predict(logs.assign(years=100 * logs.years))
    np.testing.assert_allclose(more, 100 * predictions[0], rtol=1e-9)


@pytest.mark.parametrize("loss", ["squared", "quantile"])
def test_a_label_with_an_offset_is_learnt_as_the_label_less_it(lake, tmp_path, loss):
    jobs = [
        job_of(lake, tmp_path / "with", "level", loss=loss, offset="known"),
        job_of(lake, tmp_path / "less", "rest", loss=loss),
    ]
    one, other = (train(job) for job in jobs)
    with_offset, less = (Model.load(job["model"]).predict(lake[1]) for job in jobs)
    np.testing.assert_allclose(with_offset - lake[1].known, less, atol=1e-4)
    assert one.loss == pytest.approx(other.loss, rel=1e-5)
    for name, value in other.metrics.items():
        assert one.metrics[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_rounds_candidates_and_later_files_keep_the_exposure(tmp_path):
    own = {"loss": "poisson", "exposure": "years", "l2": [1e-6, 1.0], "parallel": 2}
    growing, parts = tmp_path / "growing", [policies(4000, seed) for seed in range(6)]
    files = {f"{i}.parquet": pa.Table.from_pandas(part) for i, part in enumerate(parts)}
    write_files(growing, dict(list(files.items())[:3]))
    rows = pd.concat(parts)
    job = job_of((str(growing), rows), tmp_path / "m", "claims", **own)
    train(job)
    write_files(growing, files)
    train({"model": job["model"]})
    found = Model.load(job["model"]).predict(rows)
    x = sm.add_constant(rows[["age", "power"]].astype(float))
    oracle = sm.GLM(rows.claims, x, family=sm.families.Poisson(), exposure=rows.years).fit()
    np.testing.assert_allclose(found, oracle.predict(x, exposure=rows.years), rtol=0.02)


def test_scores_rows_and_exports_agree_on_the_exposure(lake, tmp_path):
    folder, rows = lake
    job = job_of(lake, tmp_path / "m", "claims", loss="poisson", exposure="years")
    train(job)
    model = Model.load(job["model"])
    expected = model.predict(rows)
    score(folder, job["model"], str(tmp_path / "out"), keep=["claims"])
    scored = ds.dataset(tmp_path / "out", format="parquet").to_table()["prediction"].to_numpy()
    np.testing.assert_allclose(np.sort(scored), np.sort(expected), rtol=1e-12)
    columns = {name: rows[name].to_numpy() for name in ("age", "power", "years")}
    np.testing.assert_array_equal(model.predict(columns), expected)
    np.testing.assert_array_equal(model.predict(pa.table(columns)), expected)
    # scikit-learn has no exposure: its pipeline predicts rates.
    rates = model.to_sklearn().predict(rows[["age", "power"]])
    np.testing.assert_allclose(rates * rows.years, expected, rtol=1e-6)


def test_rows_without_their_exposure_are_refused(lake, tmp_path):
    rows = lake[1]
    job = job_of(lake, tmp_path / "m", "claims", exposure="years")
    train(job)
    with pytest.raises(BadColumn, match="a column of 1 gives rates"):
        Model.load(job["model"]).predict(rows.drop(columns="years"))
    write_files(tmp_path / "l", {"a.parquet": pa.Table.from_pandas(rows.drop(columns="years"))})
    with pytest.raises(BadPartition, match="'years': the column is missing"):
        evaluate(str(tmp_path / "l"), job["model"])


def test_the_summary_says_what_the_coefficients_are_beside(lake, tmp_path):
    job = job_of(lake, tmp_path / "m", "claims", exposure="years", offset="known")
    train(job | {"order": "stored"})
    told = CliRunner().invoke(command, [job["model"]])
    assert "offset: known, added to the margin; the intercept is for an offset of 0" in told.stdout
    assert "exposure: years, whose log is added; predictions at exposure 1" in told.stdout
    found = json.loads(CliRunner().invoke(command, [job["model"], "--json"]).stdout)
    assert (found["offset"], found["exposure"]) == ("known", "years")


def test_the_ends_of_an_interval_grow_with_the_exposure(lake, tmp_path):
    train(job_of(lake, tmp_path / "m", "claims", loss="poisson", exposure="years", clip=False))
    model, rows = Model.load(tmp_path / "m"), lake[1][:50]
    once, twice = (
        model.predict_interval(rows.assign(years=factor * rows.years)) for factor in (1, 2)
    )
    for end, other in zip(once, twice, strict=True):
        np.testing.assert_allclose(other, 2 * end)
    predictions = model.predict(rows)
    assert (once[0] < predictions).all()
    assert (predictions < once[1]).all()


ROLES = {"claims": {"loss": "poisson", "exposure": "years"}, "level": {"offset": "known"}}


@pytest.mark.parametrize("label", ROLES)
def test_a_path_is_judged_with_the_offset_as_its_choice_is(lake, tmp_path, label):
    job = job_of(lake, tmp_path / "m", label, **ROLES[label])
    train(job)
    report = penalty_path(job["model"], lake=lake[0], n_penalties=5)
    choose_penalty(report, report.steps[2].penalty)
    assert evaluate(lake[0], job["model"]).loss == pytest.approx(report.steps[2].holdout_loss)


@pytest.mark.parametrize("loss", ["tweedie", "negative_binomial"])
def test_the_unit_of_an_exposure_moves_the_intercept_alone(tmp_path, loss):
    rows = policies(3000, 11)
    for factor, name in ((1, "years"), (365, "days")):
        table = pa.Table.from_pandas(rows.assign(years=factor * rows.years))
        lake = str(write_files(tmp_path / name, {"a.parquet": table}))
        train(job_of((lake, rows), tmp_path / f"m{name}", "claims", loss=loss, exposure="years"))
    years, days = (Model.load(tmp_path / name) for name in ("myears", "mdays"))
    np.testing.assert_allclose(days.weights[0].dense, years.weights[0].dense, rtol=1e-6)
    assert days.weights[0].intercept + np.log(365) == pytest.approx(years.weights[0].intercept)
    losses = (evaluate(str(tmp_path / n), tmp_path / f"m{n}").loss for n in ("years", "days"))
    assert next(losses) == pytest.approx(next(losses))
