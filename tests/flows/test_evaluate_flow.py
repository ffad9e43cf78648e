"""The evaluate flow: results are recorded, shown by version, and held against bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass import evaluate as evaluate_lake
from onepass.errors import LossTooHigh
from onepass.model.directory import open_model
from onepass.model.evaluations import recorded
from prefect_artifacts import artifacts
from prefect_onepass import evaluate as module
from small import train

# Prefect and its dependencies warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]


@pytest.fixture
def model(make_lake, tmp_path) -> str:
    """A model with a holdout lake, which training does not evaluate."""
    holdout = make_lake(2, name="holdout")
    job = {"lake": str(make_lake(3)), "label": "y", "model": str(tmp_path / "Clicks")}
    train(job | {"holdout": str(holdout), "solver": "sgd"})
    return str(tmp_path / "Clicks")


def table_of(model: str) -> list[list[dict[str, Any]]]:
    key = f"onepass-evaluation-clicks-{open_model(model).file.id[:8]}"
    return [json.loads(one.data) for one in artifacts(key)]


def run(model: str, **given: Any) -> Any:
    return module.evaluate(model, **given, return_state=True)


def test_evaluation_is_recorded_and_shown_instead_of_made_again(model, tmp_path):
    version = open_model(model).ledger.version
    state, alone = run(model), evaluate_lake(str(tmp_path / "holdout"), model)
    assert state.name == "Completed"
    assert state.result()["loss"] == alone.loss
    assert state.message == (
        f"version {version}: loss {alone.loss:.6g} on 837 rows, best constant "
        f"{alone.metrics['constant_loss']:.6g}"
    )
    again = run(model)
    assert (again.name, again.result()["loss"]) == ("NothingNew", alone.loss)
    assert again.message == f"evaluated before: {state.message}"
    assert len(recorded(open_model(model).store)) == len(table_of(model)) == 1
    assert run(model, again=True).name == "Completed"
    assert len(recorded(open_model(model).store)) == 2


def test_table_shows_the_versions_on_the_same_lake(model, tmp_path):
    first = run(model).result()
    run(model, lake=str(tmp_path / "lake"))
    pq.write_table(number_table(500, seed=8), tmp_path / "lake" / "part-8.parquet")
    train({"model": model})
    second = run(model).result()
    table = table_of(model)[-1]
    assert [line["version"] for line in table] == [second["version"], first["version"]]
    assert [line["loss"] for line in table] == [f"{one['loss']:.6g}" for one in (second, first)]
    assert run(model, version=str(first["version"])).name == "NothingNew"


def test_loss_above_a_bound_fails_the_run_and_is_recorded_all_the_same(model):
    loss = run(model, max_loss=1e9, max_loss_of_constant=1.0).result()["loss"]
    state = run(model, max_loss=loss / 2)
    assert (state.is_failed(), state.name) == (True, "LossTooHigh")
    assert f"above the {loss / 2:.6g} of max_loss" in state.message
    state = run(model, max_loss_of_constant=0.01)
    assert "of max_loss_of_constant (0.01)" in state.message
    with pytest.raises(LossTooHigh):
        module.evaluate(model, max_loss=0.0)
    assert len(recorded(open_model(model).store)) == 1


def test_model_without_a_holdout_asks_for_a_lake(make_lake, tmp_path):
    model = str(tmp_path / "model")
    train({"lake": str(make_lake(2)), "label": "y", "model": model, "solver": "sgd"})
    state = run(model)
    assert state.is_failed()
    assert "has no holdout lake of its own; expected 'lake'" in state.message
    assert not Path(model, "evaluations").exists()
