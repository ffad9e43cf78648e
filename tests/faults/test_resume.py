"""Stopped after any version, resumed, stopped and resumed again: the same bytes, whatever the job.

Each job of the table is trained once without a stop. At each of its versions the model directory is
copied, trained by one more group, and then to its end, each time by a learner read from disk. The
table has each solver with some settings; ``REPEAT=2`` and more takes all settings of all solvers.
"""

from __future__ import annotations

import os
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass.encode.schema import Hashed
from onepass.ledger.ledger import Ledger
from onepass.model.directory import open_model
from onepass.training.progress import Progress
from processes import run
from small import train, train_pending

REPEAT = int(os.environ.get("REPEAT", "1"))
N_FILES = 4

SOLVERS: dict[str, dict[str, Any]] = {
    "newton": {"solver": "newton"},
    "newton-hashed": {"solver": "newton", "categorical": ["shop"]},
    "newton-classes": {"solver": "newton", "loss": "logistic", "l2": [0.0, 0.1]},
    "newton-fading": {"solver": "newton", "half_life": "3 partitions"},
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


def jobs() -> list[Any]:
    """All pairs; without REPEAT one setting for each solver, another for the next."""
    found = []
    for place, (name, solver) in enumerate(SOLVERS.items()):
        n = len(SETTINGS)
        for setting in SETTINGS if REPEAT > 1 else [SETTINGS[(3 * place + 1) % n]]:
            text = "-".join(str(value) for value in setting.values())
            found.append(pytest.param({**solver, **setting}, id=f"{name}-{text}"))
    return found


class Copies(Progress):
    """Copies the model directory after each commit."""

    def __init__(self, model: str) -> None:
        self.model, self.paths = Path(model), []

    def committed(self, entry: Any, total: Any) -> None:
        self.paths.append(self.model.with_name(f"at-{entry.version}"))
        shutil.copytree(self.model, self.paths[-1])


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


def make_job(lake: Path, fields: dict[str, Any]) -> dict[str, Any]:
    label, other = ("sign", "y") if "loss" in fields else ("y", "sign")
    left_out = [other] if "categorical" in fields else [other, "shop"]
    return {
        "lake": str(lake),
        "label": label,
        "exclude": left_out,
        "model": str(lake.with_name("model")),
        **fields,
    }


def ledger(model: str | Path) -> Ledger:
    return open_model(str(model)).ledger


@pytest.mark.parametrize("fields", jobs())
def test_resumed_twice_from_every_version_it_ends_in_the_same_bytes(lake, fields):
    job = make_job(lake, fields)
    copies = Copies(job["model"])
    expected = train(job, progress=copies)
    whole = ledger(job["model"]).history.trained()
    assert len(whole) == N_FILES // job["interleave"] * job["epochs"] == len(copies.paths)
    columns = open_model(job["model"]).file.encoder.columns
    assert any(isinstance(column, Hashed) for column in columns) == ("categorical" in fields)
    for n_done, path in enumerate(copies.paths, start=1):
        model = {"model": str(path)}
        one = train_pending(model, max_seconds=0)
        assert one.partitions == (job["interleave"] if n_done < len(whole) else 0)
        train(model)
        resumed = ledger(path).history.trained()
        assert [e.state.sha256 for e in resumed] == [e.state.sha256 for e in whole]
        assert [(e.partitions, e.epoch) for e in resumed] == [
            (e.partitions, e.epoch) for e in whole
        ]
        assert [(e.rows, e.loss, e.candidates) for e in resumed] == [
            (e.rows, e.loss, e.candidates) for e in whole
        ]
        assert train(model).state_sha256 == expected.state_sha256


def test_resumed_from_every_version_in_fresh_processes_it_ends_in_the_same_bytes(lake):
    job = make_job(lake, {"solver": "nag", "categorical": ["shop"], "epochs": 2, "interleave": 2})
    copies = Copies(job["model"])
    expected = train(job, progress=copies)
    outcomes = run(*({"do": "train_or_die", "job": {"model": str(p)}} for p in copies.paths))
    assert [outcome.code for outcome in outcomes] == [0] * len(copies.paths)
    assert {outcome.value["state_sha256"] for outcome in outcomes} == {expected.state_sha256}
