"""Refining ends at the batch optimum, is committed, and training goes on from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from lakes import number_table
from onepass import Model, evaluate, refine, train
from onepass.actions import refine_rule
from onepass.actions.summary import summarise
from onepass.cli import main
from onepass.cli.refine import describe
from onepass.errors import BadPartition, ForeignModel, JobError, ModelNotFound
from onepass.ledger.entries import RefineEntry
from onepass.model.directory import open_model


@pytest.fixture
def job(make_lake, tmp_path) -> dict:
    return {
        "lake": str(make_lake(4, classes=True)),
        "label": "y",
        "model": str(tmp_path / "model"),
    }


def users(n_rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    user = rng.integers(0, 200, n_rows)
    y = np.sin(user) * 3 + rng.normal(size=n_rows)
    return pa.table({"user": [f"u{i}" for i in user], "x": rng.normal(size=n_rows), "y": y})


def squared_error(model: str, rows: pa.Table) -> float:
    return float(np.mean((Model.load(model).predict(rows) - rows["y"].to_numpy()) ** 2))


@pytest.mark.parametrize("rule", ["auto", "newton", "lbfgs"])
def test_refined_weights_are_scikit_learns(job, rule):
    train(job)
    report = refine({"model": job["model"]}, n_passes=30, rule=rule)
    assert report.losses[-1] <= report.losses[0]
    model = Model.load(job["model"])
    rows = pa.concat_tables([pq.read_table(f"{job['lake']}/part-{i}.parquet") for i in range(4)])
    best = LogisticRegression(C=1e10, tol=1e-10, max_iter=2000)
    best.fit(model.features(rows), rows["y"].to_numpy())
    np.testing.assert_allclose(model.weights[0].dense, best.coef_[0], atol=2e-3)
    assert model.version == report.version
    assert isinstance(open_model(job["model"]).ledger.entries[-1], RefineEntry)


def test_refining_keeps_the_sums_of_the_folds(job):
    first = train(job | {"folds": 4}).cross_validation
    refine({"model": job["model"]}, n_passes=3)
    (found,) = train({"model": job["model"]}).cross_validation
    # The first rows are expanded around the weights of the model, which have moved.
    assert found.loss == pytest.approx(first[0].loss, rel=1e-3)


def test_gradient_descent_descends_more_slowly_than_newton(job):
    train(job | {"solver": "sgd", "learning_rate": 1e-4})
    slow = refine({"model": job["model"]}, n_passes=4, rule="gradient_descent")
    assert (np.diff(slow.losses) < 0).all()
    fast = refine({"model": job["model"]}, n_passes=8, rule="newton")
    assert fast.losses[-1] < slow.losses[-1]


def test_training_goes_on_from_refined_weights_and_new_files_count(job, tmp_path):
    train(job)
    refine({"model": job["model"]})
    pq.write_table(number_table(600, seed=99, classes=True), f"{job['lake']}/part-9.parquet")
    report = train({"model": job["model"]})
    assert (report.partitions, report.rows) == (1, 600)
    assert Model.load(job["model"]).rows == report.rows + 4 * 400 + 37 * 6


def test_refining_twice_or_on_another_day_gives_the_same_bytes(job, tmp_path):
    train(job)
    train(job | {"model": str(tmp_path / "other")})
    one = refine({"model": job["model"]}, n_passes=5)
    two = refine({"model": str(tmp_path / "other")}, n_passes=5)
    assert one.state_sha256 == two.state_sha256


def test_hashed_models_are_refined_to_the_fit_with_the_learnt_prior(tmp_path):
    lake = tmp_path / "lake"
    lake.mkdir()
    for i in range(4):
        pq.write_table(users(2000, i), lake / f"{i}.parquet")
    job = {"lake": str(lake), "label": "y", "model": str(tmp_path / "m"), "hash_bits": 12}
    train(job)
    before = np.mean(
        (Model.load(job["model"]).predict(users(3000, 9)) - users(3000, 9)["y"].to_numpy()) ** 2
    )
    report = refine({"model": job["model"]}, n_passes=30)
    after = np.mean(
        (Model.load(job["model"]).predict(users(3000, 9)) - users(3000, 9)["y"].to_numpy()) ** 2
    )
    assert report.rule == "lbfgs"
    assert report.losses[-1] <= report.losses[0]
    assert after < 1.01 * before < 1.2


def test_weights_of_passes_that_have_not_converged_are_told_until_more_passes_have(
    tmp_path, capsys
):
    lake, model = tmp_path / "lake", str(tmp_path / "m")
    lake.mkdir()
    pq.write_table(users(2000, 1), lake / "0.parquet")
    train({"lake": str(lake), "label": "y", "model": model, "hash_bits": 12})

    def told(n_passes: int) -> tuple[bool | None, bool, bool, bool]:
        report = refine({"model": model}, n_passes=n_passes)
        warnings = summarise(Model.load(model)).warnings
        [*_, entry] = open_model(model).ledger.entries
        assert (report.committed, entry.settled) == (True, report.settled)
        return (
            report.settled,
            "the passes have not converged" in describe(report),
            any("lbfgs has not converged within 4 passes" in one for one in warnings),
            any(f"`onepass refine {model} --passes 8`" in one for one in warnings),
        )

    assert told(4) == (False, True, True, True)
    with pytest.raises(SystemExit):
        main(["log", model])
    assert "4 passes of lbfgs, not converged" in capsys.readouterr().out
    assert told(60) == (True, False, False, False)
    before = Model.load(model).weights[0].hashed
    assert told(60) == (True, False, False, False)
    np.testing.assert_allclose(Model.load(model).weights[0].hashed, before, atol=1e-3)


def separable(n_rows: int, seed: int) -> pa.Table:
    """Five classes that hardly overlap, one of them rare, with collinear and rare columns."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(5, n_rows, p=[0.6, 0.2, 0.15, 0.04, 0.01])
    x = np.array([6.0, 3.0, 0.0, -3.0, -5.0])[kind] + 0.9 * rng.normal(size=n_rows)
    z = kind * 2.0 + rng.normal(size=n_rows)
    rare = np.where(rng.random(n_rows) < 1e-3, 50.0, 0.0)
    service = [f"s{i}" for i in rng.integers(0, np.where(kind == 0, 3, 12))]
    columns = {"x": x, "z": z, "sum": x + z, "rare": rare, "service": service}
    return pa.table(columns | {"kind": [f"k{i}" for i in kind]})


@pytest.mark.parametrize("rule", ["newton", "lbfgs"])
def test_a_refined_model_of_nearly_separable_classes_is_no_worse_on_its_rows(tmp_path, rule):
    lake = tmp_path / "lake"
    lake.mkdir()
    for i in range(3):
        pq.write_table(separable(1500, i), lake / f"{i}.parquet")
    model = str(tmp_path / "m")
    train({"lake": str(lake), "label": "kind", "model": model})
    before = evaluate(str(lake), model).loss
    report = refine({"model": model}, rule=rule)
    after = evaluate(str(lake), model).loss
    assert report.committed
    assert after == pytest.approx(min(report.losses), rel=1e-6)
    assert after <= before
    pq.write_table(separable(300, 9), lake / "9.parquet")
    train({"model": model})
    # The loss of a constant is 1.1.
    assert evaluate(str(lake), model).loss < 0.15


def test_passes_that_find_no_better_weights_commit_nothing(job):
    train(job)
    before = open_model(job["model"]).ledger.entries[-1]
    report = refine({"model": job["model"]}, rule="gradient_descent", learning_rate=1e6, n_passes=3)
    assert (report.improved, report.committed, report.settled) == (False, False, None)
    assert (report.version, report.state_sha256) == (before.version, before.state.sha256)
    assert open_model(job["model"]).ledger.version == before.version
    assert "no better weights were found; the model stays as it is" in describe(report)


def test_a_model_at_its_optimum_keeps_its_weights(job):
    train(job)
    first = refine({"model": job["model"]}, n_passes=20)
    assert (first.committed, first.settled) == (True, True)
    weights = Model.load(job["model"]).weights[0].dense
    second = refine({"model": job["model"]}, n_passes=20)
    assert (second.committed, second.settled, len(second.losses)) == (True, True, 1)
    np.testing.assert_allclose(Model.load(job["model"]).weights[0].dense, weights, rtol=1e-9)
    assert "the model was at its optimum" in describe(second)


def test_what_cannot_be_refined_is_told(job, tmp_path):
    with pytest.raises(ModelNotFound, match=r"no model in .*nothing'; create one with: onepass tr"):
        refine({"model": str(tmp_path / "nothing")})
    train(job | {"solver": "ftrl", "l1": 0.1})
    with pytest.raises(JobError, match=r"--solver ftrl. Create a new model: with --solver newt"):
        refine({"model": job["model"]})
    lasso = job | {"l1": 0.1, "model": str(tmp_path / "lasso")}
    train(lasso)
    for rule in ("lbfgs", "gradient_descent"):
        with pytest.raises(JobError, match=f"{rule} steps over; use --rule newton, or leave"):
            refine({"model": lasso["model"]}, rule=rule)
    with pytest.raises(JobError, match="at least 2"):
        refine({"model": job["model"]}, n_passes=1)


@pytest.mark.parametrize("rule", ["auto", "newton", "lbfgs"])
def test_l1_penalty_of_more_weights_than_newton_takes_is_refused_with_a_way_out(
    job, rule, monkeypatch
):
    train(job | {"l1": 0.1})
    monkeypatch.setattr(refine_rule, "_MOST_WEIGHTS", 3)
    with pytest.raises(
        JobError, match=r"up to 3 dense weights, by newton, and this model has \d+\. Create a new"
    ):
        refine({"model": job["model"]}, rule=rule)


def test_changed_and_missing_files_are_noticed_before_a_pass_ends(job):
    train(job)
    version = open_model(job["model"]).ledger.version
    Path(job["lake"], "part-2.parquet").unlink()
    with pytest.raises(BadPartition, match="no longer in the lake"):
        refine({"model": job["model"]})
    assert open_model(job["model"]).ledger.version == version


def test_lost_state_of_a_refinement_is_told_and_not_guessed(job):
    train(job)
    refine({"model": job["model"]})
    opened = open_model(job["model"])
    (opened.store.root / opened.ledger.entries[-1].state.key).unlink()
    pq.write_table(number_table(300, seed=5, classes=True), f"{job['lake']}/part-9.parquet")
    with pytest.raises(ForeignModel, match="batch passes are not repeated"):
        train({"model": job["model"]})
