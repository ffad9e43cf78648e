"""The states in which runs of the train flow end, what they say, and how often."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import train
from onepass.errors import BadPartition, JobError, ModelConflict, StoreUnavailable, VersionRefused
from onepass.ledger.store import LocalStore, open_store
from onepass.model.directory import open_model
from onepass.training import several

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server", "log_that_caplog_sees"),
]


@pytest.fixture
def job(make_lake, tmp_path) -> dict[str, Any]:
    return {"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "model")}


def run(job: dict[str, Any]) -> Any:
    """Run the flow; return its state."""
    from prefect_onepass.train import train as train_flow

    return train_flow(job, return_state=True)


def n_trained(job: dict[str, Any]) -> int:
    return len(open_model(job["model"]).ledger.history.trained())


def lines_about(caplog: pytest.LogCaptureFixture, text: str) -> list[logging.LogRecord]:
    return [one for one in caplog.records if text in one.getMessage() or text in str(one.exc_text)]


def test_names_and_messages_tell_what_a_run_has_done(job):
    first = run(job)
    assert (first.name, first.message) == ("Completed", "Trained 6 partitions: version 7")
    newest = open_model(job["model"]).ledger.history.trained()[-1].time[:16].replace("T", " ")
    quiet = run({"model": job["model"]})
    assert (quiet.type.value, quiet.name) == ("COMPLETED", "NothingNew")
    assert quiet.message == f"nothing new since {newest} UTC: version 7"
    assert quiet.result()["report"] is None


def test_run_that_finds_the_model_held_ends_green_and_names_the_holder(job):
    train(job)
    before = sorted(Path(job["model"]).rglob("*"))
    with open_store(job["model"]).exclusive():
        state = run(job)
    assert (state.type.value, state.name) == ("COMPLETED", "AnotherRunIsTraining")
    assert f"process {os.getpid()} is training the model" in state.message
    assert state.result()["partitions"] == 0
    assert sorted(Path(job["model"]).rglob("*")) == before
    # The lock ends with its holder.
    assert run(job).name == "NothingNew"


def test_lock_of_a_killed_holder_is_free(job):
    train(job)
    hold = "from onepass.ledger.store import open_store\nimport sys\n"
    hold += "with open_store(sys.argv[1]).exclusive(): print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, job["model"]]
    # It holds the lock until it is killed: on a busy machine a run takes minutes to ask for it.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert run(job).name == "AnotherRunIsTraining"
        holder.kill()
    assert run(job).name == "NothingNew"


def test_run_that_loses_the_race_for_a_version_says_what_it_has_committed(job, monkeypatch):
    job["group_seconds"] = 1e-6
    real = LocalStore.create

    def beaten(self: LocalStore, key: str, data: bytes) -> bool:
        # As on an object store, where no lock keeps two runs apart.
        if key.endswith("4.json"):
            real(self, key, b"entry of another writer")
        return real(self, key, data)

    monkeypatch.setattr(LocalStore, "create", beaten)
    state = run(job)
    assert (state.type.value, state.name) == ("COMPLETED", "AnotherRunIsTraining")
    assert "2 partitions of this run were committed before and count" in state.message


def test_expected_error_is_logged_once_without_a_traceback(job, caplog):
    run(job)
    bad = Path(job["lake"]) / "bad.parquet"
    bad.write_text("no parquet")
    with caplog.at_level(logging.DEBUG):
        state = run(job)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert state.message == (
        "bad.parquet: expected a Parquet file, found 10 bytes\n"
        "Repair or remove the file, or go on without it: on_bad: skip."
    )
    (line,) = lines_about(caplog, "expected a Parquet file")
    assert (line.levelname, line.exc_info) == ("ERROR", None)
    assert not lines_about(caplog, "Traceback")
    # A caller in Python gets the error itself.
    with pytest.raises(BadPartition):
        state.result()


def test_another_flow_of_the_process_keeps_its_log(caplog):
    from prefect import flow

    import prefect_onepass.train  # noqa: F401

    @flow(name="copies")
    def copies() -> None:
        raise FileNotFoundError("no such lake")

    copies(return_state=True)
    assert any(one.exc_info for one in lines_about(caplog, "no such lake"))


def test_error_of_the_code_keeps_its_traceback(job, caplog, monkeypatch):
    from prefect_onepass.one_run import OneRun

    monkeypatch.setattr(OneRun, "run", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(job).result()
    assert any(one.exc_info for one in caplog.records)


def test_missing_model_says_what_a_new_one_needs(tmp_path):
    state = run({"model": str(tmp_path / "none")})
    assert state.is_failed()
    assert state.message.endswith("to create one, give LAKE and 'label'")
    with pytest.raises(JobError):
        state.result()


@pytest.mark.parametrize("error", [OSError(28, "No space left"), StoreUnavailable("no answer")])
def test_retry_goes_on_from_the_last_commit_in_the_same_session(job, tmp_path, monkeypatch, error):
    from prefect_onepass.steps import RETRIES

    whole = train(job | {"model": str(tmp_path / "whole")})
    monkeypatch.setitem(RETRIES, "retry_delay_seconds", 0)
    real, count = LocalStore.put, 0

    def failing(self: LocalStore, key: str, data: Any, **options: Any) -> None:
        nonlocal count
        count += key.startswith("state")
        if count in {3, 5}:
            raise error
        real(self, key, data, **options)

    opened = []
    session = several.open_session
    monkeypatch.setattr(
        several, "open_session", lambda *given: opened.append(given) or session(*given)
    )
    monkeypatch.setattr(LocalStore, "put", failing)
    state = run(job)
    assert (state.name, len(opened)) == ("Completed", 1)
    assert state.result()["state_sha256"] == whole.state_sha256
    assert (state.result()["rows"], n_trained(job)) == (whole.rows, 6)


def test_refused_version_ends_the_run_as_refused(make_lake, tmp_path):
    job = {
        "lake": str(make_lake()),
        "label": "y",
        "model": str(tmp_path / "model"),
        "holdout": str(make_lake(2, name="holdout")),
        "max_loss_increase": 0.05,
    }
    assert run(job).name == "Completed"
    table = number_table(3000, seed=50)
    wrong = table.set_column(
        table.column_names.index("y"), "y", [[-9.0 * one for one in table["y"].to_pylist()]]
    )
    pq.write_table(wrong, Path(job["lake"]) / "poisoned.parquet")
    state = run(job)
    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert "kept but not published" in state.message
    with pytest.raises(VersionRefused):
        state.result()
    quiet = run(job)
    assert quiet.name == "NothingNew"
    assert "; predictions use version 7" in quiet.message


def test_page_is_written_and_linked_and_cannot_fail_the_run(job, tmp_path):
    from prefect_onepass.train import train as train_flow

    page = tmp_path / "pages" / "model.html"
    page.parent.mkdir()
    outcome = train_flow(job, report=str(page))
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert f"[Report page](<{page.as_uri()}>)" in outcome["report"]

    pq.write_table(number_table(50, seed=9), Path(job["lake"]) / "late.parquet")
    state = train_flow(job, report=str(page.parent), return_state=True)
    assert (state.name, state.message) == ("Completed", "Trained 1 partition: version 9")
    assert "Report page" not in state.result()["report"]


@pytest.mark.parametrize("name", ["Completed", "Failed"])
def test_run_keeps_its_result_when_the_answer_of_the_server_is_lost(job, name, monkeypatch):
    from prefect_onepass.train import train as train_flow

    if name == "Failed":
        job["lake"] = "/no/such/lake"
    real, lost = httpx.Client.send, []

    def losing(self: httpx.Client, request: httpx.Request, **given: Any) -> httpx.Response:
        answer = real(self, request, **given)
        if f'"name":"{name}"' in request.content.decode() and not lost:
            lost.append(answer)
            return httpx.Response(503, request=request, headers={"Retry-After": "0"})
        return answer

    monkeypatch.setattr(httpx.Client, "send", losing)
    if name == "Failed":
        with pytest.raises(JobError, match="does not exist"):
            train_flow(job)
    else:
        assert train_flow(job)["partitions"] == 6
    (answer,) = lost
    assert answer.json()["status"] == "ACCEPT", "the server had the state before it was asked again"


@pytest.mark.parametrize(
    ("error", "code"),
    [(BadPartition("x", path="a"), 3), (OSError(28, "full"), 2), (ZeroDivisionError(), 1)],
)
def test_exit_code_is_that_of_the_error(error, code):
    from prefect_onepass import states

    assert states.exit_code_of(states.failed(error)) == code


def test_exit_code_of_a_run_that_left_the_model_to_another_is_that_of_the_conflict():
    from onepass.errors import ModelBusy
    from prefect_onepass import states

    assert states.exit_code_of(states.another(ModelBusy("7", "/m"), "/m")) == 4
    assert states.exit_code_of(states.another(ModelConflict("x"), "/m")) == 4
