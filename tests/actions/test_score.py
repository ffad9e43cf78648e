"""Scores: one file per file, in the order of its rows, whole or absent, and never written twice."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import Model, score
from onepass.actions.manifest import MANIFEST
from onepass.actions.output_checks import refuse_output
from onepass.actions.outputs import open_output
from onepass.errors import BadPartition, JobError, ModelNotFound
from onepass.lake.discover import LakeFile
from small import train


@pytest.fixture
def job(make_lake, tmp_path) -> dict[str, Any]:
    """A trained model over three files; it is read in several blocks per file."""
    job = {"lake": str(make_lake(3)), "label": "y", "model": str(tmp_path / "model")}
    train(job)
    return job


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    return found


def test_predictions_stand_in_the_order_of_the_rows(job, tmp_path):
    report = score(job["lake"], job["model"], tmp_path / "out", keep=["a", "level"])
    assert (report.rows, report.partitions, report.unchanged) == (1311, 3, 0)
    model = Model.load(job["model"])
    for path in sorted(Path(job["lake"]).iterdir()):
        rows, found = pq.read_table(path), pq.read_table(tmp_path / "out" / path.name)
        assert found.column_names == ["a", "level", "prediction"]
        assert found.select(["a", "level"]).equals(rows.select(["a", "level"]))
        np.testing.assert_array_equal(found["prediction"], model.predict(rows))


@pytest.mark.parametrize(
    ("loss", "extra"),
    [("squared", {}), ("softmax", {}), ("quantile", {"quantile": [0.1, 0.5, 0.9]})],
)
def test_predictions_of_rows_in_folders_are_those_of_the_same_rows_in_one_table(
    tmp_path, loss, extra
):
    rng = np.random.default_rng(4)
    for day in (1, 2, 10):
        table = pa.table(
            {
                "a": rng.normal(size=400),
                "place": rng.choice(["x", "y", "z"], 400),
                "user": rng.integers(0, 90, 400).astype(str),
                "y": rng.choice(["p", "q", "r"], 400) if loss == "softmax" else rng.random(400),
            }
        )
        folder = tmp_path / "lake" / f"day={day}"
        folder.mkdir(parents=True)
        pq.write_table(table, folder / "a.parquet")
    job = {"lake": str(tmp_path / "lake"), "label": "y", "model": str(tmp_path / "model")}
    train({**job, "loss": loss, "solver": "sgd", **extra})
    score(job["lake"], job["model"], tmp_path / "out")
    model = Model.load(job["model"])
    for day in (1, 2, 10):
        rows = pq.ParquetFile(tmp_path / "lake" / f"day={day}" / "a.parquet").read()
        rows = rows.append_column("day", pa.array([day] * len(rows), pa.int64()))
        found = pq.ParquetFile(tmp_path / "out" / f"day={day}" / "a.parquet").read()
        if loss == "softmax":
            assert found["prediction"].to_pylist() == model.predict(rows).tolist()
            parts, expected = found.column_names[1:], model.predict_proba(rows)
        else:
            parts, expected = found.column_names[-3:], model.predict(rows)
        table = np.column_stack([found[part] for part in parts])
        np.testing.assert_allclose(table.squeeze(), expected, rtol=1e-12, atol=1e-14)


def test_texts_to_keep_are_written_with_dictionaries_and_predicted_numbers_without(job, tmp_path):
    lake = tmp_path / "nested"
    lake.mkdir()
    rows = pq.read_table(next(Path(job["lake"]).iterdir()))
    nested = pa.array([{"x": "often", "of": ["these", "words"]}] * len(rows))
    pq.write_table(rows.append_column("nested", nested), lake / "a.parquet")
    score(lake, job["model"], tmp_path / "out", keep=["level", "nested"])
    group = pq.ParquetFile(tmp_path / "out" / "a.parquet").metadata.row_group(0)
    coded = [group.column(i).has_dictionary_page for i in range(group.num_columns)]
    assert coded == [True, True, True, False]


def test_labels_are_not_needed(job, tmp_path):
    score(job["lake"], job["model"], tmp_path / "out")
    for path in Path(job["lake"]).iterdir():
        pq.write_table(pq.read_table(path).drop_columns("y"), path, row_group_size=150)
    score(job["lake"], job["model"], tmp_path / "bare")
    for path in Path(job["lake"]).iterdir():
        assert pq.read_table(tmp_path / "bare" / path.name).equals(
            pq.read_table(tmp_path / "out" / path.name)
        )


def test_second_run_writes_nothing(job, tmp_path):
    score(job["lake"], job["model"], tmp_path / "out")
    before = content(tmp_path / "out")
    report = score(job["lake"], job["model"], tmp_path / "out")
    assert (report.partitions, report.unchanged, report.rows) == (0, 3, 1311)
    assert content(tmp_path / "out") == before


def test_changed_input_alone_is_scored_again(job, tmp_path):
    score(job["lake"], job["model"], tmp_path / "out")
    before = content(tmp_path / "out")
    pq.write_table(number_table(77, seed=9), Path(job["lake"]) / "part-1.parquet")
    report = score(job["lake"], job["model"], tmp_path / "out")
    after = content(tmp_path / "out")
    assert (report.partitions, report.unchanged) == (1, 2)
    assert {name for name in after if after[name] != before[name]} == {"part-1.parquet", MANIFEST}
    assert pq.read_metadata(tmp_path / "out" / "part-1.parquet").num_rows == 77


def test_new_version_other_columns_and_damaged_output_are_scored_again(job, tmp_path):
    out = tmp_path / "out"
    score(job["lake"], job["model"], out)
    assert score(job["lake"], job["model"], out, keep=["a"]).partitions == 3
    (out / "part-1.parquet").write_bytes(b"PAR1 but no more")
    assert score(job["lake"], job["model"], out, keep=["a"]).partitions == 1
    pq.write_table(number_table(300, seed=9), Path(job["lake"]) / "part-3.parquet")
    before = score(job["lake"], job["model"], out, keep=["a"])
    train({"model": job["model"]})
    after = score(job["lake"], job["model"], out, keep=["a"])
    assert (before.partitions, after.partitions) == (1, 4)
    assert after.version == before.version + 2


def test_folders_of_the_lake_are_kept(job, tmp_path):
    deep = Path(job["lake"]) / "date=2026-03-01" / "more"
    deep.mkdir(parents=True)
    (Path(job["lake"]) / "part-0.parquet").rename(deep / "part-0.parquet")
    score(job["lake"], job["model"], tmp_path / "out")
    assert (tmp_path / "out" / "date=2026-03-01" / "more" / "part-0.parquet").exists()


@pytest.mark.parametrize("place", [".", "predictions", "deep/predictions"])
def test_output_into_the_lake_is_refused(job, place):
    before = content(Path(job["lake"]))
    with pytest.raises(JobError, match="lies in the lake"):
        score(job["lake"], job["model"], Path(job["lake"]) / place)
    assert content(Path(job["lake"])) == before


def test_output_over_the_files_of_a_glob_or_list_is_refused(job):
    before = content(Path(job["lake"]))
    for lake in (f"{job['lake']}/*.parquet", f"{job['lake']}/part-0.parquet"):
        with pytest.raises(JobError, match="lies in the lake"):
            score(lake, job["model"], job["lake"])
    with pytest.raises(JobError, match="lies in the lake"):
        score([f"{job['lake']}/part-0.parquet"], job["model"], "/")
    assert content(Path(job["lake"])) == before


def test_files_of_a_list_are_written_below_the_output_wherever_they_are_named_from(
    job, tmp_path, monkeypatch
):
    """The output of ../lake/part-0.parquet would be a file beside the output directory."""
    beside = tmp_path / "outs" / "lake" / "part-0.parquet"
    beside.parent.mkdir(parents=True)
    pq.write_table(pa.table({"precious": [1, 2, 3]}), beside)
    before = content(tmp_path / "outs")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    names = ["../lake/part-0.parquet", "../lake/part-1.parquet"]
    out = tmp_path / "outs" / "out"
    assert score(names, job["model"], out).partitions == 2
    assert content(tmp_path / "outs").items() >= before.items()
    written = {path for path in (tmp_path / "outs").rglob("*.parquet") if path != beside}
    assert written == {Path(f"{out}{job['lake']}/part-{i}.parquet") for i in (0, 1)}
    whole = [f"{job['lake']}/part-{i}.parquet" for i in (0, 1)]
    assert score(whole, job["model"], out).unchanged == 2


def test_name_that_leads_out_of_the_output_is_refused(tmp_path):
    file = LakeFile("../x.parquet", f"{tmp_path}/lake/part-0.parquet", ())
    with pytest.raises(JobError, match=r"'../x.parquet', outside of --out"):
        refuse_output(open_output(tmp_path / "out"), f"{tmp_path}/lake", [file], tmp_path / "model")


def test_two_files_with_one_output_are_refused(tmp_path):
    files = [
        LakeFile(key, f"{tmp_path}/lake/part-{i}.parquet", ())
        for i, key in enumerate(["/s3/bucket/x.parquet", "s3://bucket/x.parquet"])
    ]
    words = r"part-0.parquet' and '.*part-1.parquet' would both be 's3/bucket/x.parquet'"
    with pytest.raises(JobError, match=words):
        refuse_output(open_output(tmp_path / "out"), f"{tmp_path}/lake", files, tmp_path / "model")


@pytest.mark.parametrize("place", [".", "predictions", "state"])
def test_output_into_the_model_is_refused(job, place):
    before = content(Path(job["model"]))
    with pytest.raises(JobError, match="lies in the model directory"):
        score(job["lake"], job["model"], Path(job["model"]) / place)
    assert content(Path(job["model"])) == before
    assert score(job["lake"], job["model"], f"{job['model']}-scores").partitions == 3


def test_error_leaves_no_partial_file(job, tmp_path):
    path = Path(job["lake"]) / "part-1.parquet"
    chunk = pq.read_metadata(path).row_group(2).column(0)
    data = bytearray(path.read_bytes())
    for i in range(chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size):
        data[i] ^= 0xA5
    path.write_bytes(data)
    with pytest.raises(BadPartition, match=r"part-1.parquet, row group 2"):
        score(job["lake"], job["model"], tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == [MANIFEST, "part-0.parquet"]
    assert not manifest(tmp_path / "out")["complete"]


def test_column_to_keep_that_is_not_there_is_named(job, tmp_path):
    with pytest.raises(BadPartition, match="column 'id'"):
        score(job["lake"], job["model"], tmp_path / "out", keep=["id"])
    assert not list(tmp_path.glob("out/*"))


def test_folder_to_keep_is_told_to_be_there_already(job, tmp_path):
    """Copied into the files, it would be a second column of the same name for readers."""
    day = tmp_path / "days" / "day=3"
    shutil.copytree(job["lake"], day)
    with pytest.raises(JobError, match=r"--keep day names a key=value folder.*\nLeave it out"):
        score(tmp_path / "days", job["model"], tmp_path / "out", keep=["a", "day"])
    score(tmp_path / "days", job["model"], tmp_path / "out", keep=["a"])
    assert set(pq.read_table(tmp_path / "out")["day"].to_pylist()) == {3}


def test_column_to_keep_with_the_name_of_a_prediction_is_refused(job, tmp_path):
    with pytest.raises(JobError, match=r"--keep names \['prediction'\]"):
        score(job["lake"], job["model"], tmp_path / "out", keep=["a", "prediction"])
    assert not list(tmp_path.glob("out/*"))


def test_file_without_rows_gives_a_file_without_rows(job, tmp_path):
    pq.write_table(number_table(0, seed=0), Path(job["lake"]) / "part-1.parquet")
    assert score(job["lake"], job["model"], tmp_path / "out").partitions == 3
    found = pq.read_table(tmp_path / "out" / "part-1.parquet")
    assert (found.num_rows, found.schema.field("prediction").type) == (0, pa.float64())


def test_untrained_model_cannot_score(job, tmp_path):
    with pytest.raises(ModelNotFound, match="no model in"):
        score(job["lake"], tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "none").exists()
