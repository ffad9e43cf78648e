"""Ordered classes from a lake to predictions and a summary."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cutting import cut, trained_versions
from onepass import Model, compare, evaluate, refine, score, train
from onepass.actions.summary import summarise
from onepass.errors import JobError
from onepass.model.directory import open_model

WORDS = ["bad", "fair", "good"]


def table(seed: int, n_rows: int = 2_000) -> pa.Table:
    rng = np.random.default_rng(seed)
    x, city = rng.normal(size=(n_rows, 2)), rng.integers(0, 3, n_rows)
    z = x @ [1.0, -0.5] + 0.7 * (city == 1) + rng.logistic(size=n_rows)
    y = np.searchsorted([-1.0, 1.0], z)
    return pa.table(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "city": np.array(["here", "there", "far"])[city],
            "grade": y + 1,
            "word": np.array(WORDS)[y],
        }
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    for i in range(4):
        pq.write_table(table(i), folder / f"part-{i}.parquet")
    return str(folder)


def job_of(lake, model, **fields):
    own = {"label": "word", "classes": WORDS, "exclude": ["grade"]}
    return {"lake": lake, "model": str(model), "loss": "ordinal"} | own | fields


@pytest.fixture(scope="module")
def model(lake, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m"
    train(job_of(lake, path))
    return path


def test_numbers_and_words_in_the_same_order_give_the_same_predictions(lake, model, tmp_path):
    train(job_of(lake, tmp_path / "n", label="grade", classes=[], exclude=["word"]))
    words, numbers = Model.load(model), Model.load(tmp_path / "n")
    rows = table(9, 500)
    found = words.predict_proba(rows)
    np.testing.assert_array_equal(found, numbers.predict_proba(rows))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert words.classes == WORDS
    assert words.predict(rows).tolist() == [WORDS[k] for k in found.argmax(axis=1)]
    assert (numbers.predict(rows) == found.argmax(axis=1) + 1).all()


def test_a_pass_in_rounds_and_a_stopped_one_end_in_the_same_bytes(lake, tmp_path):
    job = job_of(lake, tmp_path / "whole", parallel=2, l2=[0.0, 1e-3], class_weight="balanced")
    whole = train(job | {"keep_states": 20})
    for version in trained_versions(tmp_path / "whole")[:-1]:
        copy = tmp_path / f"from-{version}"
        shutil.copytree(tmp_path / "whole", copy)
        cut(copy, version)
        assert train({"model": str(copy), "lake": lake}).state_sha256 == whole.state_sha256


def test_written_predictions_are_those_of_the_model(lake, model, tmp_path):
    score(lake, model, tmp_path / "out")
    rows = pq.read_table(lake)
    written = pq.read_table(tmp_path / "out")
    found = Model.load(model).predict_proba(rows)
    for k, word in enumerate(WORDS):
        np.testing.assert_allclose(written[f"prediction_{word}"].to_numpy(), found[:, k])


def test_refining_lowers_the_loss_and_keeps_the_thresholds_in_order(lake, model, tmp_path):
    shutil.copytree(model, tmp_path / "m")
    before = evaluate(lake, tmp_path / "m")
    report = refine({"model": str(tmp_path / "m")})
    after = evaluate(lake, tmp_path / "m")
    assert report.settled
    assert after.loss <= before.loss
    found = compare(tmp_path / "m", model, lake)
    assert found.loss == "ordinal"
    assert found.total.difference <= 0


def test_summary_has_one_coefficient_a_column_and_the_thresholds(model):
    found = summarise(Model.load(model))
    named = {one.feature: one for one in found.coefficients}
    assert named["a"].coefficient == pytest.approx(1.0, abs=0.1)
    assert named["a"].low < 1.0 < named["a"].high
    assert named["city = there"].output is None
    cuts = [one.coefficient for one in found.thresholds]
    assert [one.feature for one in found.thresholds] == [
        "threshold bad | fair",
        "threshold fair | good",
    ]
    np.testing.assert_allclose(cuts, [-1.0, 1.0], atol=0.15)
    assert all(one.low < one.coefficient < one.high for one in found.thresholds)
    assert found.intercepts == []


def test_models_made_before_ordinal_loss_had_a_likelihood_keep_none(model):
    file = open_model(str(model)).file
    assert file.settings()[0].keeps.likelihood
    older = file.model_copy(update={"keeps": "likelihood"})
    assert not older.settings()[0].keeps.likelihood


def test_summary_has_robust_errors_and_the_statistics_of_the_fit(lake, tmp_path):
    job = job_of(lake, tmp_path / "m", robust=True)
    train(job)
    report = refine({"model": job["model"]})
    model = Model.load(job["model"])
    found, plain = summarise(model), summarise(model, errors="model")
    assert found.errors == "robust"
    assert found.fit.log_likelihood == pytest.approx(-report.rows * report.losses[-1])
    assert found.fit.aic == pytest.approx(2 * 6 - 2 * found.fit.log_likelihood)
    for one, other in zip(found.coefficients, plain.coefficients, strict=True):
        # The model is true, so both errors are about those of its rows.
        assert one.std_error == pytest.approx(other.std_error, rel=0.1)
        assert one.std_error == one.robust_error != other.std_error


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": []}, "needs the order of the classes of 'word'"),
        (
            {"cross": ["city*grade"], "exclude": [], "categorical": ["grade"]},
            "takes no hashed columns",
        ),
        ({"solver": "nag"}, "is learnt by newton"),
        ({"l1": 0.1}, "cannot be used with ordinal loss"),
        ({"constraint": {"a": "positive"}}, "cannot be used with ordinal loss"),
        ({"penalty_factor": {"a": "0.5"}}, "cannot be used with ordinal loss"),
    ],
    ids=str,
)
def test_what_ordered_classes_do_not_take_is_refused(lake, tmp_path, fields, message):
    with pytest.raises(JobError, match=message):
        train(job_of(lake, tmp_path / "m", **fields))
    assert not (tmp_path / "m").exists()


def test_other_rules_than_newton_are_refused_for_batch_passes(model):
    with pytest.raises(JobError, match="thresholds"):
        refine({"model": str(model)}, rule="lbfgs")
    assert open_model(model).ledger.history.newest_states(1)
