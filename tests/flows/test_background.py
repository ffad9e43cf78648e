"""What only shows arrives late or is dropped, and never fails or delays a run."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable

import httpx
import pytest

from prefect_onepass.background import Background

# Prefect and its dependencies warn about themselves.
pytestmark = pytest.mark.filterwarnings("default")


class Server:
    """Receives calls; the first ones fail."""

    def __init__(self, n_failures: float, error: Exception) -> None:
        self.n_failures, self.error = n_failures, error
        self.n_tries = 0
        self.received: list[str] = []
        self.has_received = threading.Event()

    def call(self, what: str) -> Callable[[], None]:
        def run() -> None:
            self.n_tries += 1
            if self.n_tries <= self.n_failures:
                raise self.error
            self.received.append(what)
            self.has_received.set()

        return run


AWAY = httpx.ConnectError("connection refused")


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list]:
    monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)
    return lambda: warnings_of(caplog)


_ENDING = """
import json, os, signal, sys, threading, time
import httpx
from pydantic import BaseModel, Field
from prefect_onepass import background

is_called = threading.Event()

def default():
    return sum(range(300))

class Model(BaseModel):
    field: int = Field(default_factory=default)

def validate():
    # The server is away: the call is made again at once.
    is_called.set()
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        Model()
    raise httpx.ConnectError("connection refused")

def hang():
    is_called.set()
    time.sleep(1000)

calls = {"validate": [validate] * 3, "hang": [hang] * 3, "nothing": []}[sys.argv[1]]
background._STOP_SECONDS = float(sys.argv[3])
codes = []
for _ in range(int(sys.argv[2])):
    pid = os.fork()
    if not pid:
        signal.alarm(60)
        one = background.Background(grace=0, pause=0)
        one.__enter__()
        for call in calls:
            one.send("the table", call)
        assert not calls or is_called.wait(60)
        if calls:
            one.close()
        sys.exit(3)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(json.dumps(codes))
"""
"""Processes that end while calls are made; the numbers are those of processes and of seconds."""


def codes_of_ending(call: str, n_processes: int, seconds: float) -> list[int]:
    command = [sys.executable, "-c", _ENDING, call, str(n_processes), str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def test_what_a_server_misses_for_a_while_arrives_late_and_in_order(told):
    server = Server(4, AWAY)
    with Background(pause=0.001) as background:
        for what in ("first", "second"):
            background.send(what, server.call(what))
        assert server.has_received.wait(60)
    assert server.received == ["first", "second"]
    assert told() == []


def test_server_that_is_away_for_good_costs_one_warning_and_no_error(told):
    server = Server(float("inf"), AWAY)
    with Background(pause=0.001, grace=0.05, linger=0) as background:
        for number in range(1500):
            background.send(f"picture {number}", server.call("x"))
    background.send("late", server.call("late"))
    (warning,) = told()
    assert "is not shown in Prefect" in warning
    assert server.received == []


def test_end_of_the_run_does_not_wait_for_a_call_that_hangs(told):
    is_free, is_made, late = threading.Event(), threading.Event(), list[str]()

    def hang() -> None:
        is_made.set()
        is_free.wait(60)

    background = Background(grace=0.05)
    with background:
        background.send("the report", hang)
        background.send("the table", lambda: late.append("table"))
        assert is_made.wait(60)
    assert not is_free.is_set()
    assert "the report" in told()[0]
    is_free.set()
    background._thread.join(60)
    assert late == ["table"]


def test_server_that_comes_back_after_the_end_of_the_run_gets_what_it_missed(told):
    is_back, has_all, received = threading.Event(), threading.Event(), list[str]()

    def call(what: str) -> None:
        if not is_back.is_set():
            raise AWAY
        received.append(what)
        if what == "the event":
            has_all.set()

    with Background(pause=0.001, grace=0.05) as background:
        background.send("the report", lambda: call("the report"))
        background.send("the event", lambda: call("the event"))
    assert received == []
    (warning,) = told()
    assert "the report is not shown in Prefect yet" in warning
    is_back.set()
    assert has_all.wait(60)
    assert received == ["the report", "the event"]


def test_calls_are_given_up_some_time_after_the_end_of_the_run():
    server = Server(float("inf"), AWAY)
    with Background(pause=0.001, grace=0.05, linger=0.1) as background:
        background.send("the report", server.call("x"))
    background._thread.join(60)
    assert not background._thread.is_alive()


def test_call_that_is_refused_is_dropped_and_the_next_one_is_made(told):
    refused = Server(float("inf"), ValueError("no such key\nand more"))
    sound = Server(0, AWAY)
    with Background(pause=0.001) as background:
        background.send("the table", refused.call("x"))
        background.send("the report", sound.call("report"))
        assert sound.has_received.wait(60)
    assert (refused.n_tries, sound.received) == (3, ["report"])
    (warning,) = told()
    assert "the table is not shown" in warning
    assert "ValueError: no such key)" in warning


def test_server_error_is_tried_again_and_a_client_error_is_not_for_long():
    request = httpx.Request("POST", "http://127.0.0.1/api/artifacts/")

    def error(status: int) -> httpx.HTTPStatusError:
        return httpx.HTTPStatusError("x", request=request, response=httpx.Response(status))

    busy, unwanted = Server(8, error(503)), Server(8, error(422))
    with Background(pause=0.0001) as background:
        background.send("x", unwanted.call("x"))
        background.send("y", busy.call("y"))
        assert busy.has_received.wait(60)
    assert (unwanted.n_tries, unwanted.received) == (3, [])
    assert busy.received == ["y"]


def test_call_runs_in_the_context_of_its_sender():
    from contextvars import ContextVar

    task: ContextVar[str] = ContextVar("task", default="none")
    found: list[str] = []
    with Background() as background:
        for name in ("plan", "train"):
            token = task.set(name)
            background.send("x", lambda: found.append(task.get()))
            task.reset(token)
    assert found == ["plan", "train"]


def test_process_that_ends_while_pydantic_calls_python_keeps_its_exit_code():
    assert codes_of_ending("validate", 8, 60) == [3] * 8


def test_end_of_the_process_waits_for_a_call_that_hangs_for_a_bounded_time():
    assert codes_of_ending("hang", 2, 0.1) == [3, 3]


def test_end_of_the_process_does_not_wait_for_a_run_that_sends_nothing():
    assert codes_of_ending("nothing", 2, 1000) == [3, 3]
