"""Hooks: what a run that ended early says about what is kept, and that they never raise."""

from __future__ import annotations

import logging
import threading
from uuid import uuid4

import pytest

from onepass import Job, train
from onepass.actions.train import plan, train_pending

pytestmark = pytest.mark.filterwarnings("default")


class Heard(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def call():
    """Call a hook as the runner does, by keyword, and return the lines of the run's log."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.logging import get_logger
    from prefect.states import Failed

    from prefect_onepass.train import train as flow

    heard, logger = Heard(), get_logger("prefect.flow_runs")
    logger.addHandler(heard)

    def hear(hook, parameters, deployment_id=None, name="Failed"):
        heard.lines.clear()
        run = FlowRun(flow_id=uuid4(), parameters=parameters, deployment_id=deployment_id)
        # No server is needed, nor a run context: a runner has neither.
        assert hook(flow=flow, flow_run=run, state=Failed(name=name)) is None
        return heard.lines.copy()

    yield hear
    logger.removeHandler(heard)


def test_a_run_that_ends_early_says_what_is_kept_and_how_to_go_on(call, make_lake, tmp_path):
    from prefect_onepass.hooks import on_failure

    job = Job(lake=str(make_lake(4, 400)), label="y", model=str(tmp_path / "model"), parallel=1)
    plan(job)
    train_pending(job, max_seconds=0)
    (line,) = call(on_failure, {"job": {"model": job.model}}, uuid4())
    assert "This run failed" in line
    assert "version 2 of " in line
    assert "1 partition and 4" in line
    assert "3 partitions of the plan" in line
    assert "The next run of this deployment goes on from there" in line
    assert line.endswith(f"onepass train --model {job.model}")


def test_what_is_kept_of_many_labels_is_told_of_the_first(tmp_path):
    from onepass.model.labels import label_models
    from prefect_onepass import hooks

    several = label_models([f"y{i}" for i in range(20)])
    (tmp_path / "labels.json").write_text(several.model_dump_json())
    told = hooks.kept(str(tmp_path)).text
    assert told.startswith("y0: no model was created yet")
    assert told.count("no model was created yet") == 8
    assert told.endswith(". and 12 more")


def test_every_hook_tells_in_one_line_of_the_complete_model(
    call, make_lake, tmp_path, prefect_server
):
    from prefect_onepass import hooks

    job = Job(lake=str(make_lake(2)), label="y", model=str(tmp_path / "model"))
    train(job)
    for hook, word in [
        (hooks.on_failure, "failed"),
        (hooks.on_crashed, "crashed"),
        (hooks.on_cancellation, "was cancelled"),
    ]:
        (line,) = call(hook, {"job": job, "credentials": None})
        assert f"This run {word}." in line
        assert "2 partitions and 837 rows; nothing of the plan is left" in line


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"job": None},
        {"job": {"model": 3}},
        {"job": {"model": "/nowhere/model"}},
        {"job": {"model": "ftp://x"}},
        {"job": {"model": "/tmp", "lake": 1}, "credentials": "secret/none"},
    ],
    ids=str,
)
def test_hooks_never_raise(call, parameters, monkeypatch):
    from prefect_onepass import hooks

    # The server is away as well.
    monkeypatch.setattr(hooks, "remove_progress", lambda **_: 1 / 0)
    for hook in (hooks.on_failure, hooks.on_crashed, hooks.on_cancellation):
        assert len(call(hook, parameters)) <= 1


def test_a_refused_version_has_said_already_what_is_kept(call, tmp_path):
    from prefect_onepass.hooks import on_failure

    assert call(on_failure, {"job": {"model": str(tmp_path)}}, name="Refused") == []


def test_a_model_that_does_not_exist_yet_is_said_to_be_none(call, tmp_path):
    from prefect_onepass.hooks import on_crashed

    (line,) = call(on_crashed, {"job": {"model": str(tmp_path / "none")}})
    assert line.endswith("/none: no model was created yet. The next run begins anew")


def test_only_a_command_that_can_go_on_is_named(call, make_lake, tmp_path):
    from onepass.model.labels import label_models
    from prefect_onepass.hooks import on_failure

    several = label_models(["paid", "sold"])
    (tmp_path / "labels.json").write_text(several.model_dump_json())
    (line,) = call(on_failure, {"job": {"model": str(tmp_path)}})
    assert line.endswith("sold: no model was created yet. The next run begins anew")
    lake = str(make_lake(1, 400))
    for label, end in (
        ("paid", "sold: no model was created yet. The next run goes on from there"),
        ("sold", f"The next run goes on from there, as does: onepass train --model {tmp_path}"),
    ):
        plan(Job(lake=lake, label="y", model=str(tmp_path / label)))
        (line,) = call(on_failure, {"job": {"model": str(tmp_path)}})
        assert line.endswith(end)


def test_a_disk_that_hangs_does_not_hold_up_the_worker(call, monkeypatch):
    from prefect_onepass import hooks

    release = threading.Event()
    monkeypatch.setattr(hooks, "kept", lambda *_: release.wait(60))
    monkeypatch.setattr(hooks, "_MOST_SECONDS", 0.05)
    (line,) = call(hooks.on_failure, {"job": {"model": "/mnt/hangs"}})
    release.set()
    assert "could not be read in" in line


def test_the_train_flow_has_the_hooks():
    from prefect_onepass import hooks
    from prefect_onepass.train import train as flow

    assert flow.on_failure_hooks == [hooks.on_failure]
    assert flow.on_crashed_hooks == [hooks.on_crashed]
    assert flow.on_cancellation_hooks == [hooks.on_cancellation]
