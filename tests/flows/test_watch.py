"""`onepass watch`: what is announced, what is kept while the server is away, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from onepass.errors import JobError
from onepass.lake.landing import Landing, stamps

pytestmark = pytest.mark.filterwarnings("default")


class Server:
    """Takes events, or refuses them while it is away."""

    def __init__(self):
        self.events, self.tried, self.is_away = [], [], False

    def take(self, event):
        self.tried.append(event.id)
        if self.is_away:
            raise ConnectionRefusedError(111, "Connection refused")
        self.events.append(event)


@pytest.fixture
def watched(tmp_path):
    """A watch of a lake, its server, and a step that lets seconds pass and looks."""
    from prefect_onepass.watch import Watch

    server, now = Server(), [0.0]
    watch = Watch(
        str(tmp_path),
        Landing(5.0),
        list_files=lambda: stamps(str(tmp_path)),
        send=server.take,
        poll=60.0,
        clock=lambda: now[0],
    )

    def step(seconds):
        now[0] += seconds
        watch.look()
        watch.send_unsent()

    return watch, server, step


def test_files_that_land_are_one_event_with_their_number_and_bytes(watched, tmp_path):
    _, server, step = watched
    for i in range(500):
        (tmp_path / f"{i:04d}.parquet").write_bytes(b"x" * 10)
    step(0)
    assert server.events == []
    step(5)
    step(5)
    (event,) = server.events
    assert event.event == "onepass.lake.landed"
    assert event.resource.id == f"onepass.lake.file://{tmp_path}"
    assert (event.payload["n_new"], event.payload["n_replaced"]) == (500, 0)
    assert event.payload["bytes"] == 5_000
    assert event.payload["new"] == [f"{i:04d}.parquet" for i in range(20)]


def test_a_server_that_is_away_loses_nothing_and_is_told_of_once(watched, tmp_path, capsys):
    _, server, step = watched
    server.is_away = True
    (tmp_path / "a.parquet").write_bytes(b"a")
    step(0)
    for _ in range(20):
        step(5)
    # The pauses between attempts grow, and the same event is sent again.
    assert 4 <= len(server.tried) <= 9
    assert len(set(server.tried)) == 1
    (tmp_path / "b.parquet").write_bytes(b"bb")
    step(0)
    step(5)
    server.is_away = False
    step(60)
    (event,) = server.events
    assert event.payload["new"] == ["a.parquet", "b.parquet"]
    assert event.payload["bytes"] == 3
    step(60)
    assert len(server.events) == 1
    assert capsys.readouterr().err.count("warning") == 1


def test_a_lake_that_cannot_be_listed_is_told_of_once_and_forgets_nothing(tmp_path, capsys):
    from prefect_onepass.watch import Watch

    server, now, faults = Server(), [0.0], [False]

    def list_files():
        if faults[0]:
            raise JobError("cannot look into the lake's folder: Stale file handle")
        return {"a.parquet": (1, 1)}

    watch = Watch(
        "/lake", Landing(0.0), list_files=list_files, send=server.take, poll=1, clock=lambda: now[0]
    )
    for faults[0] in (False, True, True, False):
        now[0] += 1
        watch.look()
        watch.send_unsent()
    assert len(server.events) == 1
    captured = capsys.readouterr()
    assert captured.err.count("Stale file handle") == 1
    assert "can be listed again" in captured.out


def test_the_end_tries_once_more_and_says_if_something_is_left(watched, tmp_path, capsys):
    watch, server, step = watched
    server.is_away = True
    (tmp_path / "a.parquet").write_bytes(b"a")
    step(0)
    step(5)
    watch.end()
    assert "the next start announces all files" in capsys.readouterr().err
    server.is_away = False
    watch.end()
    assert len(server.events) == 1


@pytest.mark.parametrize("lake", ["{}", "{}/*.parquet", "{}/d=*/*.parquet", "{}/a.parquet"])
def test_a_change_wakes_the_watch_where_the_system_tells_of_it(tmp_path, lake):
    pytest.importorskip("watchfiles")
    from prefect_onepass.wakes import waking

    (tmp_path / "a.parquet").write_bytes(b"a")
    wake = threading.Event()
    with waking(lake.format(tmp_path), wake):
        for i in range(300):
            # The system begins to tell some time after it was asked.
            (tmp_path / f"{i}.parquet").write_bytes(b"b")
            if wake.wait(0.1):
                break
        assert wake.is_set()


def test_an_object_store_is_looked_at_without_waking():
    from prefect_onepass.wakes import waking

    with waking("s3://bucket/lake", threading.Event()) as how:
        assert how == ""


def test_watch_without_a_server_is_a_usage_error(tmp_path):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from prefect_onepass.watch import command

    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        result = CliRunner().invoke(command, [str(tmp_path)])
    assert result.exit_code == 2
    assert "PREFECT_API_URL" in result.output


def test_watch_ends_with_code_0_when_it_is_stopped(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"a")
    code = (
        "from onepass.terminal.exits import exit_with\n"
        "from prefect_onepass.watch import command\n"
        "exit_with(command)"
    )
    # No server listens at this port: the watch must end all the same.
    environment = os.environ | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    command = [sys.executable, "-u", "-c", code, str(tmp_path), "--settle", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert "1 file" in watching.stdout.readline()
        assert "the event is kept" in watching.stderr.readline()
        watching.send_signal(signal.SIGTERM)
        _, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    assert "Traceback" not in err
