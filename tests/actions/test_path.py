"""The path of penalties of a model: judged in one read, chosen, and kept by later training."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.lakes import write_files

from onepass import Model, evaluate, refine, train
from onepass.actions.path import choose_penalty, penalty_path
from onepass.actions.path_holdout import holdout_warnings
from onepass.actions.summary import summarise
from onepass.cli import onepass as command
from onepass.encode.schema import Label
from onepass.errors import JobError
from onepass.learn.metrics.paired import PairedLosses


def table(seed: int, n_rows: int = 1500) -> pa.Table:
    rng = np.random.default_rng(seed)
    age, income = rng.uniform(18, 90, n_rows), rng.gamma(2, 1000, n_rows)
    stars, town = (
        rng.integers(1, 6, n_rows),
        np.array(["aa", "bb", "cc"])[rng.integers(0, 3, n_rows)],
    )
    # The curve of age falls again at the end, and the stars do not ascend.
    z = 0.001 * income + np.sin(age / 20) + np.array([0, 0.3, 0.2, 0.5, 0.4])[stars - 1]
    z += 0.6 * (town == "bb") - 0.4 * (town == "cc")
    return pa.table(
        {
            "age": age,
            "income": income,
            "stars": stars,
            "town": town,
            "noise": rng.normal(size=n_rows),
        }
        | {"y": z + 0.5 * rng.normal(size=n_rows), "late": (z + rng.logistic(size=n_rows) > 2) * 1}
    )


@pytest.fixture
def job(tmp_path) -> dict[str, object]:
    lake = write_files(tmp_path / "lake", {f"part-{i}.parquet": table(i) for i in range(4)})
    write_files(tmp_path / "holdout", {"a.parquet": table(9), "b.parquet": table(10)})
    shapes = {"spline": "age:5:linear", "categorical": "stars"}
    return {
        "lake": str(lake),
        "label": "y",
        "exclude": "late",
        "model": str(tmp_path / "m"),
    } | shapes


def test_the_loss_of_a_choice_is_the_one_that_evaluate_finds(job, tmp_path):
    train(job)
    report = penalty_path(job["model"], lake=str(tmp_path / "holdout"), n_penalties=15)
    assert report.rows == 3000
    chosen = choose_penalty(report, report.steps[6].penalty)
    assert evaluate(str(tmp_path / "holdout"), job["model"]).loss == pytest.approx(
        report.steps[6].holdout_loss, rel=1e-9
    )
    shown = {
        one.feature: one.coefficient for one in summarise(Model.load(job["model"])).coefficients
    }
    for name, value in zip(report.features, report.steps[6].coefficients, strict=True):
        assert shown.get(name, 0.0) == pytest.approx(value, rel=1e-6, abs=1e-9)
    assert chosen.version == Model.load(job["model"]).version == report.version + 1


def test_a_holdout_tells_how_sure_its_choice_is(job, tmp_path):
    train(job)
    holdout = table(9, 60)
    write_files(tmp_path / "few", {"a.parquet": holdout})
    report = penalty_path(job["model"], lake=str(tmp_path / "few"), n_penalties=6)

    def squares(k: int) -> np.ndarray:
        shutil.copytree(str(job["model"]), tmp_path / f"choice-{k}")
        own = penalty_path(tmp_path / f"choice-{k}", n_penalties=6)
        choose_penalty(own, own.steps[k].penalty)
        return (Model.load(tmp_path / f"choice-{k}").predict(holdout) - holdout["y"]) ** 2

    apart = squares(2) - squares(5)
    found = apart.std(ddof=1) / np.sqrt(60)
    assert report.steps[2].holdout_error == pytest.approx(found, rel=1e-6)
    assert report.steps[5].holdout_error == 0


def test_a_best_penalty_within_the_error_of_a_holdout_is_warned_of():
    close, sure, rng = PairedLosses(), PairedLosses(), np.random.default_rng(0)
    best, smallest = rng.random(100), rng.random(100)
    close.add(best, smallest + (best - smallest).mean() + 0.01, np.ones(100))
    label = Label(name="y")
    (text,) = holdout_warnings(label, close, 0.5)
    assert "the 100 rows of the holdout do not tell its best penalty (0.5)" in text
    sure.add(best, best + 0.01 + 1e-4 * smallest, np.ones(100))
    assert holdout_warnings(label, sure, 0.5) == []
    (text,) = holdout_warnings(label.model_copy(update={"class_weights": [1.0, 5.0]}), sure, 0.5)
    assert "do not weigh classes" in text


def test_a_choice_holds_what_lands_later_as_if_it_had_been_the_job(job, tmp_path):
    train(job | {"parallel": 1})
    report = penalty_path(job["model"], alpha=0.5, n_penalties=10)
    penalty = report.steps[5].penalty
    choose_penalty(report, penalty)
    other = job | {"l1": penalty / 2, "l2": penalty / 2, "model": str(tmp_path / "other")}
    train(other)
    write_files(tmp_path / "lake", {"part-9.parquet": table(20)})
    for one in (job, other):
        train({"model": one["model"]})
    ours, theirs = (Model.load(str(one["model"])).weights[0].dense for one in (job, other))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert (ours == 0).any()


def test_a_choice_and_a_constraint_are_refined_to_the_batch_optimum(job):
    train(job | {"label": "late", "exclude": "y", "constraint": "noise=positive"})
    report = penalty_path(job["model"], alpha=0.8, n_penalties=10)
    penalty = choose_penalty(report, report.steps[5].penalty).chosen
    found = refine({"model": job["model"]}, n_passes=20)
    assert (found.rule, found.settled, found.committed) == ("newton", True, True)
    rows = pa.concat_tables([table(i) for i in range(4)])
    model = Model.load(job["model"])
    x = np.asarray(model.features(rows), float)
    # No value is missing, so the features that mark missing values are constant.
    unit = np.maximum(x.std(axis=0), 1e-12)
    x = (x - x.mean(axis=0)) / unit
    error = model.predict_proba(rows)[:, 1] - rows["late"].to_numpy()
    slope = x.T @ error / len(error)
    w = model.weights[0].dense * unit
    slope += 0.2 * penalty * w
    free = model.file.encoder.feature_names().index("noise")
    inside = (w != 0) & (np.arange(len(w)) != free)
    np.testing.assert_allclose(slope[inside], -0.8 * penalty * np.sign(w[inside]), atol=1e-6)
    assert (np.abs(slope[~inside]) <= 0.8 * penalty + 1e-6).all()
    assert 0 < inside.sum() < len(w) - 1
    assert w[free] >= 0


def test_columns_enter_whole_and_criteria_choose(job):
    train(job | {"label": "late", "exclude": "y"})
    report = penalty_path(job["model"], by_column=True, n_penalties=12)
    assert not report.is_exact
    for step in report.steps:
        effects = zip(report.features, step.effects, strict=True)
        inside = {name.split()[0] for name, one in effects if one}
        assert len(inside) == step.columns
    assert choose_penalty(report, "bic").chosen == report.steps[report.best["bic"]].penalty
    with pytest.raises(JobError, match="holdout needs --lake"):
        choose_penalty(report, "holdout")


def test_constraints_of_a_job_hold_for_curves_levels_and_numbers(job):
    given = {"age": "increasing", "stars": "increasing", "income": "0..0.0005", "noise": "negative"}
    train(job | {"constraint": given})
    found = summarise(Model.load(job["model"]))
    value = {one.feature: one.coefficient for one in found.coefficients}
    knots = sorted((n for n in value if n.startswith("age at")), key=lambda n: float(n[7:]))
    curve = [0.0, *(value[name] for name in knots)]
    assert (np.diff(curve) >= -1e-9).all()
    assert np.diff(curve)[-1] == pytest.approx(0, abs=1e-9)
    levels = [value.get(f"stars = {k}", 0.0) for k in range(1, 6)]
    assert (np.diff(levels) >= -1e-9).all()
    assert (np.isclose(np.diff(levels), 0)).any()
    assert value["income"] == pytest.approx(0.0005)
    assert value["noise"] <= 0
    assert all(one.std_error is None for one in found.coefficients)
    assert any("no standard errors" in text for text in found.warnings)


def test_constraints_hold_beside_hashed_columns_and_after_a_restart(job, tmp_path):
    given = job | {"cross": "town*stars", "constraint": "income=0..0.0005", "parallel": 1}
    train(given)
    write_files(tmp_path / "lake", {"part-9.parquet": table(20)})
    train({"model": given["model"]})
    assert refine({"model": given["model"]}, n_passes=15).rule == "lbfgs"
    found = summarise(Model.load(given["model"]))
    value = {one.feature: one.coefficient for one in found.coefficients}
    assert found.hashed
    assert value["income"] == pytest.approx(0.0005)
    with pytest.raises(JobError, match="none of hashed columns"):
        penalty_path(given["model"])


def test_a_loss_without_a_path_is_named(job):
    ordered = {"label": "stars", "loss": "ordinal", "features": "age"}
    train({name: job[name] for name in ("lake", "model")} | ordered)
    with pytest.raises(JobError, match="no path of ordinal loss"):
        penalty_path(job["model"])


def test_a_refinement_keeps_the_pull_of_a_prior(job, tmp_path):
    own = job | {"label": "late", "exclude": "y"}
    train(own)
    new = own | {"model": str(tmp_path / "n"), "prior": own["model"], "l2": 1e4}
    train(new | {"lake": str(write_files(tmp_path / "few", {"a.parquet": table(40, 400)}))})
    before = Model.load(new["model"]).weights[0].dense
    refine({"model": new["model"]})
    after = Model.load(new["model"]).weights[0].dense
    assert np.abs(before).max() > 0.3
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_a_prior_pulls_to_the_effects_of_an_earlier_model_with_other_references(job, tmp_path):
    train(job)
    before = {one.feature: one for one in summarise(Model.load(job["model"])).coefficients}
    few = write_files(tmp_path / "few", {"a.parquet": table(30, 300)})
    # The most frequent level of these rows is another one.
    few_rows = table(30, 300)
    town = few_rows["town"].to_pylist()
    other = "cc" if "town = cc" in before else "bb"
    town = [other if i % 2 else one for i, one in enumerate(town)]
    at = few_rows.column_names.index("town")
    pq.write_table(few_rows.set_column(at, "town", pa.array(town)), few / "a.parquet")
    new = job | {"lake": str(few), "model": str(tmp_path / "n"), "prior": job["model"], "l2": 1e5}
    train(new)
    found = summarise(Model.load(new["model"]))
    value = {one.feature: one.coefficient for one in found.coefficients}
    assert found.references["town"] == other
    assert value["income"] == pytest.approx(before["income"].coefficient, rel=0.01)
    effects = {level: before[f"town = {level}"].coefficient for level in ("aa", "bb", "cc")
               if f"town = {level}" in before}  # fmt: skip
    for level in {"aa", "bb", "cc"} - {other}:
        expected = effects.get(level, 0.0) - effects[other]
        assert value[f"town = {level}"] == pytest.approx(expected, abs=0.01)
    (tmp_path / "m").rename(tmp_path / "gone")
    write_files(few, {"b.parquet": table(31, 300)})
    assert train({"model": new["model"]}).partitions == 1


REFUSED = {
    "no such column": ({"constraint": "nothing=positive"}, "no column of features"),
    "cubic curve": ({"constraint": "age=increasing", "spline": "age"}, "age:6:linear"),
    "levels that are no numbers": ({"constraint": "town=increasing"}, "levels that are numbers"),
    "first-order solver": ({"solver": "sgd", "penalty_factor": "age=0"}, "only newton"),
    "l1 with quantile loss": ({"loss": "quantile", "l1": 0.1}, "quantile loss"),
    "l1 beside a cross": ({"cross": "town*stars", "l1": 0.1}, "hashed columns"),
    "hashed column": ({"cross": "town*stars", "penalty_factor": "town*stars=0"}, "is hashed"),
    "prior without a penalty": ({"prior": "/nowhere"}, "needs --l2"),
    "bounds the wrong way round": ({"constraint": "age=2..1"}, "such as 0..2"),
    "negative factor": ({"penalty_factor": "age=-1"}, "at least 0"),
}


@pytest.mark.parametrize(("more", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_refused_with_what_to_do(job, more, told):
    with pytest.raises(JobError, match=told):
        train(job | more)


def test_command_prints_the_table_the_plot_and_json_and_writes_a_page(job, tmp_path, capsys):

    train(job)
    page = tmp_path / "path.html"
    given = ["path", str(job["model"]), "--penalties", "9", "--out", str(page)]
    command(given, standalone_mode=False)
    printed = capsys.readouterr().out
    assert "best by bic: penalty" in printed
    assert "income" in printed
    assert "<svg" in page.read_text()
    assert "<script" not in page.read_text()
    command([*given, "--choose", "aic", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["chosen"] == found["steps"][found["best"]["aic"]]["penalty"]
    command(["log", str(job["model"])], standalone_mode=False)
    assert "chosen from the path" in capsys.readouterr().out
