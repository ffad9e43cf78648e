"""The score flow: states that say what was written, one artifact for it, and files that stay."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema

from lakes import number_table
from onepass import score as score_lake
from onepass.errors import JobError, OutputTaken
from onepass.model.directory import open_model
from prefect_artifacts import artifacts
from prefect_onepass import score as module
from prefect_onepass.background import Background
from small import train

# Prefect and its dependencies warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server", "log_that_caplog_sees"),
]


@pytest.fixture
def given(make_lake, tmp_path) -> dict[str, Any]:
    """Parameters of the flow: a model trained on three files, and an output."""
    lake, model = make_lake(3), str(tmp_path / "deep" / "Clicks")
    train({"lake": str(lake), "label": "y", "model": model, "solver": "sgd"})
    return {"model": model, "out": str(tmp_path / "out")}


def key_of(given: dict[str, Any]) -> str:
    return f"onepass-score-clicks-{open_model(given['model']).file.id[:8]}"


def run(**given: Any) -> Any:
    return module.score(**given, return_state=True)


def test_new_files_are_scored_and_told_and_the_next_run_is_quiet(given, tmp_path):
    version = open_model(given["model"]).ledger.version
    state = run(**given, keep=["a"])
    assert state.is_completed()
    assert state.message == f"Scored 3 files, 1,311 rows: version {version} (current)"
    (artifact,) = artifacts(key_of(given))
    assert artifact.description == state.message
    assert "| written by this run | 3 | 1,311 |" in artifact.data

    quiet = run(**given, keep=["a"])
    assert (quiet.type, quiet.name) == (state.type, "NothingNew")
    assert quiet.message == f"nothing new: 3 files, version {version} (current)"
    assert quiet.result()["unchanged"] == 3

    pq.write_table(number_table(120, seed=8), tmp_path / "lake" / "part-3.parquet")
    state = run(**given, keep=["a"])
    assert state.message.startswith("Scored 1 file, 120 rows: ")
    assert len(artifacts(key_of(given))) == 2, "the quiet run made none"


def test_pinned_version_stays_when_the_model_moves_on(given, tmp_path):
    first = open_model(given["model"]).ledger.version
    run(**given)
    pq.write_table(number_table(300, seed=9), tmp_path / "lake" / "part-9.parquet")
    train({"model": given["model"], "keep_states": 3})
    lake = [str(tmp_path / "lake" / f"part-{i}.parquet") for i in range(3)]
    out = str(tmp_path / "pinned")
    state = run(model=given["model"], out=out, lake=lake, version=str(first))
    assert state.message == f"Scored 3 files, 1,311 rows: version {first}"
    assert run(**given, new_only=True).result()["versions"] == {str(first): 3, str(first + 2): 1}
    written = pq.read_metadata(Path(given["out"]) / "part-9.parquet").metadata
    assert written[b"onepass.asked"] == b"current"


@pytest.mark.parametrize("name", ["model", "out", "lake"])
def test_relative_paths_are_refused_before_there_is_a_run(given, name):
    with pytest.raises(ParameterTypeError, match=f"{name}: .*expected an absolute path"):
        module.score(**given | {name: "out/scores"})
    schema = json.dumps(parameter_schema(module.score).properties[name])
    assert '"pattern": "^(/|(' in schema, "the API refuses it as well"


def test_error_is_logged_once_and_without_a_traceback(given, caplog):
    with caplog.at_level(logging.INFO):
        state = run(**given, lake="/no/such/lake")
    assert state.is_failed()
    assert "the lake '/no/such/lake' does not exist" in state.message
    told = [one for one in caplog.records if "does not exist" in one.getMessage()]
    assert len(told) == 1
    # Threads of Prefect, which other tests have started, may log tracebacks of their own.
    raised = [one.exc_info[1] for one in caplog.records if one.exc_info]
    assert not any(isinstance(one, JobError) for one in raised)
    with pytest.raises(JobError, match="does not exist"):
        module.score(**given, lake="/no/such/lake")


def test_run_that_yields_to_another_one_ends_green(given, monkeypatch):
    def yields(*args: Any, **kwargs: Any) -> None:
        raise OutputTaken("another run has begun to score to 'there' and goes on there")

    monkeypatch.setattr(module, "score_lake", yields)
    state = run(**given)
    assert state.is_completed()
    assert state.name == "AnotherRunIsScoring"
    assert "another run has begun" in state.message


def test_error_of_a_disk_is_retried(given, monkeypatch):
    calls = []

    def fails_once(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        if len(calls) == 1:
            raise OSError(5, "Input/output error", "/disk")
        return score_lake(*args, **kwargs)

    monkeypatch.setattr(module, "score_lake", fails_once)
    eager = module.score_files.with_options(retry_delay_seconds=0)
    monkeypatch.setattr(module, "score_files", eager)
    assert run(**given).result()["partitions"] == 3
    assert len(calls) == 2


def test_server_that_goes_away_costs_the_artifact_alone(given, monkeypatch, caplog):
    def away(*args: Any, **kwargs: Any) -> None:
        raise httpx.ConnectError("no route to the server")

    monkeypatch.setattr(module, "create_markdown_artifact", away)
    monkeypatch.setattr(module, "Background", partial(Background, grace=0.2, pause=0.01))
    state = run(**given)
    assert state.message.startswith("Scored 3 files")
    assert sum("is not shown in Prefect" in one.getMessage() for one in caplog.records) == 1
