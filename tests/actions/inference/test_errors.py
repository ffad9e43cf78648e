"""Robust errors beside those of the model, and summaries of many levels in bounded time."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from onepass import Model, train
from onepass.actions.inference.coefficients import coefficients
from onepass.actions.inference.design import design
from onepass.actions.inference.margin import margins
from onepass.actions.inference.wald import column_tests
from onepass.actions.summary import Summary, summarise
from onepass.encode.scalar_kinds import OneHot
from onepass.encode.schema import Label, Schema
from onepass.learn.updater import Identified, Weights
from onepass.report.summary_tables import facts

CLUSTERS = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    folder = tmp_path_factory.mktemp("lake")
    rng = np.random.default_rng(4)
    x, kind = rng.normal(size=2000), rng.choice(["a", "b", "c"], 2000)
    y = 2 * x + (kind == "b") + rng.normal(size=2000)
    pq.write_table(pa.table({"x": x, "kind": kind, "y": y}), folder / "a.parquet")
    path = str(folder.parent / "m")
    train({"lake": str(folder), "label": "y", "model": path})
    return Model.load(path)


@pytest.fixture
def robust(model, monkeypatch) -> Model:
    """The model with a robust covariance of twice the errors, as that of some clusters."""
    (weights,) = model.weights
    known = replace(weights.identified, robust=4 * weights.identified.covariance, clusters=CLUSTERS)
    monkeypatch.setattr(Model, "weights", [replace(weights, identified=known)])
    return model


def by_feature(found: Summary) -> dict:
    return {one.feature: one for one in [*found.intercepts, *found.coefficients]}


def test_errors_of_clusters_are_shown_where_the_model_keeps_them(robust):
    shown, by_model = summarise(robust), summarise(robust, errors="model")
    assert (shown.errors, shown.clusters, by_model.errors) == ("robust", CLUSTERS, "model")
    assert "standard errors: cluster-robust, 12 clusters" in list(facts(shown))
    assert not any("standard errors" in line for line in facts(by_model))
    for name, one in by_feature(shown).items():
        other = by_feature(by_model)[name]
        assert one.std_error == one.robust_error == pytest.approx(2 * other.std_error)
        assert (other.std_error, other.robust_error) == (one.model_error, one.robust_error)
        # Student's t has the degrees of freedom of the clusters.
        reach = stats.t.ppf(0.975, CLUSTERS - 1)
        assert one.high - one.coefficient == pytest.approx(reach * one.std_error)
        assert one.p_value == pytest.approx(2 * stats.t.sf(abs(one.z), CLUSTERS - 1))
    for test, other in zip(shown.tests, by_model.tests, strict=True):
        assert test.statistic == pytest.approx(other.statistic / 4)
        assert (test.df, test.df_residual) == (other.df, CLUSTERS - 1)
        assert test.p_value == pytest.approx(stats.f.sf(test.statistic, test.df, CLUSTERS - 1))


@pytest.mark.parametrize(
    ("clusters", "said"),
    [(1, "all rows are of one cluster"), (12, "12 clusters are too small"), (30, None)],
)
def test_errors_of_few_clusters_are_shown_with_a_warning(robust, monkeypatch, clusters, said):
    (weights,) = robust.weights
    known = replace(weights.identified, clusters=clusters)
    monkeypatch.setattr(Model, "weights", [replace(weights, identified=known)])
    warnings = summarise(robust).warnings
    assert [said in one for one in warnings] == [True] if said else warnings == []
    assert summarise(robust, errors="model").warnings == []


def test_models_without_robust_errors_show_their_own(model):
    found = summarise(model)
    assert (found.errors, found.clusters) == ("model", None)
    assert all(one.robust_error is None for one in found.coefficients)
    assert all(one.model_error == one.std_error for one in found.coefficients)


def test_features_that_the_rows_leave_open_are_left_out_of_a_test():
    column = OneHot(name="c", family="text", levels=["a", "b", "d", "e"], missing=False)
    label = Label(name="y")
    schema = Schema(columns=[column], label=label, weight=None, hash_bits=1, hive={})
    rng = np.random.default_rng(3)
    part = rng.normal(size=(5, 5))
    covariance = part @ part.T
    # The third level is aliased, and no row had an unknown one.
    covariance[[2, 3]] = covariance[:, [2, 3]] = np.nan
    weights = np.array([[1.0, -2.0, 0.0, 0.0, 5.0]])
    zeros = np.zeros(4)
    known = Identified(
        weights, covariance, np.array([False, False, True, False]), 100.0, zeros, zeros, weights
    )
    (found,) = column_tests(schema, [(None, known)], "model", is_squared=False)
    own = covariance[:2, :2]
    expected = weights[0, :2] @ np.linalg.solve(own, weights[0, :2])
    assert (found.df, found.statistic) == (2, pytest.approx(expected))
    assert found.p_value == pytest.approx(stats.chi2.sf(expected, 2))


def test_a_category_of_100000_levels_is_summarised_in_bounded_time(model, monkeypatch):
    # Whatever grows with the square of the levels takes minutes or 80 GB here.
    n = 100_000
    levels = [f"level {i}" for i in range(n)]
    column = OneHot(name="c", family="text", levels=levels, missing=False)
    schema = Schema(columns=[column], label=Label(name="y"), weight=None, hash_bits=1, hive={})
    dense = np.append(np.arange(1.0, n), 0.0)
    weights = Weights(intercept=7.0, dense=dense, hashed=np.empty(0), covariance=None)
    monkeypatch.setattr(Model, "weights", [weights])
    (margin,) = margins(model, None)
    began = time.process_time()
    made = design(schema, {"c": "level 50000"})
    found = {one.feature: one for one in coefficients(made, margin, 0.95, ratios=False)}
    assert len(found) == n
    assert found["c = level 0"].coefficient == -50_000
    assert found["c = level 99999"].coefficient == 49_999
    assert found["(intercept)"].coefficient == 50_007
    assert "c = level 50000" not in found
    assert "c is unknown" not in found
    assert time.process_time() - began < 30
