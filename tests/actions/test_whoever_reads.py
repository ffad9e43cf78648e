"""Evaluate, score, refine and verify give the same results whoever reads the lake."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster import Forks, TestCluster
from lakes import corrupt_pages, number_table
from onepass import evaluate, refine, score
from onepass.actions import prediction_files
from onepass.actions.outputs import Stamp, open_output
from onepass.actions.planned_files import PlannedFile
from onepass.actions.prediction_files import Scorer
from onepass.actions.verify import verify
from onepass.errors import BadPartition, JobError
from onepass.stream import fold
from onepass.stream.readers import Readers
from onepass.stream.workers import Workers
from onepass.training.progress import Progress
from small import plan, train


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    """Let several small files make a run, and large ones a run each."""
    monkeypatch.setattr(fold, "RUN_ROWS", 500)


READERS = [("blocks", 2), ("tasks", 2), ("tasks", 3), ("tasks", 7)]


@pytest.fixture
def job(tmp_path) -> dict[str, Any]:
    """A trained model over files of several blocks; one of them has several times as many rows."""
    (tmp_path / "lake").mkdir()
    for i in range(9):
        table = number_table(2000 if i == 4 else 300 + 37 * i, seed=i, classes=True)
        pq.write_table(table, tmp_path / "lake" / f"part-{i}.parquet", row_group_size=150)
    job = {"lake": str(tmp_path / "lake"), "label": "y", "model": str(tmp_path / "model")}
    train(job)
    return job


def by(monkeypatch, what: str, n_cores: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: n_cores)
    monkeypatch.setattr(Readers, "suits_tasks", lambda *_: what == "tasks")


class Rows(Progress):
    """Counts the rows that have been announced and done."""

    n_rows = n_done = n_steps = 0

    def started(self, n_partitions: int, n_rows: int) -> None:
        self.n_rows = n_rows

    def advanced(self, n_rows: int) -> None:
        self.n_done, self.n_steps = self.n_done + n_rows, self.n_steps + 1


def content(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.glob("*.parquet")}


def test_an_evaluation_has_the_same_bits(job, monkeypatch):
    found = []
    for what, n_cores in READERS:
        by(monkeypatch, what, n_cores)
        rows = Rows()
        report = evaluate(job["lake"], job["model"], progress=rows)
        assert rows.n_done == rows.n_rows == report.rows
        assert rows.n_steps > 4
        timed = {"seconds", "rows_per_second", "peak_rss_bytes"}
        found.append(report.model_dump(exclude=timed))
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("interval", [None, 0.9])
def test_prediction_files_have_the_same_bytes(job, monkeypatch, tmp_path, interval):
    found = []
    for number, (what, n_cores) in enumerate(READERS):
        by(monkeypatch, what, n_cores)
        rows, out = Rows(), tmp_path / f"out-{number}"
        score(job["lake"], job["model"], out, keep=["level"], interval=interval, progress=rows)
        assert rows.n_done == rows.n_rows
        found.append(content(out))
    assert len(found[0]) == 9
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("rule", ["newton", "lbfgs"])
def test_a_refined_state_has_the_same_bytes(job, monkeypatch, tmp_path, rule):
    found = set()
    for number, (what, n_cores) in enumerate(READERS):
        by(monkeypatch, what, n_cores)
        model = str(shutil.copytree(job["model"], tmp_path / f"model-{number}"))
        report = refine({"model": model, "dask": None}, n_passes=4, rule=rule)
        assert report.committed
        found.add((report.state_sha256, *report.losses))
    assert len(found) == 1


@pytest.mark.parametrize("what", ["blocks", "tasks"])
def test_an_interrupted_score_leaves_whole_files_only(job, monkeypatch, tmp_path, what):
    score(job["lake"], job["model"], tmp_path / "whole")

    class Interrupts(Progress):
        n_calls = 0

        def advanced(self, n_rows: int) -> None:
            self.n_calls += 1
            if self.n_calls == 4:
                raise KeyboardInterrupt

    by(monkeypatch, what, 2)
    with pytest.raises(KeyboardInterrupt):
        score(job["lake"], job["model"], tmp_path / "out", progress=Interrupts())
    found, whole = content(tmp_path / "out"), content(tmp_path / "whole")
    # Tasks that run ahead may have written all of them.
    assert found.items() <= whole.items()
    report = score(job["lake"], job["model"], tmp_path / "out")
    assert (report.unchanged, content(tmp_path / "out")) == (len(found), whole)


@pytest.mark.parametrize("what", ["blocks", "tasks"])
def test_a_bad_file_leaves_whole_files_only(job, monkeypatch, tmp_path, what):
    corrupt_pages(Path(job["lake"]) / "part-3.parquet")
    by(monkeypatch, what, 3)
    with pytest.raises(BadPartition, match=r"part-3\.parquet"):
        score(job["lake"], job["model"], tmp_path / "out")
    found = content(tmp_path / "out")
    assert {"part-0.parquet", "part-1.parquet", "part-2.parquet"} <= set(found)
    assert all(name.startswith("part-") and name != "part-3.parquet" for name in found)


def _wrote_elsewhere(scorer: Scorer, run: list[PlannedFile]) -> list[Stamp]:
    return [Stamp(100, "1") for _ in run]


def test_files_that_workers_write_where_they_are_not_seen_are_told(job, monkeypatch, tmp_path):
    """A worker with a disk of its own would write all files there, and nobody would know."""
    monkeypatch.setattr(Workers, "is_cluster", True)
    monkeypatch.setattr(prediction_files, "_VISIBLE_SECONDS", 0.0)
    monkeypatch.setattr(prediction_files, "write_run", _wrote_elsewhere)
    with pytest.raises(JobError, match=r"a worker wrote the predictions 'part-0.parquet'"):
        score(job["lake"], job["model"], tmp_path / "out")


def test_an_output_that_is_sent_to_a_worker_has_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, (root,) = open_output("predictions").__reduce__()
    assert make(root).place == str(tmp_path / "predictions")


def test_verify_finds_the_same_files(job, monkeypatch):
    lake = Path(job["lake"])
    (lake / "part-2.parquet").unlink()
    pq.write_table(number_table(20, seed=1), lake / "part-5.parquet")
    (lake / "part-7.parquet").write_bytes(b"PAR1")
    alone = verify(job["model"])
    monkeypatch.setattr(Workers, "is_cluster", True)
    together = verify(job["model"])
    assert [one.where for one in alone.findings] == [f"part-{i}.parquet" for i in (2, 5, 7)]
    assert together.findings == alone.findings


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestCluster]:
    """Three workers of one thread each; their working directory is not that of the tests."""
    pytest.importorskip("distributed")
    forks = Forks()
    with TestCluster(forks, 3) as started:
        yield started
    forks.close()


def test_a_cluster_gives_the_same_bits(job, monkeypatch, tmp_path, cluster):
    monkeypatch.chdir(tmp_path)
    timed = {"seconds", "rows_per_second", "peak_rss_bytes"}
    here = shutil.copytree(job["model"], tmp_path / "here")
    for dask in (None, cluster.address):
        score(job["lake"], here, "there" if dask else "alone", keep=["level"], dask=dask)
    assert content(tmp_path / "there") == content(tmp_path / "alone")
    alone, there = (
        evaluate(job["lake"], here, dask=dask).model_dump(exclude=timed)
        for dask in (None, cluster.address)
    )
    assert there == alone
    assert verify(here, dask=cluster.address, retrain=True).sound
    alone, there = (
        refine({"model": str(model), "dask": dask}, n_passes=4).state_sha256
        for model, dask in ((here, None), (job["model"], cluster.address))
    )
    assert there == alone


def test_a_cluster_creates_the_same_model(job, tmp_path, cluster):
    found = []
    for name, dask in (("alone", None), ("there", cluster.address)):
        plan({**job, "model": str(tmp_path / name), "dask": dask})
        made = json.loads((tmp_path / name / "model.json").read_text())
        for one in ("id", "created"):
            del made[one]
        for one in ("model", "dask"):
            del made["job"][one]
        found.append(made)
    assert found[0] == found[1]


def test_the_error_of_a_worker_names_the_file(job, tmp_path, cluster):
    corrupt_pages(Path(job["lake"]) / "part-3.parquet")
    with pytest.raises(BadPartition, match=r"part-3\.parquet, row group"):
        evaluate(job["lake"], job["model"], dask=cluster.address)


def test_inspect_reads_by_a_cluster(job, onepass, cluster):
    alone = onepass("inspect", job["lake"], "--label", "y")
    assert alone[0] == 0
    assert onepass("inspect", job["lake"], "--label", "y", "--dask", cluster.address) == alone
