"""Stopped after any version, resumed, stopped and resumed again: the same bytes, whatever the job.

Each job of the table is trained once without a stop. At each of its versions the model is copied,
trained by one more group, and then to its end, each time by a learner read from its state file. The
table has each solver with some settings on the local disk, and two of them in an object store;
``REPEAT=2`` and more takes all settings of all solvers in both places.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass.encode.scalar_kinds import Hashed
from onepass.lake.limits import ReadLimits
from onepass.ledger.entries import TrainEntry
from onepass.model.directory import open_model
from onepass.training.limits import Limits
from places import Place, trained_paths
from processes import run
from recording import Recorder
from small import plan, train, train_pending

REPEAT = int(os.environ.get("REPEAT", "1"))
N_FILES = 4

SOLVERS: dict[str, dict[str, Any]] = {
    "newton": {"solver": "newton"},
    "newton-hashed": {"solver": "newton", "categorical": ["shop"]},
    "newton-classes": {"solver": "newton", "loss": "logistic", "l2": [0.0, 0.1]},
    "newton-shapes": {
        "solver": "newton",
        "cross": ["shop*level*c", "level*a", "a*b"],
        "spline": ["b:5"],
        "bins": ["c:4"],
    },
    "newton-fading": {"solver": "newton", "half_life": "3 partitions"},
    "newton-l1": {"solver": "newton", "l1": 1e-3, "l2": 1e-3, "loss": "logistic"},
    "sgd": {"solver": "sgd"},
    "sgd-hinge-hashed": {"solver": "sgd", "loss": "hinge", "categorical": ["shop"]},
    "sgd-candidates": {"solver": "sgd", "learning_rate": [0.001, 0.1]},
    "adagrad": {"solver": "adagrad", "schedule": "linear", "averaging": "polynomial"},
    "nag": {"solver": "nag"},
    "nag-hashed": {"solver": "nag", "categorical": ["shop"]},
    "adam": {"solver": "adam", "minibatch": 8},
    "ftrl": {"solver": "ftrl", "l1": 1e-4, "loss": "logistic"},
    "dog": {"solver": "dog"},
}
SETTINGS = [
    {"order": order, "interleave": interleave, "epochs": epochs}
    for order, interleave, epochs in product(["stored", "shuffled"], [1, 2], [1, 2])
]


IN_A_STORE = {"newton-classes", "nag-hashed"}

NEWTON = {"solver": "newton", "loss": "logistic"}
SGD = {"solver": "sgd"}
NAG = {"solver": "nag", "categorical": ["shop"], "epochs": 2, "interleave": 2}


def cases() -> list[Any]:
    """Return places with jobs: one setting for each solver, another for the next."""
    found = []
    for where, (turn, name) in product(["local", "s3"], enumerate(SOLVERS)):
        n = len(SETTINGS)
        for setting in SETTINGS if REPEAT > 1 else [SETTINGS[(3 * turn + 1) % n]]:
            if where == "local" or REPEAT > 1 or name in IN_A_STORE:
                text = "-".join([where, name, *map(str, setting.values())])
                found.append(pytest.param(where, {**SOLVERS[name], **setting}, id=text))
    return found


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    for i in range(N_FILES):
        table = number_table(300 + 37 * i, seed=i)
        shops = np.random.default_rng(i).integers(0, 90, len(table))
        table = table.append_column("shop", pa.array([f"shop {shop}" for shop in shops]))
        table = table.append_column("sign", pa.array(np.asarray(table["y"]) > 1))
        pq.write_table(table, folder / f"part-{i}.parquet", row_group_size=150)
    return folder


def make_job(place: Place, lake: Path, fields: dict[str, Any], name: str = "model") -> dict:
    label, other = ("sign", "y") if "loss" in fields else ("y", "sign")
    left_out = [other] if "categorical" in fields else [other, "shop"]
    return place.job(lake, name, **{"label": label, "exclude": left_out, **fields})


def trained(model: str) -> list[TrainEntry]:
    return open_model(model).ledger.history.trained()


@pytest.mark.parametrize(("place", "fields"), cases(), indirect=["place"])
def test_resumed_twice_from_every_version_it_ends_in_the_same_bytes(place, lake, fields):
    job = make_job(place, lake, fields)
    recorder = Recorder(job["model"])
    expected = train(job, progress=recorder)
    whole = trained(job["model"])
    assert len(whole) == N_FILES // job["interleave"] * job["epochs"] == len(recorder.copies)
    columns = open_model(job["model"]).file.encoder.columns
    assert any(isinstance(column, Hashed) for column in columns) == ("categorical" in fields)
    for n_done, copy in enumerate(recorder.copies.values(), start=1):
        model = {"model": copy}
        one = train_pending(model, max_seconds=0)
        assert one.partitions == (job["interleave"] if n_done < len(whole) else 0)
        train(model)
        resumed = trained(copy)
        assert [e.state.sha256 for e in resumed] == [e.state.sha256 for e in whole]
        assert [(e.partitions, e.epoch) for e in resumed] == [
            (e.partitions, e.epoch) for e in whole
        ]
        assert [(e.rows, e.loss, e.candidates) for e in resumed] == [
            (e.rows, e.loss, e.candidates) for e in whole
        ]
        assert train(model).state_sha256 == expected.state_sha256


@pytest.mark.parametrize(
    ("place", "fields"),
    [("local", NEWTON), ("s3", NAG)],
    indirect=["place"],
    ids=["local-newton", "s3-nag"],
)
def test_resumed_in_a_fresh_process_from_every_version_it_ends_in_the_same_bytes(
    place, lake, fields
):
    job = make_job(place, lake, fields)
    recorder = Recorder(job["model"])
    expected = train(job, progress=recorder)
    copies = recorder.copies.values()
    outcomes = run(*({"do": "train_or_die", "job": {"model": copy}} for copy in copies))
    assert [outcome.err for outcome in outcomes] == [""] * 4
    assert [outcome.code for outcome in outcomes] == [0] * 4
    assert {outcome.value["state_sha256"] for outcome in outcomes} == {expected.state_sha256}
    left = [outcome.value["partitions"] // fields.get("interleave", 1) for outcome in outcomes]
    assert left == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("place", "fields"),
    [("local", NEWTON), ("s3", SGD)],
    indirect=["place"],
    ids=["local-newton", "s3-sgd"],
)
def test_resumed_after_each_partition_it_ends_in_the_same_bytes(place, lake, fields):
    job = make_job(place, lake, fields)
    again = make_job(place, lake, fields, "again")
    expected = train(job)
    assert plan(again).partitions == N_FILES
    model = {"model": again["model"]}
    left = [train_pending(model, max_seconds=0).pending for _ in range(N_FILES)]
    assert left == [3, 2, 1, 0]
    idle = train_pending(model, max_seconds=0)
    assert (idle.partitions, idle.state_sha256) == (0, expected.state_sha256)
    assert [e.partitions for e in trained(again["model"])] == [
        e.partitions for e in trained(job["model"])
    ]


def test_row_group_ranges_of_large_files_resume_too(place, lake):
    job = make_job(place, lake, {})
    recorder = Recorder(job["model"])
    limits = Limits(max_batch_rows=128, read=ReadLimits(split_bytes=1))
    expected = train(job, progress=recorder, limits=limits)
    assert expected.partitions == 11
    assert set(Counter(trained_paths(job["model"])).values()) == {2, 3}
    for copy in list(recorder.copies.values())[::4]:
        assert train({"model": copy}, limits=limits).state_sha256 == expected.state_sha256
