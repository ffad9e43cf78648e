"""Bad input: a short message that says what and where, the right exit code, nothing half-done."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lakes import corrupt_pages, number_table
from onepass.errors import BadPartition
from onepass.ledger.entries import AnyEntry, SkipEntry, TrainEntry
from onepass.model.directory import open_model
from processes import run
from recording import At
from small import plan, train, train_pending

NOBODY = 65534


def complaint(err: str) -> str:
    """The error message, after having checked its form."""
    lines = [line for line in err.splitlines() if not line.startswith(("warning: ", "trained "))]
    assert 1 <= len(lines) <= 2
    assert lines[0].startswith("onepass: ")
    assert "Traceback" not in err
    assert "unexpected" not in err
    return "\n".join(lines)


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path, row_group_size=150)


def with_label(values: Callable[[int], Any]) -> Callable[[Path], None]:
    def spoil(lake: Path) -> None:
        for path in lake.iterdir():
            rewrite(path, lambda table: table.set_column(4, "y", pa.array(values(len(table)))))

    return spoil


def in_one_file(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    return lambda lake: rewrite(lake / "part-3.parquet", change)


def first_of(value: Any) -> Callable[[int], pa.Array]:
    return lambda n: pa.array([value, *np.linspace(0, 1, n - 1)], pa.float64())


def untouched(lake: Path) -> None:
    """Leave the lake as it is: the arguments are wrong."""


def truncate(lake: Path) -> None:
    path = lake / "part-3.parquet"
    path.write_bytes(path.read_bytes()[:-100])


def empty_files(lake: Path) -> None:
    for path in lake.iterdir():
        rewrite(path, lambda table: table.slice(0, 0))


def no_files(lake: Path) -> None:
    for path in lake.iterdir():
        path.unlink()


def as_text(table: pa.Table) -> pa.Table:
    return table.set_column(1, "b", pa.array(["wrong"] * len(table)))


CASES = {
    "no such lake": (shutil.rmtree, [], 2, "does not exist; give a directory"),
    "label of another name": (untouched, ["--label", "Y"], 2, "'Y' in .*'level', 'y'"),
    "label left out": (untouched, ["--label", ""], 2, "label"),
    "label of strings": (with_label(lambda n: [*"abc"] * (n // 3) + ["a"] * (n % 3)),
                         ["--loss", "squared"], 2, "numbers, but 'y' is text .*'a', 'b', 'c'"),
    "label of many strings": (with_label(lambda n: [f"t{i}" for i in range(n)]), [], 2,
                              "'y' is text with 585 different values .*--loss softmax"),
    "label of lists": (with_label(lambda n: [[1.0]] * n), [], 3, "'y'.*found type list"),
    "label of one null": (with_label(first_of(None)), [], 3, "'y'.*null or NaN\n.*--on-null-label"),
    "label of one NaN": (with_label(first_of(float("nan"))), [], 3, "'y'.*null or NaN\n.*drop"),
    "label of one infinity": (with_label(first_of(float("inf"))), [], 3, "'y'.*infinite"),
    "label of nulls": (with_label(lambda n: pa.nulls(n, pa.float64())), [], 2, "null in every"),
    "three classes": (with_label(lambda n: np.arange(n) % 3), ["--loss", "logistic"], 2,
                      "'y' has 0, 1, 2"),
    "text in a Parquet name": (
        lambda lake: (lake / "part-3.parquet").write_text("a,b\n" * 99), [], 3,
        "part-3.parquet: expected a Parquet file.*\n.*--on-bad skip"),
    "nothing in a Parquet name": (
        lambda lake: (lake / "part-3.parquet").write_bytes(b""), [], 3, "part-3.parquet.* 0 bytes"),
    "thousands of classes": (with_label(lambda n: np.arange(n) + 1000 * n),
                             ["--loss", "softmax"], 2,
                             "'y' has 2,955 classes; softmax .* at most 1,000"),
    "class that is not named": (with_label(lambda n: np.arange(n) % 3),
                                ["--loss", "softmax", "--classes", "0,1"], 2, "also has 2"),
    "classes of a number": (untouched, ["--classes", "a,b", "--loss", "squared"], 2, "--classes"),
    "negative counts": (untouched, ["--loss", "poisson"], 2,
                        r"poisson loss needs labels of at least 0, found -.* in 'y'"),
    "gamma of zeros": (with_label(lambda n: np.arange(n) % 7.0), ["--loss", "gamma"], 2,
                       r"above 0, found 0 in 'y' \(14.* --loss poisson or tweedie take zeros"),
    "truncated file": (truncate, [], 3, "part-3.parquet: expected.*truncated"),
    "column missing in one file": (in_one_file(lambda t: t.drop_columns("b")), [], 3,
                                   "part-3.parquet, column 'b'.*missing"),
    "column of another type": (in_one_file(as_text), [], 3,
                               "part-3.parquet, column 'b'.*type string"),
    "label missing in one file": (in_one_file(lambda t: t.drop_columns("y")), [], 3,
                                  "part-3.parquet, column 'y'.*missing"),
    "lake without files": (no_files, [], 3, "no Parquet file in"),
    "lake without rows": (empty_files, [], 3, "6 usable Parquet files, but no row"),
    "no column to learn from": (untouched, ["--exclude", "a,b,c,level"], 2, "no column is left"),
    "unknown column": (untouched, ["--exclude", "z"], 2, "'z'"),
    "too little memory": (untouched, ["--memory-limit", "100MB"], 2, "is too low"),
    "no size": (untouched, ["--memory-limit", "much"], 2, "expected a size such as 800MB"),
    "no number": (untouched, ["--l2", "-1"], 2, "l2: expected a number of at least 0, found -1"),
    "no text": (untouched, ["--l2", "0,much"], 2, "l2: expected a number, found 'much'"),
    "quantile above 1": (untouched, ["--loss", "quantile", "--quantile", "0.5,1.2"], 2,
                         "quantile: expected a number above 0 and below 1, found 1.2"),
    "quantile twice": (untouched, ["--quantile", "0.5,0.50"], 2, "expected each value once"),
    "no age": (untouched, ["--half-life", "3 days"], 2, "half_life: expected an age such as"),
    "unknown solver": (untouched, ["--solver", "magic"], 2, "magic"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_input_leaves_a_short_message_and_no_model(make_lake, tmp_path, onepass, name):
    spoil, arguments, code, pattern = CASES[name]
    lake, model = make_lake(), tmp_path / "models" / "model"
    spoil(lake)
    label = [] if "--label" in arguments else ["--label", "y"]
    found, out, err = onepass("train", lake, *label, "--model", model, *arguments)
    assert (found, out) == (code, "")
    assert re.search(pattern, complaint(err), re.DOTALL), err
    assert not model.parent.exists()


def test_null_labels_are_dropped_and_counted_where_asked(make_lake, tmp_path, onepass):
    lake, model = make_lake(), tmp_path / "model"
    rewrite(
        lake / "part-3.parquet",
        lambda t: t.set_column(4, "y", pc.if_else(pc.less(t["a"], 0), None, t["y"])),
    )
    n_null = pq.read_table(lake / "part-3.parquet")["y"].null_count
    given = ("train", lake, "--label", "y", "--model", model, "--on-null-label", "drop")
    assert onepass(*given)[0] == 0
    for entry in open_model(model).ledger.history.trained():
        dropped = n_null if entry.partitions[0].path == "part-3.parquet" else 0
        assert entry.counts.get("null_label", 0) == dropped
        assert entry.rows == entry.partitions[0].rows - dropped


# -- files that go bad after the model was made ----------------------------------------------------


@pytest.fixture
def job(make_lake, tmp_path) -> dict[str, Any]:
    lake = str(make_lake())
    return {"lake": lake, "label": "y", "model": str(tmp_path / "model"), "order": "stored"}


@pytest.mark.parametrize("solver", ["newton", "sgd"])
def test_corrupt_last_file_is_not_half_trained(job, tmp_path, onepass, solver):
    job["solver"] = solver
    expected = train(job | {"model": str(tmp_path / "whole")})
    plan(job)
    last = Path(job["lake"]) / "part-5.parquet"
    sound = last.read_bytes()
    corrupt_pages(last)
    code, out, err = onepass("train", "--model", job["model"])
    assert (code, out) == (3, "")
    assert complaint(err).startswith("onepass: part-5.parquet, row group 1")
    ledger = open_model(job["model"]).ledger
    assert [entry.partitions[0].path for entry in ledger.history.trained()] == [
        f"part-{i}.parquet" for i in range(5)
    ]
    ledger.read_state(ledger.history.trained()[-1])
    last.write_bytes(sound)
    report = train({"model": job["model"]})
    assert (report.partitions, report.state_sha256) == (1, expected.state_sha256)


@pytest.mark.parametrize("solver", ["newton", "sgd"])
def test_skipped_file_leaves_no_trace_in_the_model_but_one_in_the_log(job, tmp_path, solver):
    job |= {"solver": solver, "on_bad": "skip"}
    whole = job | {"model": str(tmp_path / "whole")}
    for each in (whole, job):
        plan(each)
    bad = Path(job["lake"]) / "part-2.parquet"
    corrupt_pages(bad)
    report = train(job)
    assert (report.partitions, report.skipped, report.pending) == (5, 1, 0)
    (skip,) = [e for e in open_model(job["model"]).ledger.entries if isinstance(e, SkipEntry)]
    assert skip.partition.path == "part-2.parquet"
    assert "part-2.parquet, row group 1" in skip.reason
    bad.unlink()
    assert train(whole).state_sha256 == report.state_sha256
    assert train(job).partitions == 0


def damaging(job: dict[str, Any], path: str, also: Callable[[], None] = lambda: None) -> At:
    """Cut the state of one partition short as soon as it is committed."""

    def damage(entry: AnyEntry) -> None:
        if isinstance(entry, TrainEntry) and entry.partitions[0].path == path:
            os.truncate(Path(job["model"]) / entry.state.key, 100)
            also()

    return At("committed", damage, call=None)


def test_state_damaged_before_a_skip_is_made_good_before_training_goes_on(job, tmp_path):
    job |= {"solver": "sgd", "on_bad": "skip"}
    corrupt_pages(Path(job["lake"]) / "part-2.parquet")
    expected = train(job | {"model": str(tmp_path / "undamaged")})
    report = train(job, progress=damaging(job, "part-1.parquet"))
    assert (report.partitions, report.skipped) == (5, 1)
    assert report.state_sha256 == expected.state_sha256


def test_state_damaged_before_a_skip_ends_the_run_if_it_cannot_be_made_good(job):
    job |= {"solver": "sgd", "on_bad": "skip"}
    lake = Path(job["lake"])
    corrupt_pages(lake / "part-2.parquet")
    progress = damaging(job, "part-1.parquet", (lake / "part-1.parquet").unlink)
    with pytest.raises(BadPartition, match=r"part-1.parquet.*cannot read"):
        train(job, progress=progress)
    ledger = open_model(job["model"]).ledger
    assert [entry.action for entry in ledger.entries] == ["plan", "train", "train"]


def test_bad_files_are_skipped_at_creation_with_their_reasons(job, onepass):
    lake = Path(job["lake"])
    rewrite(lake / "part-0.parquet", as_text)
    rewrite(lake / "part-1.parquet", lambda table: table.drop_columns("a"))
    truncate(lake)
    corrupt_pages(lake / "part-5.parquet")
    report = train(job | {"on_bad": "skip"})
    assert (report.partitions, report.skipped) == (2, 4)
    reasons = {
        entry.partition.path: entry.reason
        for entry in open_model(job["model"]).ledger.entries
        if isinstance(entry, SkipEntry)
    }
    assert reasons["part-0.parquet"].startswith("part-0.parquet, column 'b': expected a number")
    assert reasons["part-1.parquet"] == "part-1.parquet, column 'a': the column is missing"
    assert reasons["part-3.parquet"].endswith("(truncated, encrypted or not Parquet)")
    assert reasons["part-5.parquet"].startswith(
        "part-5.parquet, row group 1, column 'y': cannot decode"
    )
    again = train({"model": job["model"], "on_bad": "skip"})
    assert (again.partitions, again.skipped, again.version) == (0, 0, report.version)


def test_repaired_file_is_trained_after_all(job):
    path = Path(job["lake"]) / "part-3.parquet"
    sound = path.read_bytes()
    truncate(path.parent)
    assert train(job | {"on_bad": "skip"}).partitions == 5
    path.write_bytes(sound)
    assert train({"model": job["model"]}).partitions == 1


def test_late_file_that_does_not_fit_is_refused_and_the_model_stays(job, onepass):
    report = train(job)
    path = Path(job["lake"]) / "part-6.parquet"
    pq.write_table(as_text(number_table(300, seed=6)), path)
    code, _, err = onepass("train", "--model", job["model"])
    assert code == 3
    assert "part-6.parquet" in complaint(err)
    assert "'b'" in err
    ledger = open_model(job["model"]).ledger
    assert ledger.history.trained()[-1].state.sha256 == report.state_sha256
    skipped = train({"model": job["model"], "on_bad": "skip"})
    assert (skipped.partitions, skipped.skipped) == (0, 1)


def test_file_truncated_after_the_plan_is_skipped_where_asked(job):
    plan(job)
    truncate(Path(job["lake"]))
    with pytest.raises(BadPartition, match=r"part-3.parquet"):
        train_pending({"model": job["model"]})
    report = train_pending({"model": job["model"], "on_bad": "skip"})
    assert (report.partitions, report.skipped, report.pending) == (2, 1, 0)


def test_diverging_rate_is_told_and_nothing_is_committed(make_lake, tmp_path, onepass):
    model = tmp_path / "model"
    given = ("train", make_lake(), "--label", "y", "--model", model, "--solver", "sgd")
    code, _, err = onepass(*given, "--learning-rate", "1e9")
    assert code == 2
    assert "learning rate" in complaint(err)
    assert open_model(model).ledger.history.trained() == []


# -- places that cannot be written -----------------------------------------------------------------


def test_model_below_a_file_is_refused(make_lake, tmp_path, onepass):
    (tmp_path / "file").write_text("in the way")
    for model in (tmp_path / "file" / "model", tmp_path / "file"):
        code, _, err = onepass("train", make_lake(), "--label", "y", "--model", model)
        assert code == 2
        assert str(tmp_path / "file") in complaint(err)
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; those of pytest are private."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_folder_without_permission_is_named_and_left_as_it_was(make_lake, open_folder):
    lake, closed = open_folder / "lake", open_folder / "closed"
    shutil.copytree(make_lake(2), lake)
    closed.mkdir(mode=0o555)
    command = ["train", str(lake), "--label", "y", "--model", str(closed / "model")]
    uid = NOBODY if os.geteuid() == 0 else None
    (outcome,) = run({"do": "command_line", "argv": command, "uid": uid})
    assert outcome.code == 2
    assert f"Permission denied: {closed}" in complaint(outcome.err)
    assert list(closed.iterdir()) == []


def test_lake_without_permission_is_named(make_lake, open_folder):
    lake = open_folder / "lake"
    shutil.copytree(make_lake(2), lake)
    (lake / "part-1.parquet").chmod(0)
    command = ["train", str(lake), "--label", "y", "--model", str(open_folder / "model")]
    uid = NOBODY if os.geteuid() == 0 else None
    (outcome,) = run({"do": "command_line", "argv": command, "uid": uid})
    assert outcome.code == 3
    assert "part-1.parquet" in complaint(outcome.err)
    assert "Permission denied" in outcome.err
