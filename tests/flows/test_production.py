"""A night on one machine: a schedule trains what lands, whatever is killed meanwhile.

The deployments are those of `prefect.yaml`, with a shorter schedule. A run is held still after a
commit in its middle, and then it, its worker, the server or everything is killed. Nobody helps:
what is left is trained by a later run of the schedule. All waits are for conditions.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakes import ROOT
from landing import Landing, newest_state
from night import Night, deploy
from production import Machine, has_pending_signal, machine

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs /proc")

HEARTBEAT_SECONDS = 30
"""The shortest that Prefect allows."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder from which the paths of `prefect.yaml` start."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def box(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Yield a machine with a server and a pool."""
    settings = {
        "ONEPASS_HOME": str(home),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
    }
    with machine(tmp_path_factory.mktemp("box"), **settings) as one:
        one.start_server()
        one.prefect("work-pool", "create", "onepass", "--type", "process")
        yield one


def ends(box: Machine) -> set[str]:
    """Return the names of the states in which runs have ended."""
    return {run["state_name"] for run in box.flow_runs().values() if run["end_time"]}


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "at a terminal"])
def test_deploying_from_any_folder_asks_nothing_and_clones_nothing(box, home, tmp_path, terminal):
    where = ["--prefect-file", str(ROOT / "prefect.yaml")]
    told = box.prefect("deploy", "--all", *where, cwd=tmp_path, terminal=terminal)
    assert "?" not in told
    for flow, name in (("train", "nightly"), ("score", "score"), ("evaluate", "evaluate")):
        found = box.ask(f"/deployments/name/{flow}/{name}", "GET")
        assert found["entrypoint"] == f"prefect_onepass.{flow}.{flow}"
        assert not found["pull_steps"]
        assert found["concurrency_limit"] is None
        places = found["parameters"].get("job", found["parameters"])
        assert places["lake"].startswith(str(home))
        assert places["model"].startswith(str(home))


def test_whatever_is_killed_each_file_is_trained_once_and_the_bytes_are_the_same(
    box, home, tmp_path
):
    landing = Landing(home)
    deploy(box, home, seconds_between_runs=10)
    box.shorten("onepass-dead-runs", 3 * HEARTBEAT_SECONDS)
    night, runs = Night(box, landing), {}
    box.start_worker()
    night.train_all()

    with night.in_mid_run() as (_, run):
        runs["power cut"] = run
        box.wait("it has been heard of", lambda: box.events("prefect.flow-run.heartbeat", run))
        box.cut_power()
    box.start_server()
    box.start_worker()
    night.train_all()

    with night.in_mid_run() as (pid, run):
        runs["flow killed"] = run
        os.kill(pid, signal.SIGKILL)
    night.train_all()

    with night.in_mid_run() as (_, run):
        runs["worker killed"] = run
        box.kill_worker()
    box.start_worker()
    night.train_all()

    with night.in_mid_run() as (pid, run):
        runs["cancelled"] = run
        box.cancel(run)
        box.wait("it is told to stop", lambda: has_pending_signal(pid, signal.SIGTERM))
    night.train_all()

    with night.in_mid_run() as (_, run):
        runs["server killed"] = run
        box.kill_server()
    box.wait("it trains without a server", landing.is_all_trained)
    night.stay_away(30.0)
    box.start_server()

    # The last of these is the word of the automation, once its time is up.
    expected = {
        "flow killed": "Crashed",
        "worker killed": "Completed",
        "cancelled": "Cancelled",
        "server killed": "Completed",
        "power cut": "Crashed",
    }
    for what, name in expected.items():
        box.wait(f"{what}: {name}", lambda r=runs[what], n=name: box.state_of(r) == n)
    assert Counter(landing.trained()).most_common(1)[0][1] == 1
    assert newest_state(landing.model) == newest_state(landing.uninterrupted(tmp_path))
    box.wait("a run has nothing to do", lambda: "NothingNew" in ends(box))
    assert ends(box) <= {*expected.values(), "NothingNew", "AnotherRunIsTraining"}
    kinds = {one["type"] for one in box.ask("/artifacts/latest/filter")}
    assert {"markdown", "table"} <= kinds
    assert box.events("onepass.model.updated"), "no event says that the model was updated"
    box.wait("the event has started a run that scores", (home / ".onepass" / "scores").exists)
