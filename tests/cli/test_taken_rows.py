"""Commands say which rows they take."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass.cli import main


@pytest.fixture
def lake(tmp_path):
    rng = np.random.default_rng(0)
    for day in range(4):
        x = rng.normal(size=500)
        table = pa.table(
            {"x": x, "ctx_a": rng.random(500), "u": rng.random(500), "y": x + rng.random(500)}
        )
        (folder := tmp_path / "lake" / f"day={day}").mkdir(parents=True)
        pq.write_table(table, folder / "a.parquet")
    return tmp_path / "lake"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    out = capsys.readouterr()
    return ended.value.code, out.out, out.err


def test_train_log_summary_and_inspect_tell_what_is_left_out(lake, capsys):
    model, where = lake.parent / "model", "day >= 2 and u < 0.5"
    rows = ("--label", "y", "--where", where)
    code, out, _ = run(capsys, "inspect", lake, *rows)
    assert code == 0
    assert "2 more files: left out by --where" in out
    assert "of the rows are taken" in out
    code, out, _ = run(capsys, "inspect", lake, *rows, "--sample", 0.5, "--json")
    assert json.loads(out)["taken"] == pytest.approx(0.25, abs=0.05)
    code, out, err = run(capsys, "train", lake, *rows, "--model", model, "--exclude", "ctx_*,u")
    assert code == 0, err
    assert "left out by --where; 2 of 4 files left out by --where" in out
    code, out, _ = run(capsys, "train", lake, "--model", model)
    assert "seen every partition of its lake but 2 left out by --where" in out
    code, out, _ = run(capsys, "log", model)
    assert out.count("left_out_by_where") == 2
    code, out, _ = run(capsys, "summary", model)
    assert f"where {where}" in out
    assert "ctx_a" not in out
    frozen = json.loads((model / "model.json").read_text())["job"]
    assert (frozen["where"], frozen["exclude"]) == (where, ["ctx_*", "u"])


def test_condition_that_cannot_be_read_is_wrong_usage_with_the_place(lake, capsys):
    fields = (lake, "--label", "y", "--model", lake.parent / "model")
    code, _, err = run(capsys, "train", *fields, "--where", "x > 1 and y === 2")
    assert code == 2
    assert "at character" in err
    code, _, err = run(capsys, "train", *fields, "--exclude", "ctz_*")
    assert code == 2
    assert "no column matches" in err
