"""The examples run and show what they say."""

from __future__ import annotations

import re
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
