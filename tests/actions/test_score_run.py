"""The manifest tells which version each prediction file is of, also when runs overlap or die."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table, write_files
from onepass import Model, score
from onepass.actions import output_lock, outputs
from onepass.actions.manifest import MANIFEST, read_manifest
from onepass.actions.outputs import open_output
from onepass.cloud.bucket import Bucket
from onepass.errors import JobError, OutputTaken
from processes import run
from recording import At, Recorder
from s3 import put_table
from small import train

PARTS = {"part-0.parquet", "part-1.parquet", "part-2.parquet"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A lake of three files, a model of it, and a copy that has learnt a fourth file."""
    root: Path = tmp_path_factory.mktemp("trained")
    files = {f"part-{i}.parquet": number_table(400 + 37 * i, seed=i) for i in range(3)}
    lake = write_files(root / "lake", files, row_group_size=150)
    train({"lake": str(lake), "label": "y", "model": str(root / "model"), "solver": "sgd"})
    shutil.copytree(root / "model", root / "later")
    pq.write_table(number_table(300, seed=9), lake / "part-9.parquet")
    train({"model": str(root / "later")})
    (lake / "part-9.parquet").unlink()
    return root


@pytest.fixture
def job(trained, tmp_path) -> dict[str, Any]:
    """Lake and model of a test."""
    for name in ("lake", "model"):
        shutil.copytree(trained / name, tmp_path / name)
    return {"lake": str(tmp_path / "lake"), "model": str(tmp_path / "model")}


@pytest.fixture
def later(trained) -> str:
    """The same model at a later version."""
    return str(trained / "later")


def told(out: Path) -> dict[str, Any]:
    """The manifest, after a check that it is true to the files."""
    found: dict[str, Any] = json.loads((out / MANIFEST).read_bytes())
    for name, entry in (found["files"] | found["others"]).items():
        footer = pq.read_metadata(out / name)
        assert entry["rows"] == footer.num_rows
        assert entry["size"] == (out / name).stat().st_size
        kept = {key.decode(): value.decode() for key, value in footer.metadata.items()}
        assert (entry["state"], entry["input"]) == (kept["onepass.state"], kept["onepass.input"])
        assert str(entry["version"]) == kept["onepass.version"]
        assert entry["model"] == kept["onepass.model"]
    return found


def names(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_manifest_names_version_and_inputs_of_all_files(job, tmp_path):
    out = tmp_path / "out"
    report, model = score(job["lake"], job["model"], out), Model.load(job["model"])
    found = told(out)
    assert found["complete"]
    assert (found["model"], found["version"]) == (model.file.id, model.version)
    assert found["state_sha256"] == report.state_sha256 == model.entry.state.sha256
    assert (found["rows"], found["versions"]) == (1311, {str(model.version): 3})
    assert set(found["files"]) == PARTS
    assert names(out) == {MANIFEST, *PARTS}


def test_manifest_is_incomplete_while_files_are_rewritten_and_lists_those_that_stay(job, tmp_path):
    out = tmp_path / "out"
    score(job["lake"], job["model"], out)
    pq.write_table(number_table(77, seed=9), Path(job["lake"]) / "part-1.parquet")
    seen = []
    look = At("advanced", lambda _: seen.append(json.loads((out / MANIFEST).read_bytes())), None)
    score(job["lake"], job["model"], out, progress=look)
    assert seen[-1]["complete"] is False
    assert set(seen[-1]["files"]) == {"part-0.parquet", "part-2.parquet"}
    assert told(out)["complete"]


def test_no_prediction_file_is_opened_again(job, tmp_path, monkeypatch):
    score(job["lake"], job["model"], tmp_path / "out")
    opened = []
    monkeypatch.setattr(outputs._Local, "footer", lambda self, name: opened.append(name))
    report = score(job["lake"], job["model"], tmp_path / "out")
    assert (report.partitions, report.unchanged, opened) == (0, 3, [])


def test_copied_output_is_not_written_again(job, tmp_path):
    score(job["lake"], job["model"], tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copyfile)
    before = {path.name: path.read_bytes() for path in (tmp_path / "copy").glob("*.parquet")}
    for path in (tmp_path / "copy").glob("*.parquet"):
        os.utime(path, ns=(1, 1))
    assert score(job["lake"], job["model"], tmp_path / "copy").unchanged == 3
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "copy").glob("*.p*")}
    assert told(tmp_path / "copy")["files"]["part-0.parquet"]["changed"] == "1"


@pytest.mark.parametrize("damage", ["", "{}", '{"format": 2}', "[" * 5000])
def test_damaged_manifest_costs_a_look_into_the_files(job, tmp_path, damage):
    score(job["lake"], job["model"], tmp_path / "out")
    (tmp_path / "out" / MANIFEST).write_text(damage)
    assert score(job["lake"], job["model"], tmp_path / "out").unchanged == 3
    assert told(tmp_path / "out")["complete"]


def test_output_that_was_made_before_there_were_manifests_is_not_written_again(job, tmp_path):
    out = tmp_path / "out"
    version = score(job["lake"], job["model"], out).version
    (out / MANIFEST).unlink()
    for path in out.iterdir():
        table = pq.ParquetFile(path).read()
        kept = {b"onepass.model", b"onepass.state", b"onepass.input", b"onepass.keep"}
        metadata = {key: one for key, one in table.schema.metadata.items() if key in kept}
        pq.write_table(table.replace_schema_metadata(metadata), path)
    report = score(job["lake"], job["model"], out)
    assert (report.unchanged, report.versions) == (3, {str(version): 3})


def test_new_only_keeps_files_of_earlier_versions(job, later, tmp_path):
    out = tmp_path / "out"
    first = score(job["lake"], job["model"], out)
    before = (out / "part-0.parquet").read_bytes()
    pq.write_table(number_table(55, seed=5), Path(job["lake"]) / "part-3.parquet")
    pq.write_table(number_table(66, seed=6), Path(job["lake"]) / "part-1.parquet")
    report = score(job["lake"], later, out, new_only=True)
    assert (report.partitions, report.new_rows, report.unchanged) == (2, 121, 2)
    assert report.versions == {str(first.version): 2, str(report.version): 2}
    assert (out / "part-0.parquet").read_bytes() == before
    assert told(out)["files"]["part-0.parquet"]["version"] == first.version
    assert score(job["lake"], later, out, new_only=True).partitions == 0
    # Without it, the version that has moved rewrites what is left of the earlier one.
    report = score(job["lake"], later, out)
    assert (report.partitions, report.versions) == (2, {str(report.version): 4})


def test_predictions_of_another_model_are_not_pruned(job, tmp_path):
    out, other = tmp_path / "out", str(tmp_path / "other")
    train({"lake": job["lake"], "label": "y", "model": other, "parallel": 1})
    score(job["lake"], other, out / "of_another")
    score(job["lake"], job["model"], out)
    (Path(job["lake"]) / "part-1.parquet").unlink()
    report = score(job["lake"], job["model"], out, prune=True)
    assert report.pruned == ["part-1.parquet"]
    assert report.left == [f"of_another/part-{i}.parquet" for i in range(3)]
    assert all((out / name).is_file() for name in report.left)
    assert score(job["lake"], job["model"], out, prune=True).pruned == []


def test_files_without_input_are_named_and_pruned_on_request_only(job, tmp_path):
    out = tmp_path / "out"
    score(job["lake"], job["model"], out)
    pq.write_table(pa.table({"precious": [1]}), out / "mine.parquet")
    (Path(job["lake"]) / "part-1.parquet").unlink()
    report = score(job["lake"], job["model"], out)
    assert (report.rows, report.left, report.pruned) == (400 + 474, ["part-1.parquet"], [])
    found = told(out)
    assert (set(found["files"]), set(found["others"])) == (
        {"part-0.parquet", "part-2.parquet"},
        {"part-1.parquet"},
    )
    report = score(job["lake"], job["model"], out, prune=True)
    assert (report.left, report.pruned) == ([], ["part-1.parquet"])
    assert names(out) == {MANIFEST, "mine.parquet", "part-0.parquet", "part-2.parquet"}
    assert not told(out)["others"]


def test_pruning_alone_makes_the_manifest_incomplete_while_files_go(job, tmp_path, monkeypatch):
    out, real, seen = tmp_path / "out", Path.unlink, list[bool]()
    score(job["lake"], job["model"], out)
    (Path(job["lake"]) / "part-1.parquet").unlink()

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == out / "part-1.parquet":
            seen.append(json.loads((out / MANIFEST).read_bytes())["complete"])
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    report = score(job["lake"], job["model"], out, prune=True)
    assert (report.partitions, report.pruned, seen) == (0, ["part-1.parquet"], [False])
    assert told(out)["complete"]


def test_scoring_one_day_after_the_other_keeps_what_is_known_of_the_others(job, tmp_path):
    out, days = tmp_path / "out", [f"{job['lake']}/part-{i}.parquet" for i in range(3)]
    for i, day in enumerate(days):
        assert score([day], job["model"], out).partitions == 1
        assert len(told(out)["others"]) == i
    report = score(days, job["model"], out)
    assert (report.partitions, report.unchanged, report.left) == (0, 3, [])


def test_version_is_written_as_a_column_on_request(job, tmp_path):
    out = tmp_path / "out"
    version = score(job["lake"], job["model"], out).version
    report = score(job["lake"], job["model"], out, keep=["a"], version_column="model_version")
    assert report.partitions == 3
    found = pq.read_table(out / "part-0.parquet")
    assert found.column_names == ["a", "prediction", "model_version"]
    assert set(found["model_version"].to_pylist()) == {version}
    again = score(job["lake"], job["model"], out, keep=["a"], version_column="model_version")
    assert again.partitions == 0
    for name in ("a", "prediction"):
        with pytest.raises(JobError, match=f"--version-column {name} names a column"):
            score(job["lake"], job["model"], out, keep=["a"], version_column=name)


def test_lake_of_the_model_is_scored_by_default(job, tmp_path):
    assert score(None, job["model"], tmp_path / "out").rows == 1311


# -- runs that die or overlap ----------------------------------------------------------------------


def test_killed_run_leaves_an_incomplete_manifest_and_the_next_run_completes_it(job, tmp_path):
    out, whole = tmp_path / "out", tmp_path / "whole"
    score(job["lake"], job["model"], whole)
    score(job["lake"], job["model"], out)
    for i in (1, 2):
        (out / f"part-{i}.parquet").write_bytes(b"PAR1")
    task = {"do": "score_or_die", "lake": job["lake"], "model": job["model"], "out": str(out)}
    killed = run(task | {"die_at": 2})[0]
    assert killed.code < 0
    assert not json.loads((out / MANIFEST).read_bytes())["complete"]
    (out / ".part-1.parquet.0123456789abcdef0123456789abcdef.tmp").write_bytes(b"PAR1 unfinished")
    report = score(job["lake"], job["model"], out)
    assert report.rows == 1311
    assert told(out)["complete"]
    assert names(out) == names(whole)
    for path in whole.glob("*.parquet"):
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_runs_of_two_versions_at_the_same_time_follow_each_other(job, later, tmp_path):
    """Two finish and one is killed; a mixed output would be of no version."""
    out = tmp_path / "out"
    tasks = [
        {"do": "score_or_die", "lake": job["lake"], "model": model, "out": str(out), "sleep": 0.05}
        for model in (job["model"], later)
    ]
    ended = run(*tasks, tasks[0] | {"die_at": 2}, together=True)
    assert [one.code for one in ended][:2] == [0, 0], ended
    found = told(out)
    assert len(found["versions"]) <= 1
    # The run that is killed may be the last, and may find that the first has done its work.
    assert found["complete"] == (set(found["files"]) == PARTS)
    assert score(job["lake"], later, out).versions == {str(Model.load(later).version): 3}
    assert told(out)["complete"]
    assert names(out) == {MANIFEST, *PARTS}


def test_a_run_that_waits_says_so_and_takes_what_has_landed_meanwhile(job, tmp_path, monkeypatch):
    out = tmp_path / "out"
    late = Path(job["lake"]) / "part-3.parquet"
    tries = iter([False, False, True])
    monkeypatch.setattr(output_lock, "_acquire", lambda lock: next(tries))
    monkeypatch.setattr(output_lock.time, "sleep", lambda _: late.exists() or _land(late))
    recorder = Recorder()
    report = score(job["lake"], job["model"], out, progress=recorder)
    assert report.rows == 1311 + 20
    assert recorder.notes == [f"another run scores to {str(out)!r}; waiting until it has finished"]


def test_lock_whose_file_is_gone_is_taken_again(tmp_path, monkeypatch):
    """The holder removes the file, so two runs could each lock a file of the same name."""
    real = output_lock._open
    stale = real(tmp_path / output_lock.LOCK)
    (tmp_path / output_lock.LOCK).unlink()
    handles = iter([stale])
    monkeypatch.setattr(output_lock, "_open", lambda path: next(handles, None) or real(path))
    with output_lock.locked(tmp_path, print):
        assert (tmp_path / output_lock.LOCK).exists()
    assert stale.closed
    assert not list(tmp_path.iterdir())


def _land(path: Path) -> None:
    pq.write_table(number_table(20, seed=2), path)


@pytest.fixture(params=["bucket", "disk without locks"])
def unlocked(request, tmp_path, monkeypatch) -> Callable[[dict[str, Any]], tuple[str, str]]:
    """Put the files of a job where runs cannot wait for each other; returns lake and output."""

    def put(job: dict[str, Any]) -> tuple[str, str]:
        if request.param == "disk without locks":
            monkeypatch.setattr(output_lock, "_acquire", lambda lock: True)
            monkeypatch.setattr(outputs._Local, "_remove_unfinished", lambda self: None)
            return job["lake"], str(tmp_path / "out")
        bucket = request.getfixturevalue("bucket")
        for path in Path(job["lake"]).iterdir():
            put_table(f"{bucket}/lake/{path.name}", pq.read_table(path))
        return f"{bucket}/lake", f"{bucket}/out"

    return put


@pytest.mark.parametrize("at", [1, 3])
def test_without_locks_the_run_that_began_last_goes_on_alone(job, later, unlocked, at):
    lake, out = unlocked(job)
    done = []

    def begin_another(_: object) -> None:
        done.append(score(lake, later, out))

    with pytest.raises(OutputTaken, match="another run has begun to score"):
        score(lake, job["model"], out, progress=At("advanced", begin_another, at))
    output = open_output(out)
    found, listed = read_manifest(output), output.listed()
    assert found is not None
    assert found.complete
    assert found.versions == {str(done[0].version): 3}
    for name, entry in found.files.items():
        assert entry.is_of(listed[name])
        kept = output.footer(name)
        assert kept is not None
        assert kept.metadata[b"onepass.state"].decode() == done[0].state_sha256


def test_nothing_new_in_a_bucket_takes_no_look_into_its_files(job, bucket, monkeypatch):
    for i in range(3):
        put_table(f"{bucket}/lake/day={i}/part.parquet", number_table(50, seed=i))
    first = score(f"{bucket}/lake", job["model"], f"{bucket}/out")
    asked: list[str] = []
    for name in ("get", "get_range", "head", "put", "list"):
        real = getattr(Bucket, name)

        def counted(self, key, *given, real=real, name=name):
            asked.append(f"{name} {key}")
            return real(self, key, *given)

        monkeypatch.setattr(Bucket, name, counted)
    again = score(f"{bucket}/lake", job["model"], f"{bucket}/out")
    assert (first.partitions, again.partitions, again.unchanged) == (3, 0, 3)
    own = f"out/{MANIFEST}"
    assert asked == ["list lake", "list out", f"head {own}", f"get {own}", f"head {own}"]
