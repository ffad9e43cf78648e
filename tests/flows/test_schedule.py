"""A schedule on a real server: what lands in the lake is trained by the next run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from lakes import ROOT, number_table
from onepass import train
from onepass.model.directory import open_model
from production import python_path_of_servers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A process group of our own, ended by its id."""
    with open(log, "wb") as sink:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=sink, stderr=sink, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)


def wait_for(what: Callable[[], bool], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing after {seconds} s:\n{log.read_text()[-4000:]}")
        time.sleep(0.2)


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_scheduled_run_trains_the_files_that_have_landed(make_lake, tmp_path):
    lake, model = make_lake(), tmp_path / "model"
    train({"lake": str(lake), "label": "y", "model": str(model)})
    before = len(open_model(model).ledger.history.trained())
    pq.write_table(number_table(123, seed=77), lake / "landed.parquet")
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump({"lake": str(lake), "label": "y", "model": str(model)}))

    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        # The test harness of the other flow tests must not leak into these processes.
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path}/prefect.db",
    }
    prefect = [sys.executable, "-m", "prefect"]
    server = [*prefect, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    onepass = [sys.executable, "-c", "from onepass.cli import main; main()"]
    # A cron schedule, of whole minutes, would make the test wait for half a minute. Runs of a
    # shorter schedule than this one keep each other from starting on a busy machine.
    serve = [*onepass, "serve", str(job), "--interval", "10"]
    of_server = environment | {"PYTHONPATH": python_path_of_servers()}
    with running(server, of_server, tmp_path / "server.log"):
        wait_for(lambda: is_healthy(url), 120, tmp_path / "server.log")
        with running(serve, environment, tmp_path / "serve.log"):
            wait_for(
                lambda: len(open_model(model).ledger.history.trained()) > before,
                180,
                tmp_path / "serve.log",
            )
    trained = open_model(model).ledger.history.trained()
    assert [(e.partitions[0].path, e.rows) for e in trained[before:]] == [("landed.parquet", 123)]
