"""The benchmarks still run, and their reference is an independent one."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace

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


def test_scaleout_measures_parts_and_prints_curves(tmp_path):
    parts = tmp_path / "parts.json"
    given = ("--only", "30 numbers", "--rows-dense", "4000", "--points", "", "--widths", "5")
    out = printed("scaleout", *given, "--folder", str(tmp_path), "--parts", str(parts))
    assert "| 30 numbers, 1 PB, 128 MB, 1,024 | 1.0 | 2.0 | " in out
    assert json.loads(parts.read_text())["costs"]["30 numbers"]["row_seconds"] > 0


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


# -- the simulator of clusters -------------------------------------------------------------------


@pytest.fixture
def simulator(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import simulator

    return simulator


@pytest.fixture
def costs(simulator):
    """Costs of a model whose parts take times that are easily told apart."""
    return simulator.Costs(
        name="numbers",
        row_bytes=100.0,
        row_seconds=1e-3,
        share_seconds=0.25,
        base_bytes=2e6,
        difference_bytes=((0.0, 1e6), (1e9, 1e6)),
        send_seconds=0.125,
        add_byte_seconds=2e-8,
        merge_seconds=0.0625,
        commit_seconds=0.5,
        gap_seconds=0.03,
        round_seconds=0.015,
    )


FREE = {
    "base_bytes": 0.0,
    "difference_bytes": ((0.0, 0.0),),
    "send_seconds": 0.0,
    "merge_seconds": 0.0,
    "commit_seconds": 0.0,
    "gap_seconds": 0.0,
    "round_seconds": 0.0,
}
"""Costs of a round beside the learning itself, all of them nothing."""


def rounds_of(simulator, groups, most, rule):
    return [size for size, n in simulator.sizes(groups, most, rule) for _ in range(n)]


def test_one_worker_takes_the_sum_of_all_parts(simulator, costs):
    lake, cluster = simulator.Lake(groups=100, rows=1000), simulator.Cluster(1, 1e7, reading=1e5)
    found = simulator.simulate(costs, lake, cluster, most=8)
    n = len(rounds_of(simulator, 100, 8, costs.rule))
    # A group: 0.03 + 0.25 s, 1,000 rows in 1 s, 100 kB read in 1 s. The driver waits for the last
    # difference alone: 1 MB is sent in 0.1 s and added in 0.02 s.
    share = 0.03 + 0.25 + 1.0 + 1.0
    a_round = 0.015 + 0.125 + 0.2 + 0.1 + 0.02 + 0.0625
    assert found.seconds == pytest.approx(100 * share + n * a_round + costs.commit_seconds)
    assert (found.rounds, found.rows, found.busy) == (n, 100_000, pytest.approx(100 * share))
    assert found.received == pytest.approx(100 * 1e6)
    assert found.sent == pytest.approx(n * 2e6)


@pytest.mark.parametrize("workers", [1, 4, 64, 1000])
def test_speed_up_is_perfect_where_nothing_but_learning_takes_time(simulator, costs, workers):
    free = replace(costs, **FREE)
    lake, cluster = simulator.Lake(groups=5000, rows=1000), simulator.Cluster(workers, math.inf)
    found = simulator.simulate(free, lake, cluster, most=64)
    sizes = rounds_of(simulator, 5000, 64, costs.rule)
    assert found.seconds == pytest.approx(1.25 * sum(math.ceil(size / workers) for size in sizes))
    full = [found.seconds for found in _both(simulator, free, lake, cluster)]
    assert full[0] == pytest.approx(full[1])


def _both(simulator, costs, lake, cluster):
    """Outcomes with all rounds played, and with some that stand for all."""
    return [simulator.simulate(costs, lake, cluster, 64, sample=n) for n in (10**6, 2)]


def test_nothing_is_lost_and_no_run_is_faster_than_its_workers(simulator, costs):
    lake = simulator.Lake(groups=3000, rows=1000)
    for spread, workers, tree in [(0.0, 3, False), (0.5, 50, False), (0.5, 1000, True)]:
        cluster = simulator.Cluster(workers, 1e9, reading=1e6, tree=tree)
        found = simulator.simulate(replace(costs, spread=spread), lake, cluster, most=256)
        assert found.rows == 3_000_000
        assert found.received == pytest.approx(3000 * 1e6)
        assert found.seconds > found.busy / min(workers, 256)
        alone = simulator.simulate(costs, lake, replace(cluster, workers=1), most=256)
        assert found.seconds < alone.seconds
    stragglers = [
        simulator.simulate(replace(costs, spread=spread), lake, cluster, most=256).seconds
        for spread in (0.0, 0.2, 0.5)
    ]
    assert stragglers == sorted(stragglers)


@pytest.mark.parametrize("most", [1, 4, 16])
@pytest.mark.parametrize("groups", [1, 7, 70, 500])
def test_simulated_rounds_are_those_of_training(simulator, most, groups):
    from onepass.training.round_sizes import DENSE, HASHED, Rounds

    mark = simulator.Fingerprint(size=1, footer_sha256="", rows=1, row_groups=1)
    planned = [
        simulator.Group(1, [simulator.Partition(str(i), 0, 1, 1, mark)]) for i in range(groups)
    ]
    for rule in (DENSE, HASHED):
        rounds, sizes, done = Rounds(planned, most, rule), [], 0
        while done < groups:
            sizes.append(rounds.next_size(planned[done:], done))
            done += sizes[-1]
        assert rounds_of(simulator, groups, most, rule) == sizes


def test_a_refined_model_of_claims_is_the_batch_optimum_of_its_benchmark(tmp_path):
    given = ("--rows", "16384", "--only", "onepass, refined")
    text = printed("glm", "--folder", str(tmp_path), *given)
    cells = [cell.strip() for cell in text.splitlines()[-1].split("|")]
    assert cells[1] == "onepass, refined"
    assert float(cells[8]) < 1e-4
    assert float(cells[9]) < 1e-5
    assert 0.3 < float(cells[10]) < 0.5
    assert printed("glm", "--folder", str(tmp_path), *given) == text


def usage(words: list[str], most_bytes: float) -> dict[str, object]:
    """Measure a command in a process of its own, which adopts what the command leaves running."""
    code = "import json, sys; from usage import used_by; from dataclasses import asdict\n"
    code += f"print(json.dumps(asdict(used_by({words!r}, {most_bytes!r}, 60))))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "benchmarks"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_processes_that_outlive_the_one_that_started_them_are_measured():
    # The memory of a process counts from at most a second after its start.
    work = "x = b'1' * 100_000_000; from time import *; sleep(2)\nwhile process_time() < 0.5: pass"
    left = f'{sys.executable} -c "{work}" &'
    found = usage(["sh", "-c", left], 1e9)
    assert found["cpu_seconds"] >= 0.5
    assert found["peak_bytes"] > 100_000_000
    assert (found["status"], found["gave_up"]) == (0, "")


def test_a_command_is_ended_once_it_takes_too_much_memory():
    work = "x = b'1' * 100_000_000; import time; time.sleep(60)"
    found = usage([sys.executable, "-c", work], 5e7)
    assert found["gave_up"] == "more than 0 GB"
    assert found["seconds"] < 30
