"""Columns that some files lack: an error, or read as null where the job or most files say so."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import Model, evaluate, score, train, verify
from onepass.errors import BadColumn, BadPartition
from onepass.ledger.entries import SkipEntry
from onepass.model.directory import open_model
from onepass.survey.survey import survey

N = 240

KINDS = {
    "number": lambda rng: rng.normal(3.0, 2.0, N),
    "count": lambda rng: rng.integers(0, 9, N),
    "word": lambda rng: pa.array(rng.choice(["a", "b", "c"], N)),
    "long_word": lambda rng: pa.array([f"w{i}" for i in rng.integers(0, 90, N)]),
    "flag": lambda rng: rng.random(N) < 0.4,
    "when": lambda rng: pa.array(rng.integers(0, 10**6, N) * 100).cast(pa.timestamp("s")),
}
"""A column of each kind that a file may lack."""


def table(seed, *new, **more):
    """Rows with the columns `new`; the label depends on the number among them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=N)
    columns = {name: pa.array(make(rng)) for name, make in KINDS.items()}
    y = x + columns["number"].to_numpy() + rng.normal(size=N)
    return pa.table({"x": x, "y": y} | {n: columns[n] for n in columns if n in new} | more)


def write(folder, tables):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, folder / name, row_group_size=100)
    return folder


def with_nulls(rows, like):
    """The rows with a column of nulls for each column of `like` that they lack."""
    for name in like.schema.names:
        if name not in rows.schema.names:
            rows = rows.append_column(name, pa.nulls(len(rows), like.schema.field(name).type))
    return rows.select(like.schema.names)


def job(lake, **fields):
    return {"lake": str(lake), "label": "y", "model": str(lake.with_name(lake.name + ".model"))} | (
        fields
    )


@pytest.fixture
def grown(tmp_path):
    """Three older files without the new columns, and three files with them."""
    tables = {f"d{i}.parquet": table(i, *(KINDS if i >= 3 else ())) for i in range(6)}
    return write(tmp_path / "grown", tables)


@pytest.fixture
def filled(tmp_path, grown):
    """The same lake with nulls in place of what is missing."""
    tables = {path.name: pq.read_table(path) for path in sorted(grown.iterdir())}
    like = tables["d5.parquet"].select(["x", "y", *KINDS])
    return write(tmp_path / "filled", {n: with_nulls(t, like) for n, t in tables.items()})


def test_file_without_a_column_is_an_error_by_default(grown):
    says = r"d0\.parquet, column '\w+': the column is missing here.*\n.*--on-missing-column null"
    with pytest.raises(BadPartition, match=says):
        train(job(grown))


FIELDS = [
    {},
    {"solver": "sgd"},
    {"interleave": 3},
    {"order": "stored", "epochs": 2},
]


@pytest.mark.parametrize("fields", FIELDS)
def test_missing_column_is_learnt_as_a_column_of_nulls(grown, filled, fields):
    fields = fields | {"on_missing_column": "null"}
    ours, theirs = train(job(grown, **fields)), train(job(filled, **fields))
    assert ours.rows == theirs.rows
    assert ours.state_sha256 == theirs.state_sha256
    counts = [
        [entry.counts for entry in open_model(one.model).ledger.history.trained()]
        for one in (ours, theirs)
    ]
    assert counts[0] == counts[1]
    assert not any("unexpected_null" in one for one in counts[0])
    assert verify(ours.model, retrain=True).sound


def test_older_files_are_evaluated_scored_and_predicted_without_the_columns(
    grown, filled, tmp_path
):
    model = train(job(grown, on_missing_column="null")).model
    alike = [evaluate(str(lake / "d1.parquet"), model) for lake in (grown, filled)]
    assert alike[0].loss == alike[1].loss
    for lake in (grown, filled):
        score(str(lake), model, tmp_path / f"{lake.name}.out")
    for path in grown.iterdir():
        ours, theirs = (
            pq.read_table(tmp_path / f"{lake.name}.out" / path.name) for lake in (grown, filled)
        )
        # Columns of several types are summed in another order.
        np.testing.assert_allclose(ours["prediction"], theirs["prediction"], rtol=1e-12)
    loaded, rows = Model.load(model), pq.read_table(grown / "d1.parquet")
    np.testing.assert_array_equal(
        loaded.predict(rows), pq.read_table(tmp_path / "grown.out/d1.parquet")["prediction"]
    )


def test_file_without_any_feature_is_read_as_nulls(grown, tmp_path):
    model = train(job(grown, on_missing_column="null")).model
    bare = write(tmp_path / "bare", {"a.parquet": pa.table({"id": np.arange(700)})})
    assert score(str(bare), model, tmp_path / "out", keep=["id"]).rows == 700
    assert score(str(bare), model, tmp_path / "out2").rows == 700
    predicted = pq.read_table(tmp_path / "out" / "a.parquet")["prediction"].to_numpy()
    assert np.ptp(predicted) == 0
    assert Model.load(model).predict({"id": [1, 2]}).tolist() == predicted[:2].tolist()


def test_file_that_comes_later_may_lack_a_column_that_all_have_had(tmp_path):
    lake = write(tmp_path / "lake", {f"d{i}.parquet": table(i, "number") for i in range(3)})
    strict, lenient = job(lake), job(lake, on_missing_column="null", model=str(tmp_path / "m"))
    train(strict)
    train(lenient)
    write(lake, {"d3.parquet": table(3)})
    with pytest.raises(BadPartition, match="column 'number': the column is missing"):
        train(strict)
    assert train(lenient).rows == N
    newest = open_model(lenient["model"]).ledger.history.trained()[-1]
    # The sample has no null here, so the model has no feature for them, and counts them.
    assert newest.counts == {"unexpected_null": N}
    with pytest.raises(BadColumn, match="'number': the column is missing"):
        Model.load(strict["model"]).predict({"x": [1.0]})


@pytest.mark.parametrize("role", ["label", "weight"])
def test_label_and_weight_are_never_read_as_null(tmp_path, role):
    rows = [table(i, "number").append_column("w", pa.array(np.ones(N))) for i in range(4)]
    lacking = rows[2].drop_columns(["y" if role == "label" else "w"])
    tables = {f"d{i}.parquet": lacking if i == 2 else one for i, one in enumerate(rows)}
    lake = write(tmp_path / "lake", tables)
    says = r"d2\.parquet, column '[wy]': the column is missing"
    with pytest.raises(BadPartition, match=says) as caught:
        train(job(lake, weight="w", on_missing_column="null"))
    assert "--on-missing-column" not in str(caught.value)
    (lake / "d2.parquet").rename(tmp_path / "kept")
    train(job(lake, weight="w", on_missing_column="null"))
    shutil.move(tmp_path / "kept", lake / "d2.parquet")
    with pytest.raises(BadPartition, match=r"d2\.parquet, column '[wy]': the column is missing"):
        train(job(lake, weight="w", on_missing_column="null"))


# -- columns that most files lack ----------------------------------------------------------------


def lake_of(folder, n_with, n_files, *new, **more):
    tables = {}
    for i in range(n_files):
        has = i >= n_files - n_with
        tables[f"d{i:02}.parquet"] = table(i, *(new if has else ()), **(more if has else {}))
    return write(folder, tables)


@pytest.mark.parametrize(("n_with", "n_files"), [(2, 20), (3, 8)])
def test_column_that_most_files_lack_is_read_as_null_in_them(tmp_path, n_with, n_files):
    lake = lake_of(tmp_path / "lake", n_with, n_files, "number")
    found = survey(str(lake), label="y")
    says = f"number: only in {n_with} of {n_files} files, read as null in the others (--exclude"
    assert any(warning.startswith(says) for warning in found.warnings)
    (column,) = [column for column in found.columns if column.name == "number"]
    assert column.null_share == pytest.approx(1 - n_with / n_files)
    assert column.use.missing
    assert train(job(lake)).rows == n_files * N
    assert open_model(job(lake)["model"]).file.encoder.optional == ["number"]


@pytest.mark.parametrize(("n_with", "n_files"), [(1, 4), (2, 21)])
def test_column_of_hardly_any_file_is_left_out_unless_the_job_asks(tmp_path, n_with, n_files):
    lake = lake_of(tmp_path / "lake", n_with, n_files, "number")
    found = survey(str(lake), label="y")
    assert f"number: only in {n_with} of {n_files} files, left out" in found.warnings
    assert [column.name for column in found.columns if column.use] == ["x"]
    asked = survey(str(lake), label="y", on_missing_column="null")
    assert {column.name for column in asked.columns if column.use} == {"x", "number"}


def test_rare_column_of_several_types_is_left_out(tmp_path):
    lake = lake_of(tmp_path / "lake", 3, 8, "number")
    path = lake / "d07.parquet"
    rows = pq.read_table(path)
    pq.write_table(rows.set_column(2, "number", pa.array(["x"] * N)), path)
    found = survey(str(lake), label="y")
    assert "number: only in 3 of 8 files, left out" in found.warnings
    with pytest.raises(BadPartition, match="here, but a number column in most files"):
        survey(str(lake), label="y", on_missing_column="null")


def test_nulls_of_missing_columns_count_where_the_sample_sees_none(tmp_path, monkeypatch):
    monkeypatch.setattr("onepass.survey.cells.SAMPLE_FILES", 2)
    tables = {f"d{i}.parquet": table(i, *(() if i == 2 else ["number"])) for i in range(5)}
    lake = write(tmp_path / "lake", tables)
    found = survey(str(lake), label="y", on_missing_column="null")
    (column,) = [column for column in found.columns if column.name == "number"]
    assert (column.null_share, column.use.missing) == (pytest.approx(0.2), True)


# -- renamed and moved columns -------------------------------------------------------------------


def test_column_that_looks_renamed_is_warned_about(tmp_path, caplog):
    rows = [table(i, "number") for i in range(4)]
    renamed = [one.rename_columns(["x", "y", " Numbers"]) for one in rows[2:]]
    files = [*rows[:2], *renamed]
    lake = write(tmp_path / "lake", {f"d{i}.parquet": one for i, one in enumerate(files)})
    found = survey(str(lake), label="y", on_missing_column="null")
    (warning,) = [one for one in found.warnings if one.startswith("number:")]
    assert "d2.parquet: renamed?; the file has ' Numbers'" in warning
    given = job(lake, on_missing_column="null", exclude=[" Numbers"])
    train(given)
    write(lake, {"d4.parquet": table(9, "number").rename_columns(["x", "y", "NUMBER"])})
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        train(given)
    (record,) = [one for one in caplog.records if "renamed" in one.getMessage()]
    assert "d4.parquet: number is missing and read as null; the file has 'NUMBER'" in (
        record.getMessage()
    )


def test_columns_side_by_side_in_a_file_are_not_each_others_new_name(tmp_path):
    one = table(0, "number", number_2=pa.array(np.arange(N) % 5))
    two = table(1, number_2=pa.array(np.arange(N) % 5))
    lake = write(tmp_path / "lake", {"a.parquet": one, "b.parquet": two})
    found = survey(str(lake), label="y", on_missing_column="null")
    assert not any("renamed" in warning for warning in found.warnings)


def test_further_folder_of_newer_paths_is_null_in_older_ones(tmp_path):
    names = ["day=1/a", "day=2/a", "day=3/region=n/a", "day=3/region=s/a", "day=4/region=n/a"]
    lake = write(tmp_path / "lake", {f"{n}.parquet": table(i) for i, n in enumerate(names)})
    with pytest.raises(BadPartition, match="'region': expected in the path as a key=value folder"):
        train(job(lake))
    given = job(lake, on_missing_column="null")
    assert train(given).rows == 5 * N
    names = open_model(given["model"]).file.encoder.feature_names()
    assert "region is null" in names
    write(lake, {"day=5/a.parquet": table(9)})
    assert train(given).rows == N
    # A file that has it as a column is no file without it.
    write(lake, {"day=6/a.parquet": table(10, region=pa.array(["n"] * N))})
    says = "'region': expected in the path as a key=value folder, found as a column"
    with pytest.raises(BadPartition, match=says):
        train(given)
    assert train(given | {"on_bad": "skip"}).rows == 0
    skipped = [e for e in open_model(given["model"]).ledger.entries if isinstance(e, SkipEntry)]
    assert len(skipped) == 1


def test_column_that_moved_into_the_path_is_refused(tmp_path):
    rows = {f"d{i}.parquet": table(i, "word") for i in range(3)}
    lake = write(tmp_path / "lake", rows)
    given = job(lake, on_missing_column="null")
    train(given)
    write(lake, {"word=a/d3.parquet": table(3)})
    with pytest.raises(BadPartition, match="'word': the column is missing; the path has it"):
        train(given)
