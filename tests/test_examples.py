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
