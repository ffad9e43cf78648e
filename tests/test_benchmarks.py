"""The benchmarks still run, and their reference is an independent one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor, QuantileRegressor, Ridge

from lakes import ROOT


@pytest.fixture
def batch_margins(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from reference import batch_margins

    return batch_margins


def printed(script: str, *words: str) -> str:
    """What a benchmark prints."""
    done = subprocess.run(
        [sys.executable, f"benchmarks/{script}.py", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/pipeline:{ROOT}/flows"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quality_prints_a_row_a_task_and_which_targets_are_met():
    out = printed("quality", "--only", "diabetes", "--peers", "none", "--json")
    (row,) = json.loads(out.splitlines()[-1])
    assert row["name"] == "diabetes"
    assert abs(row["excess"]["onepass"]) < 0.01


@pytest.mark.parametrize(("kind", "ours"), [("dense", {"sgd", "score"}), ("clicks", {"sgd"})])
def test_speed_prints_a_row_a_contender_beside_the_limit(kind, ours, tmp_path):
    given = ("--lakes", kind, f"--rows-{kind}", "3000", "--repeats", "1", "--only", ";".join(ours))
    out = printed("speed", *given, "--folder", str(tmp_path), "--json", str(tmp_path / "runs.json"))
    (runs,) = json.loads((tmp_path / "runs.json").read_text()).values()
    assert ours < set(runs)
    assert all(found["rows"] == 3000 for [found] in runs.values()), runs
    assert "sgd at 0.6 of the limit: " in out


def test_scale_and_overhead_print_their_tables(tmp_path):
    out = printed("scale", "--rows", "5000", "--folder", str(tmp_path))
    assert "5,000 rows, 1 files" in out
    assert "| M rows learnt | M rows/s | resident MB |" in out
    out = printed("overhead", "--files", "5", "--lakes", "", "--folder", str(tmp_path))
    assert "| files of 100 rows |" in out
    assert "| 5 | " in out


def test_reference_of_quality_agrees_with_scikit_learn(batch_margins):
    rng = np.random.default_rng(0)
    x, at = rng.normal(size=(2, 2000, 4)) * [1e-2, 1, 10, 1e3]
    z = (x / [1e-2, 1, 10, 1e3]) @ [1.0, -0.5, 0.3, 0.0]
    scaled, probe = ((one - x.mean(0)) / x.std(0) for one in (x, at))
    y = z + rng.normal(size=2000)
    best = Ridge(alpha=0).fit(scaled, y).predict(probe)
    np.testing.assert_allclose(batch_margins("squared", x, y, at).ravel(), best, atol=1e-4)
    classes = (rng.logistic(size=2000) < z).astype(float)
    best = LogisticRegression(C=1e8, tol=1e-8).fit(scaled, classes).decision_function(probe)
    np.testing.assert_allclose(batch_margins("logistic", x, classes, at).ravel(), best, atol=1e-2)
    counts = rng.poisson(np.exp(z)).astype(float)
    best = PoissonRegressor(alpha=0, tol=1e-9, max_iter=999).fit(scaled, counts).predict(probe)
    ours = np.exp(batch_margins("poisson", x, counts, at).ravel())
    np.testing.assert_allclose(ours, best, rtol=1e-3)
    best = QuantileRegressor(quantile=0.8, alpha=0).fit(scaled, y).predict(probe)
    ours = batch_margins("quantile", x, y, at, quantile=0.8).ravel()
    np.testing.assert_allclose(ours, best, atol=0.03)
