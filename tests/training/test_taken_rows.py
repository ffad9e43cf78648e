"""A model of some rows of a lake learns, evaluates and resumes as one of a lake of these rows."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import onepass
from onepass.errors import DataError, EmptyLake, JobError


def rows(n, seed):
    rng = np.random.default_rng(seed)
    x, country = rng.normal(size=n), rng.choice(["IS", "NO", "DE"], n)
    at = np.arange(n) + n * seed
    label = 2 * x + (country == "IS") + 0.1 * rng.normal(size=n)
    y = pa.array(label, mask=rng.random(n) < 0.01)
    return pa.table({"x": x, "country": country, "at": at, "other": rng.random(n), "y": y})


@pytest.fixture
def lake(tmp_path):
    for day in range(1, 6):
        (folder := tmp_path / "lake" / f"day=2026-01-0{day}").mkdir(parents=True)
        pq.write_table(rows(1000, day), folder / "a.parquet", row_group_size=200)
    return tmp_path / "lake"


def job(lake, name="model", **fields):
    return {
        "lake": str(lake),
        "label": "y",
        "model": str(lake.parent / name),
        "on_null_label": "drop",
        **fields,
    }


def entries(lake, name="model"):
    found = sorted((lake.parent / name / "log").iterdir())
    return [json.loads(path.read_text()) for path in found]


WHERE = "country = 'IS' and at < 2500 and y is not null"


@pytest.mark.parametrize(
    "fields",
    [{}, {"interleave": 2}, {"parallel": 3}, {"epochs": 2}, {"l2": [0.0, 1.0]}, {"sample": 0.5}],
    ids=str,
)
def test_every_row_is_learnt_or_counted_in_its_partition(lake, fields):
    report = onepass.train(job(lake, where=WHERE, **fields))
    trained = [entry for entry in entries(lake) if entry["action"] == "train"]
    assert report.pruned_files == 3
    assert report.files == 5
    for entry in trained:
        counted = sum(entry["counts"].values())
        assert entry["rows"] + counted == sum(one["rows"] for one in entry["partitions"])
    if fields.keys() <= {"interleave", "parallel"}:
        whole = pq.read_table(lake, partitioning=None).to_pandas()
        expected = whole[(whole.country == "IS") & (whole["at"] < 2500) & whole.y.notna()]
        assert report.rows == len(expected)
        assert report.not_taken == {"left_out_by_where": 2000 - len(expected)}
    assert onepass.verify(lake.parent / "model", retrain=True).sound


def test_weights_and_metrics_are_those_of_a_lake_of_the_rows(lake):
    onepass.train(job(lake, where=WHERE, order="stored", exclude=["at"]))
    for path in sorted(lake.rglob("*.parquet")):
        table = pq.read_table(path, partitioning=None)
        frame = table.to_pandas()
        is_taken = (frame.country == "IS") & (frame["at"] < 2500) & frame.y.notna()
        part = table.filter(pa.array(is_taken))
        (folder := lake.parent / "own" / path.parent.name).mkdir(parents=True)
        pq.write_table(part, folder / "a.parquet")
    onepass.train(
        job(lake, "other", order="stored", exclude=["at"]) | {"lake": str(lake.parent / "own")}
    )
    one, other = (onepass.Model.load(lake.parent / name) for name in ("model", "other"))
    assert one.rows == other.rows
    found = onepass.evaluate(str(lake), lake.parent / "model")
    expected = onepass.evaluate(str(lake.parent / "own"), lake.parent / "model")
    assert found.rows == expected.rows == one.rows
    assert found.loss == pytest.approx(expected.loss, rel=1e-12)
    refined = onepass.refine({"model": str(lake.parent / "model")}, n_passes=2)
    assert refined.rows == one.rows
    scored = onepass.score(str(lake), lake.parent / "model", lake.parent / "scores", keep=["a*"])
    assert scored.rows == 5000
    names = pq.read_schema(next((lake.parent / "scores").rglob("*.parquet"))).names
    assert names == ["at", "prediction"]


def test_nothing_is_trained_twice_and_new_files_that_cannot_match_are_said(lake):
    fields = job(lake, where="day >= 2026-01-04")
    assert onepass.train(fields).partitions == 2
    again = onepass.train(fields)
    assert (again.partitions, again.pruned_files, again.files) == (0, 3, 5)
    (folder := lake / "day=2025-12-31").mkdir()
    (folder / "a.parquet").write_bytes(b"no Parquet, but it is never opened")
    assert onepass.train(fields).pruned_files == 4
    (folder := lake / "day=2026-01-06").mkdir()
    pq.write_table(rows(1000, 6), folder / "a.parquet")
    assert onepass.train(fields).partitions == 1


def test_condition_and_sample_are_frozen(lake):
    onepass.train(job(lake, where="x > 0", sample=0.5))
    with pytest.raises(JobError, match="where"):
        onepass.train(job(lake, where="x > 1"))
    with pytest.raises(JobError, match="sample"):
        onepass.train(job(lake, sample=0.25))
    assert onepass.train(job(lake)).partitions == 0


def test_condition_that_no_row_can_meet_or_that_names_no_column_is_refused_at_the_start(lake):
    for where, error, message in (
        ("at > 1000000", EmptyLake, "rule it out"),
        ("x > 1000 and other > 0.5", EmptyLake, "rule it out"),
        ("x > 1 and x < 0.5", EmptyLake, "that was looked at"),
        ("contry = 'IS'", JobError, "it has 'country'"),
        ("country > 5", DataError, "cannot be compared with the number 5"),
        ("day > 5", DataError, "day=2026-01-01 is compared with the number 5"),
    ):
        with pytest.raises(error) as found:
            onepass.train(job(lake, where=where))
        assert message in str(found.value), where
    assert not (lake.parent / "model").exists()


def test_labels_of_rows_that_are_not_taken_do_not_count(lake):
    """They may be null, and of classes that the model does not know."""
    fields = {"on_null_label": "error", "label": "country"}
    report = onepass.train(job(lake, where="y is not null and country <> 'NO'", **fields))
    assert report.rows > 0
    model = json.loads((lake.parent / "model" / "model.json").read_text())
    assert model["encoder"]["label"]["classes"] == ["DE", "IS"]
    onepass.train(job(lake, "other", where="y is not null", on_null_label="error"))


def test_learners_are_told_how_many_rows_to_expect(lake):
    """A linear schedule ends with the rows that are taken, not with those of the files."""
    fields = {"solver": "sgd", "schedule": "linear", "learning_rate": 0.1, "order": "stored"}
    onepass.train(job(lake, sample=0.3, **fields))
    onepass.train(job(lake, "all", **fields))
    sample, everything = (
        json.loads((lake.parent / name / "model.json").read_text())["taken"]
        for name in ("model", "all")
    )
    assert sample == pytest.approx(0.3, abs=0.03)
    assert everything == 1
    state = onepass.Model.load(lake.parent / "model")
    assert state.file.taken_rows(5000) == pytest.approx(state.rows, rel=0.1)


def test_rolling_holdout_judges_the_rows_that_are_taken(lake):
    report = onepass.train(job(lake, where="country = 'IS'", holdout="last: 1"))
    assert report.holdout is not None
    frame = pq.read_table(lake / "day=2026-01-05" / "a.parquet", partitioning=None).to_pandas()
    assert report.holdout.rows == int(((frame.country == "IS") & frame.y.notna()).sum())
