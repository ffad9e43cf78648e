"""Robust errors and likelihoods of whole runs: resumed, in rounds, refined, beside slots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm

from onepass import Model, refine, train
from onepass.actions.summary import summarise
from onepass.actions.train import plan, train_pending
from onepass.errors import JobError
from onepass.model.directory import open_model
from onepass.model.fit_statistics import fit_statistics

N_FILES = 4


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lakes") / "lake"
    folder.mkdir()
    rng = np.random.default_rng(0)
    level, trained = 0.4 * rng.normal(size=200), rng.random(200) < 0.5
    for number in range(N_FILES):
        shop, hours = rng.integers(0, 200, 3000), rng.gamma(2.0, 2.0, 3000)
        mean = np.exp(0.1 * hours + 0.3 * trained[shop] + level[shop])
        columns = {
            "shop": [f"shop {one}" for one in shop],
            "town": [f"town {one}" for one in rng.integers(0, 400, 3000)],
            "hours": hours,
            "trained": trained[shop],
            "sales": 10 * np.log(mean) + rng.normal(size=3000),
            "orders": rng.poisson(mean),
        }
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")
    return folder


def job(lake: Path, model: Path, **given):
    plain = {"label": "orders", "loss": "poisson", "features": ["hours", "trained"]}
    return {"lake": str(lake), "model": str(model)} | plain | given


def errors(model: Path) -> np.ndarray:
    return np.sqrt(np.diag(Model.load(str(model)).weights[0].identified.robust))[:2]


def of_statsmodels(lake: Path, model: Path):
    table = pq.read_table(lake)
    dense = Model.load(str(model)).features(table.drop_columns(["sales", "orders"]))
    x = np.column_stack([dense.astype(np.float64), np.ones(len(table))])
    shops = np.unique(table["shop"].to_numpy(zero_copy_only=False), return_inverse=True)[1]
    plain = sm.GLM(table["orders"].to_numpy(), x, family=sm.families.Poisson())
    return plain.fit(cov_type="cluster", cov_kwds={"groups": shops}, tol=1e-12)


@pytest.mark.parametrize("parallel", [1, 2])
def test_clusters_of_a_refined_model_are_those_of_statsmodels(lake, tmp_path, parallel):
    model = tmp_path / "m"
    train(job(lake, model, cluster="shop", parallel=parallel))
    expected = of_statsmodels(lake, model)
    np.testing.assert_allclose(errors(model), expected.bse[:2], rtol=0.04)
    assert fit_statistics(Model.load(str(model))).aic == pytest.approx(expected.aic, abs=1.0)
    refine({"model": str(model)})
    np.testing.assert_allclose(errors(model), expected.bse[:2], rtol=1e-6)
    found = fit_statistics(Model.load(str(model)))
    for name, value in [
        ("log_likelihood", expected.llf),
        ("null_deviance", expected.null_deviance),
    ]:
        assert getattr(found, name) == pytest.approx(value, rel=1e-9)


def test_a_single_cluster_has_no_errors_rather_than_errors_of_rounding(lake, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    table = pq.read_table(lake)
    table = table.set_column(0, "shop", pa.array(["the shop"] * len(table)))
    pq.write_table(table, folder / "part-0.parquet")
    train(job(folder, tmp_path / "m", label="sales", loss="squared", cluster="shop"))
    assert np.isnan(errors(tmp_path / "m")).all()
    shown = summarise(Model.load(str(tmp_path / "m")))
    assert all(one.std_error is None and one.p_value is None for one in shown.coefficients)


@pytest.mark.parametrize(
    "given",
    [{"l2": [0.0, 0.1, 1.0]}, {"loss": "quantile", "label": "sales", "quantile": [0.1, 0.5, 0.9]}],
)
def test_several_learners_of_few_clusters_are_loaded_again(lake, tmp_path, given):
    train(job(lake, tmp_path / "m", cluster="shop", **given))
    assert np.isfinite(errors(tmp_path / "m")).all()


@pytest.mark.parametrize("kept", [{"cluster": "shop"}, {"robust": True}])
def test_bytes_do_not_depend_on_where_a_run_stopped(lake, tmp_path, kept):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(job(lake, whole, **kept))
    plan(job(lake, parts, **kept))
    for _ in range(N_FILES):
        train_pending({"model": str(parts)}, max_seconds=0)
    states = [
        open_model(str(one)).ledger.history.newest_states(1)[-1].state.sha256
        for one in (whole, parts)
    ]
    assert states[0] == states[1]


def test_dense_weights_beside_hashed_ones_have_errors_and_no_likelihood(lake, tmp_path):
    model = tmp_path / "m"
    features = ["hours", "trained", "town"]
    train(job(lake, model, cluster="shop", features=features, hash_bits=8))
    before = errors(model)
    refine({"model": str(model)})
    np.testing.assert_allclose(errors(model), before, rtol=0.1)
    found = fit_statistics(Model.load(str(model)))
    assert found.log_likelihood is found.deviance is found.aic is None


def test_a_model_of_an_earlier_version_keeps_no_likelihood(lake, tmp_path):
    new, earlier = tmp_path / "new", tmp_path / "earlier"
    train(job(lake, new))
    earlier.mkdir()
    text = (new / "model.json").read_text()
    assert '"keeps": "likelihood"' in text
    (earlier / "model.json").write_text(text.replace(',\n  "keeps": "likelihood"', ""))
    train({"model": str(earlier)})
    assert "0.likelihood" not in Model.load(str(earlier)).learner.arrays()
    assert fit_statistics(Model.load(str(earlier))).log_likelihood is None


def test_what_has_no_standard_errors_refuses_robust_ones(lake, tmp_path):
    wrong = [
        ({"solver": "sgd"}, "only newton"),
        ({"loss": "hinge", "label": "trained"}, "hinge"),
        ({"l1": 0.1}, "with --l1"),
        ({"constraint": "hours=positive"}, "with --constraint"),
    ]
    for given, message in wrong:
        for kept in ({"robust": True}, {"cluster": "shop"}):
            with pytest.raises(JobError, match=message):
                train(job(lake, tmp_path / "m", **given | kept | {"features": ["hours"]}))
