"""Counts, amounts and classes by other links: trained, stopped, in rounds, refined and told of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import xlogy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mean_tweedie_deviance

from blocks import compound
from cutting import cut, trained_versions
from onepass import Model, evaluate, refine, train
from onepass.actions.summary import summarise
from onepass.cli import main
from onepass.errors import DataError, JobError
from onepass.job_fields import parse_job
from onepass.training.resolve import implied_loss

N_ROWS = 2500
JOBS = {
    "tweedie": {"label": "cost", "loss": "tweedie", "power": [1.3, 1.6]},
    "negative_binomial": {"label": "claims", "loss": "negative_binomial"},
    "inverse_gaussian": {"label": "days", "loss": "inverse_gaussian"},
    "probit": {"label": "late", "loss": "probit"},
    "cloglog": {"label": "late", "loss": "cloglog", "class_weight": "balanced"},
}
LABELS = ("cost", "claims", "days", "late")


def table(seed: int, n_rows: int = N_ROWS) -> pa.Table:
    rng = np.random.default_rng(seed)
    a, b, shop = rng.normal(size=n_rows), rng.normal(size=n_rows), rng.integers(0, 300, n_rows)
    z = 0.2 + 0.5 * a - 0.3 * b + 0.3 * np.sin(shop)
    return pa.table(
        {
            "a": a,
            "b": b,
            "shop": [f"s{number}" for number in shop],
            "cost": compound(100 * np.exp(z), 60.0, 1.6, rng),
            "claims": rng.poisson(np.exp(z) * rng.gamma(2.0, 0.5, n_rows)),
            "days": rng.wald(1000 * np.exp(z), 2000.0),
            "late": rng.random(n_rows) < -np.expm1(-np.exp(z - 2)),
        }
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    for i in range(6):
        pq.write_table(table(i), folder / f"part-{i}.parquet")
    return str(folder)


def job_of(loss: str, lake: str, model: Path | str, *, hashed: bool = False, **fields) -> dict:
    own = JOBS[loss]
    drop = [name for name in LABELS if name != own["label"]] + ([] if hashed else ["shop"])
    return own | {"lake": lake, "model": str(model), "exclude": drop} | fields


losses = pytest.mark.parametrize("loss", JOBS)


@losses
@pytest.mark.parametrize("hashed", [False, True])
def test_stopped_after_any_round_and_resumed_it_has_the_same_bytes(lake, tmp_path, loss, hashed):
    job = job_of(loss, lake, tmp_path / "whole", hashed=hashed, parallel=2, keep_states=20)
    whole = train(job)
    for version in trained_versions(tmp_path / "whole")[:-1]:
        copy = tmp_path / f"from-{version}"
        shutil.copytree(tmp_path / "whole", copy)
        cut(copy, version)
        again = train({"model": str(copy), "lake": lake})
        assert again.state_sha256 == whole.state_sha256
        shutil.rmtree(copy)


@losses
def test_refined_model_is_close_to_one_pass_and_is_told_of(lake, tmp_path, onepass, loss):
    model = tmp_path / "model"
    report = train(job_of(loss, lake, model))
    before = Model.load(model).weights[0]
    assert report.loss < report.metrics["constant_loss"] or "class_weight" in JOBS[loss]
    refined = refine({"model": str(model)}, n_passes=6)
    assert refined.settled
    after = Model.load(model).weights[0]
    errors = np.sqrt(np.diag(after.covariance))[:-1]
    assert (np.abs(after.dense - before.dense) < 0.5 * errors).all()
    code, out, _ = onepass("summary", model)
    link = {"probit": "probit link", "cloglog": "cloglog link"}.get(loss, "log link")
    assert f"{loss} loss of {JOBS[loss]['label']} ({link}" in out
    assert code == 0


def test_evaluation_has_the_deviances_of_scikit_learn(lake, tmp_path):
    rows = pa.concat_tables([pq.read_table(f"{lake}/part-{i}.parquet") for i in range(6)])
    for loss, power in (("tweedie", 1.6), ("inverse_gaussian", 3.0)):
        train(job_of(loss, lake, tmp_path / loss))
        model, found = Model.load(tmp_path / loss), evaluate(lake, tmp_path / loss)
        label = rows[JOBS[loss]["label"]].to_numpy()
        expected = mean_tweedie_deviance(label, model.predict(rows), power=power)
        assert found.loss == pytest.approx(expected, rel=1e-6)
        assert found.metrics["deviance"] == found.loss
        assert not [name for name in found.metrics if name.startswith("loss_")]
        constant = mean_tweedie_deviance(label, np.full(len(label), label.mean()), power=power)
        assert found.metrics["constant_loss"] == pytest.approx(constant, rel=1e-9)


def test_evaluation_says_at_which_power_or_overdispersion_its_deviance_and_its_loss_are(
    lake, tmp_path, capsys
):
    rows = pa.concat_tables([pq.read_table(f"{lake}/part-{i}.parquet") for i in range(6)])
    train(job_of("tweedie", lake, tmp_path / "t", power=[1.3, 1.4, 1.6]))
    mean, found = Model.load(tmp_path / "t").predict(rows), evaluate(lake, tmp_path / "t")
    cost = rows["cost"].to_numpy()
    assert (found.metrics["power"], found.metrics["loss_power"]) == (1.6, 1.4)
    with pytest.raises(SystemExit):
        main(["evaluate", lake, "--model", str(tmp_path / "t")])
    assert f"loss {found.loss:.6g} at power 1.4\n" in capsys.readouterr().out
    for value, power in ((found.metrics["deviance"], 1.6), (found.loss, 1.4)):
        assert value == pytest.approx(mean_tweedie_deviance(cost, mean, power=power), rel=1e-6)
    train(job_of("negative_binomial", lake, tmp_path / "n"))
    model, found = Model.load(tmp_path / "n"), evaluate(lake, tmp_path / "n")
    y, m, a = rows["claims"].to_numpy(), model.predict(rows), model.loss_shape
    own = xlogy(y, y / m) - (y + 1 / a) * np.log((1 + a * y) / (1 + a * m))
    assert found.metrics["overdispersion"] == a
    assert found.metrics["loss_overdispersion"] != a
    assert found.metrics["deviance"] == pytest.approx(2 * own.mean(), rel=1e-9)
    assert found.loss != found.metrics["deviance"]


def test_chosen_power_and_estimated_overdispersion_are_in_the_summary(lake, tmp_path):
    train(job_of("tweedie", lake, tmp_path / "t"))
    found = summarise(Model.load(tmp_path / "t"))
    assert (found.link, found.shape) == ("log", "power 1.6 chosen")
    train(job_of("negative_binomial", lake, tmp_path / "n"))
    words = summarise(Model.load(tmp_path / "n")).shape.split()
    assert (words[0], words[2]) == ("overdispersion", "estimated")
    assert 0.45 < float(words[1]) < 0.75
    train(job_of("negative_binomial", lake, tmp_path / "g", overdispersion=0.25))
    assert summarise(Model.load(tmp_path / "g")).shape == "overdispersion 0.25"


def test_balanced_classes_are_those_of_scikit_learn_and_metrics_count_rows_as_they_are(
    lake, tmp_path
):
    model = tmp_path / "model"
    given = {"loss": "logistic", "class_weight": "balanced"}
    train(job_of("probit", lake, model) | given)
    refine({"model": str(model)})
    found, rows = (
        Model.load(model),
        pa.concat_tables([pq.read_table(f"{lake}/part-{i}.parquet") for i in range(6)]),
    )
    label = rows["late"].to_numpy(zero_copy_only=False)
    best = LogisticRegression(C=1e10, tol=1e-10, class_weight="balanced", max_iter=1000)
    best.fit(found.features(rows), label)
    np.testing.assert_allclose(found.weights[0].dense, best.coef_[0], rtol=0.02, atol=0.01)
    weights = found.file.encoder.label.class_weights
    np.testing.assert_allclose(weights, len(label) / (2 * np.bincount(label)), rtol=0.05)
    report = evaluate(lake, model)
    assert report.loss == pytest.approx(log_loss(label, found.predict(rows)), rel=1e-6)
    assert any("weighted by class" in text for text in summarise(found).warnings)
    assert train({"model": str(model), "class_weight": "balanced"}).partitions == 0
    with pytest.raises(JobError, match="class_weight"):
        train({"model": str(model), "class_weight": "false=1,true=2"})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"label": "cost", "class_weight": "balanced"}, "belongs to logistic, probit"),
        ({"label": "late", "class_weight": "yes=2"}, "names yes, but the classes"),
        ({"label": "late", "power": 1.2, "loss": "logistic"}, "belongs to tweedie"),
        ({"label": "cost", "loss": "inverse_gaussian"}, "needs labels above 0, found 0"),
        ({"label": "a", "loss": "tweedie"}, "tweedie loss needs labels of at least 0"),
        ({"label": "a", "loss": "negative_binomial"}, "negative_binomial loss needs labels of"),
        ({"label": "claims", "loss": "probit"}, "probit loss needs a label of 0 and 1"),
    ],
)
def test_what_cannot_be_learnt_is_refused_with_what_is_expected(lake, tmp_path, fields, text):
    with pytest.raises(JobError, match=text):
        train({"lake": lake, "model": str(tmp_path / "model")} | fields)


@pytest.mark.parametrize(
    ("fields", "loss"),
    [
        ({"quantile": 0.5}, "quantile"),
        ({"power": [1.5]}, "tweedie"),
        ({"quantile": 0.5, "power": 1.5}, "auto"),
        ({"quantile": 0.5, "loss": "squared"}, "squared"),
        ({}, "auto"),
    ],
)
def test_default_that_is_named_asks_for_its_loss(fields, loss):
    assert implied_loss(parse_job({"lake": "x", "label": "y", "model": "m"} | fields)) == loss


def test_label_outside_of_the_domain_in_a_later_file_names_the_loss(lake, tmp_path):
    later = tmp_path / "later"
    shutil.copytree(lake, later)
    model = tmp_path / "model"
    train(job_of("tweedie", str(later), model))
    bad = table(9, 100)
    bad = bad.set_column(bad.schema.get_field_index("cost"), "cost", pa.array(np.full(100, -1.0)))
    pq.write_table(bad, later / "part-9.parquet")
    with pytest.raises(DataError, match="tweedie loss needs labels of at least 0, found -1"):
        train({"model": str(model)})


def test_heavy_tails_do_not_diverge(tmp_path):
    rng = np.random.default_rng(8)
    folder = tmp_path / "lake"
    folder.mkdir()
    for i in range(3):
        x, ids = rng.standard_t(2, 4000), rng.integers(0, 500, 4000)
        z = np.clip(0.3 * x, -3, 3) + 0.5 * np.sin(ids)
        tail = np.exp(1.5 * rng.normal(size=4000))
        claimed = rng.random(4000) < 0.15
        columns = {
            "x": x,
            "id": [f"i{k}" for k in ids],
            "cost": np.where(claimed, 1e4 * np.exp(z) * tail, 0.0),
            "claims": rng.poisson(np.minimum(np.exp(z) * tail**2, 1e6)),
            "days": 1e-3 * np.exp(z) * tail,
        }
        pq.write_table(pa.table(columns), folder / f"{i}.parquet")
    for label, loss in (
        ("cost", "tweedie"),
        ("claims", "negative_binomial"),
        ("days", "inverse_gaussian"),
        ("days", "gamma"),
    ):
        drop = [name for name in ("cost", "claims", "days") if name != label]
        fields = {"label": label, "loss": loss, "exclude": drop, "categorical": ["id"]}
        report = train({"lake": str(folder), "model": str(tmp_path / f"{label}-{loss}"), **fields})
        assert np.isfinite(report.loss)
        found = evaluate(str(folder), tmp_path / f"{label}-{loss}")
        assert found.loss < 1.05 * found.metrics["constant_loss"], loss
