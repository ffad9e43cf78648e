"""The train and score flows: same result as the library, resumed from the model directory alone."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lakes import SAMPLES, number_table
from onepass import Job, train
from onepass.errors import BadPartition
from onepass.model.directory import open_model

# Prefect and its dependencies warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]


def artifacts(key: str) -> list[object]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    async def read() -> list[object]:
        async with get_client() as client:
            wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
            return await client.read_artifacts(artifact_filter=wanted)

    return asyncio.run(read())


def test_flow_trains_the_sample_lake_and_publishes_what_it_learnt(tmp_path):
    from prefect_onepass.train import train as train_flow

    job = Job(
        lake=str(SAMPLES / "deliveries"),
        label="minutes",
        exclude=["late"],
        model=str(tmp_path / "deliveries"),
        holdout=str(SAMPLES / "deliveries_holdout"),
    )
    outcome = train_flow(job)
    alone = train(job.model_copy(update={"model": str(tmp_path / "alone")}))
    assert outcome["rows"] == alone.rows == 70_797
    assert outcome["state_sha256"] == alone.state_sha256
    assert outcome["holdout"]["loss"] < 0.4 * outcome["holdout"]["metrics"]["constant_loss"]

    id_ = open_model(job.model).file.id[:8]
    (report,) = artifacts(f"onepass-report-deliveries-{id_}")
    assert "70,797 rows" in report.data
    assert f"{outcome['holdout']['loss']:.6g}" in report.data
    assert report.description.startswith(f"version {outcome['version']}: loss ")
    (table,) = artifacts(f"onepass-groups-deliveries-{id_}")
    rows = [int(line["rows"].replace(",", "")) for line in json.loads(table.data)]
    assert sum(rows) == 70_797
    (progress,) = artifacts(f"onepass-progress-deliveries-{id_}")
    assert progress.data == 100.0


def test_flow_cut_into_groups_ends_in_the_same_bytes(make_lake, tmp_path):
    from prefect_onepass.train import train as train_flow

    fields = {"lake": str(make_lake()), "label": "y"}
    outcome = train_flow(Job(**fields, model=str(tmp_path / "groups"), group_seconds=1e-6))
    assert len(outcome["groups"]) == 6
    assert outcome["state_sha256"] == train({**fields, "model": tmp_path / "whole"}).state_sha256


def test_flow_goes_on_after_a_failure_and_trains_nothing_twice(make_lake, tmp_path):
    from prefect_onepass.train import train as train_flow

    lake = make_lake()
    whole = train({"lake": str(lake), "label": "y", "model": tmp_path / "whole"})
    job = Job(lake=str(lake), label="y", model=str(tmp_path / "model"), group_seconds=1e-6)
    last = open_model(tmp_path / "whole").ledger.history.trained()[-1].partitions[0].path
    # Planned with a sound file, the run then meets it damaged in its data pages.
    from onepass import plan

    plan(job)
    sound = (lake / last).read_bytes()
    (lake / last).write_bytes(sound[:8] + b"\xff" * 64 + sound[72:])
    state = train_flow(job, return_state=True)
    assert state.is_failed()
    with pytest.raises(BadPartition, match=last):
        state.result()
    assert len(open_model(job.model).ledger.history.trained()) == 5

    (lake / last).write_bytes(sound)
    outcome = train_flow(job)
    assert outcome["partitions"] == 1
    assert outcome["state_sha256"] == whole.state_sha256


def test_flow_trains_only_what_is_new_and_makes_good_a_lost_state(make_lake, tmp_path):
    from prefect_onepass.train import train as train_flow

    lake = make_lake()
    job = Job(lake=str(lake), label="y", model=str(tmp_path / "model"))
    train(job)
    nothing = train_flow(job)
    assert (nothing["partitions"], nothing["groups"]) == (0, [])
    newest = open_model(job.model).ledger.history.learnt()[-1]
    os.unlink(tmp_path / "model" / newest.state.key)
    assert train_flow(job)["partitions"] == 0
    assert open_model(job.model).ledger.read_state(newest)
    pq.write_table(number_table(50, seed=99), lake / "late.parquet")
    outcome = train_flow(job)
    assert (outcome["partitions"], outcome["rows"]) == (1, 50)


def test_bad_parameters_are_refused_before_anything_runs(tmp_path):
    from prefect.exceptions import ParameterTypeError

    from prefect_onepass.train import train as train_flow

    with pytest.raises(ParameterTypeError, match="l2"):
        train_flow({"lake": "/x", "label": "y", "model": str(tmp_path / "m"), "l2": -1})
    assert not (tmp_path / "m").exists()


def test_score_flow_writes_a_prediction_per_row(make_lake, tmp_path):
    from prefect_onepass.score import score as score_flow

    lake, model = make_lake(), str(tmp_path / "model")
    train({"lake": str(lake), "label": "y", "model": model})
    outcome = score_flow(model, str(tmp_path / "out"), lake=str(lake), keep=["a"])
    assert (outcome["partitions"], outcome["unchanged"]) == (6, 0)
    for path in sorted(Path(lake).iterdir()):
        scored = pq.read_table(tmp_path / "out" / path.name)
        assert scored["a"] == pq.read_table(path)["a"]
        assert scored["prediction"].null_count == 0
    shutil.rmtree(lake)
