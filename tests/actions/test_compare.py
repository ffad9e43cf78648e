"""Two models on the same rows: losses are those of evaluate, and differences are paired."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table, write_files
from onepass import Model, compare, evaluate
from onepass.errors import BadPartition, EmptyLake, JobError
from small import train


@pytest.fixture
def models(make_lake, tmp_path):
    """Two models of different columns."""
    lake = make_lake()
    base = {"lake": str(lake), "label": "y"}
    train(base | {"model": str(tmp_path / "a"), "exclude": ["level", "c"]})
    train(base | {"model": str(tmp_path / "b"), "exclude": ["a"]})
    return tmp_path / "a", tmp_path / "b"


def test_losses_are_those_of_evaluate_and_the_difference_is_that_of_the_rows(models, make_lake):
    a, b = models
    holdout = make_lake(3, 333, name="holdout")
    rows = pa.concat_tables(pq.read_table(path) for path in sorted(holdout.iterdir()))
    y = rows["y"].to_numpy()
    each = [(Model.load(m).predict(rows) - y) ** 2 for m in (a, b)]
    found = compare(a, b, str(holdout), by="level")
    assert found.total.rows == len(y)
    assert found.total.first == pytest.approx(evaluate(str(holdout), a).loss)
    assert found.total.second == pytest.approx(evaluate(str(holdout), b).loss)
    apart = each[0] - each[1]
    assert found.total.difference == pytest.approx(apart.mean())
    assert found.total.std_error == pytest.approx(apart.std(ddof=1) / np.sqrt(len(y)))
    level = np.array(rows["level"].to_pylist())
    assert sum(one.rows for one in found.segments) == len(y)
    for one in found.segments:
        assert one.difference == pytest.approx(apart[level == one.segment].mean())


def test_models_in_the_other_order_have_the_opposite_difference(models, make_lake):
    a, b = models
    lake = str(make_lake(2, name="holdout"))
    one, other = compare(a, b, lake).total, compare(b, a, lake).total
    assert one.difference == pytest.approx(-other.difference)
    assert one.std_error == pytest.approx(other.std_error)


def test_a_model_does_not_differ_from_itself(models, make_lake):
    found = compare(models[0], models[0], str(make_lake(2, name="holdout"))).total
    assert (found.difference, found.std_error, found.p_value) == (0.0, 0.0, None)


def test_class_weights_of_one_model_are_told(make_lake, tmp_path):
    lake = make_lake(2, classes=True)
    for name, weights in (("a", {}), ("b", "balanced")):
        job = {"lake": str(lake), "label": "y", "class_weight": weights}
        train(job | {"model": str(tmp_path / name)})
    found = compare(tmp_path / "a", tmp_path / "b", str(lake)).warnings
    assert [text.split(",")[0] for text in found] == ["B weighs classes"]
    assert compare(tmp_path / "b", tmp_path / "b", str(lake)).warnings == []


def test_versions_of_one_model_can_be_compared(make_lake, tmp_path, onepass):
    lake, model = make_lake(2), tmp_path / "m"
    train({"lake": str(lake), "label": "y", "model": str(model)})
    onepass("tag", model, "old")
    write_files(lake, {"part-9.parquet": number_table(5_000, 9)})
    train({"model": str(model)})
    code, out, _ = onepass("compare", f"{model}@old", f"{model}@newest", "--lake", lake, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["versions"][0] < report["versions"][1]
    assert report["total"]["rows"] == 400 + 437 + 5_000


def test_rows_that_one_model_cannot_use_are_left_out_and_counted(make_lake, tmp_path):
    lake = make_lake(2, classes=True)
    for name, more in (("a", {}), ("b", {"on_null_label": "drop"})):
        train({"lake": str(lake), "label": "y", "model": str(tmp_path / name)} | more)
    rows = number_table(300, 5, classes=True)
    y = rows["y"].to_pylist()
    y[7] = None
    rows = rows.set_column(4, "y", pa.array(y, pa.int8()))
    holdout = write_files(tmp_path / "holdout", {"one.parquet": rows})
    found = compare(tmp_path / "b", tmp_path / "b", str(holdout))
    assert found.total.rows == 299
    with pytest.raises(BadPartition, match="labels are null"):
        compare(tmp_path / "a", tmp_path / "b", str(holdout))


def test_weights_of_the_rows_count(tmp_path):
    rng = np.random.default_rng(0)
    table = number_table(2_000, 1).append_column("w", pa.array(rng.uniform(0, 2, 2_000)))
    lake = write_files(tmp_path / "lake", {"a.parquet": table})
    base = {"lake": str(lake), "label": "y", "weight": "w"}
    train(base | {"model": str(tmp_path / "a")})
    train(base | {"model": str(tmp_path / "b"), "exclude": ["a"]})
    found = compare(tmp_path / "a", tmp_path / "b", str(lake))
    assert found.total.first == pytest.approx(evaluate(str(lake), tmp_path / "a").loss)
    assert found.total.second == pytest.approx(evaluate(str(lake), tmp_path / "b").loss)


def test_two_losses_of_numbers_are_compared_by_squared_error(make_lake, tmp_path):
    lake = str(make_lake())
    for loss in ("squared", "huber", "quantile"):
        train({"lake": lake, "label": "y", "model": str(tmp_path / loss), "loss": loss})
    assert compare(tmp_path / "squared", tmp_path / "huber", lake).loss == "squared"
    with pytest.raises(JobError, match="predict different things"):
        compare(tmp_path / "squared", tmp_path / "quantile", lake)


def test_counts_are_compared_by_poisson_deviance_whatever_offset_each_model_has(tmp_path):
    rng = np.random.default_rng(3)
    years, a, tariff = rng.uniform(0.1, 1, 3000), rng.normal(size=3000), rng.normal(size=3000) / 9
    claims = rng.poisson(years * np.exp(0.5 * a + tariff))
    table = pa.table({"claims": claims, "years": years, "a": a, "tariff": tariff})
    write_files(tmp_path / "lake", {"a.parquet": table})
    base = {"lake": str(tmp_path / "lake"), "label": "claims", "exclude": ["years", "tariff"]}
    base |= {"exposure": "years"}
    train(base | {"model": str(tmp_path / "free"), "loss": "poisson"})
    train(base | {"model": str(tmp_path / "fixed"), "loss": "poisson", "offset": "tariff"})
    train(base | {"model": str(tmp_path / "wide"), "loss": "negative_binomial"})
    for one, other in (("free", "fixed"), ("fixed", "free"), ("wide", "free")):
        found = compare(tmp_path / one, tmp_path / other, base["lake"])
        assert found.loss == "poisson"
        each = []
        for name in (one, other):
            mean = Model.load(tmp_path / name).predict(table)
            log = np.log(np.where(claims > 0, claims / mean, 1.0))
            each.append(2 * (claims * log - (claims - mean)).mean())
        assert (found.total.first, found.total.second) == pytest.approx(tuple(each))


def test_models_of_other_rows_or_labels_are_refused(make_lake, tmp_path):
    lake = str(make_lake())
    train({"lake": lake, "label": "y", "model": str(tmp_path / "a")})
    train({"lake": lake, "label": "y", "model": str(tmp_path / "b"), "where": "a > 0"})
    train({"lake": lake, "label": "a", "model": str(tmp_path / "c")})
    with pytest.raises(JobError, match="where: None and 'a > 0'"):
        compare(tmp_path / "a", tmp_path / "b", lake)
    with pytest.raises(JobError, match="label: 'y' and 'a'"):
        compare(tmp_path / "a", tmp_path / "c", lake)


def test_a_column_of_too_many_values_makes_no_segments(models, make_lake):
    with pytest.raises(JobError, match="more than 1,000 segments"):
        compare(*models, str(make_lake(name="holdout")), by="b")


def test_null_is_a_segment_of_its_own(models, tmp_path):
    rows = number_table(300, 3).append_column("group", pa.array(["u", None, "v"] * 100))
    holdout = write_files(tmp_path / "h", {"one.parquet": rows})
    found = compare(*models, str(holdout), by="group")
    assert {one.segment: one.rows for one in found.segments} == {"u": 100, "v": 100, "null": 100}


def test_a_lake_without_rows_is_refused(models, tmp_path):
    holdout = write_files(tmp_path / "h", {"one.parquet": number_table(0, 3)})
    with pytest.raises(EmptyLake):
        compare(*models, str(holdout))


def test_the_command_prints_each_segment_and_which_model_is_better(models, make_lake, onepass):
    a, b = models
    code, out, _ = onepass("compare", a, b, "--lake", make_lake(2, name="h"), "--by", "level")
    assert code == 0
    assert "squared loss" in out
    assert "level = north" in out
    assert "is better than" in out
