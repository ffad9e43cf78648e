"""The examples run and show what they say."""

from __future__ import annotations

import re
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from lakes import ROOT
from onepass import Model, train
from onepass.actions.summary import summarise


def test_a_cluster_of_three_processes_reaches_the_state_of_threads():
    pytest.importorskip("distributed")
    command = [sys.executable, str(ROOT / "examples" / "cluster.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("the same bytes\n")
    assert done.stderr == ""


def test_an_iceberg_table_is_learnt_once_as_it_grows():
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "iceberg_sqlite.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=300)
    assert done.returncode == 0, done.stderr
    said = re.sub(r"snapshot \d+", "snapshot N", done.stdout)
    assert said.splitlines() == [
        "10 days appended: 24,391 rows learnt, new files: 10",
        "3 days appended: 7,747 rows learnt, new files: 3",
        "nothing appended: 0 rows learnt",
        "a shop deleted, a day appended: snapshot N overwrite changed 12 trained files",
        "with on_changed skip: 3,042 rows learnt, new files: 1",
    ]


def test_a_delta_table_is_learnt_once_through_everything_that_is_done_to_it():
    command = [sys.executable, str(ROOT / "examples" / "delta_local.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=300)
    assert done.returncode == 0, done.stderr
    operations = done.stdout.split("version ")[1:]
    told = {one.splitlines()[0].partition(", ")[2]: one.splitlines()[1] for one in operations}
    nothing = "    trained 0 rows in 0 partitions"
    assert told["ten days are written"].startswith("    trained 22,061 rows")
    assert told["two appends"].startswith("    trained 10,077 rows")
    assert told["OPTIMIZE"] == told["the same with --on-changed skip"] == told["VACUUM"] == nothing
    assert told["another append"].startswith("    trained 4,737 rows")
    assert "DELETE changed 1 trained file" in done.stdout


def test_wages_are_the_same_lake_each_time_and_its_coefficients_are_those_it_is_made_of(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "wages.py")]
    for name in ("lake", "again"):
        subprocess.run([*command, str(tmp_path / name), "500"], check=True, timeout=300)
    tables = [pq.read_table(tmp_path / name) for name in ("lake", "again")]
    assert tables[0].equals(tables[1])
    assert set(tables[0]["satisfaction"].to_pylist()) == {1, 2, 3, 4, 5}
    model = str(tmp_path / "m")
    features = ["schooling", "experience", "experience2", "female", "union", "training", "region"]
    job = {"lake": str(tmp_path / "lake"), "label": "log_wage", "features": features}
    train({**job, "cluster": "firm", "model": model})
    shown = summarise(Model.load(model), level=0.999)
    assert shown.clusters == 25
    found = {one.feature: one for one in shown.coefficients}
    for name, true in {"schooling": 0.08, "female": -0.12, "union": 0.06}.items():
        assert found[name].low < true < found[name].high


def test_loans_are_the_same_lake_each_time_and_few_default(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "loans.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 18
    assert lines[14:16] == [
        "loans month=2026-03: 20,000 loans, 147 defaults",
        "recent month=2026-04: 20,000 loans, 175 defaults",
    ]
    assert len(list((tmp_path / "loans").rglob("*.parquet"))) == 15


def test_motor_claims_are_the_same_at_every_run_and_tell_their_frequency(tmp_path):
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "motor_claims.py")]
    told = []
    for name in ("one", "other"):
        small = [*command, str(tmp_path / name), "--policies", "2000"]
        done = subprocess.run(small, capture_output=True, text=True, cwd="/", timeout=300)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told[0] == told[1]
    assert [line.partition(":")[0] for line in told[0].splitlines()] == [
        "lake/2021.parquet",
        "lake/2022.parquet",
        "lake/2023.parquet",
        "holdout/2024.parquet",
    ]
    rows = pq.read_table(tmp_path / "one" / "lake").to_pandas()
    assert rows.equals(pq.read_table(tmp_path / "other" / "lake").to_pandas())
    assert 0.06 < rows["claims"].sum() / rows["exposure"].sum() < 0.12
    assert (rows["claims"] > 0).equals(rows["cost_per_claim"].notna())
