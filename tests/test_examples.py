"""The examples run and show what they say."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lakes import ROOT


def test_a_cluster_of_three_processes_reaches_the_state_of_threads():
    pytest.importorskip("distributed")
    command = [sys.executable, str(ROOT / "examples" / "cluster.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("the same bytes\n")
    assert done.stderr == ""


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
