"""Lakes whose rows are sorted within row groups are learnt as if they were shuffled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import small
from onepass import evaluate, refine
from onepass.job_fields import parse_job
from onepass.ledger.store import open_store
from onepass.model.directory import open_model
from onepass.survey.survey import survey
from onepass.training.limits import Limits
from onepass.training.new_models import create_model

LIMITS = Limits(max_batch_rows=1024)


def table(n_rows: int, kind: str, seed: int = 0) -> pa.Table:
    """Rows in the order in which such data is stored."""
    rng = np.random.default_rng(seed)
    x, past = rng.normal(size=(n_rows, 4)), np.arange(n_rows) / n_rows
    z = x @ [1.0, -0.7, 0.4, 0.2]
    match kind:
        case "sorted classes":
            y = (z + rng.logistic(size=n_rows) > 0).astype(np.int64)
        case "sorted counts":
            y = rng.poisson(np.exp(0.5 * z))
        case "waves of positives":
            wave = np.where((7 * past) % 1 < 0.2, 4.0, 0.0)
            y = (z * (1 - 2 * past) + wave + rng.logistic(size=n_rows) > 5).astype(np.int64)
        case "growing counts":
            y = rng.poisson(np.exp(z * (1 - past) / 2 + 4 * past))
    columns = {name: x[:, i] for i, name in enumerate("abcd")}
    found = pa.table(columns | {"past": past, "y": y})
    return found.sort_by("y") if kind.startswith("sorted") else found


def write(folder: Path, parts: list[pa.Table], row_group_size: int = 1 << 20) -> str:
    folder.mkdir()
    for i, part in enumerate(parts):
        pq.write_table(part, folder / f"part-{i}.parquet", row_group_size=row_group_size)
    return str(folder)


KINDS = {
    "sorted classes": {"loss": "logistic"},
    "sorted counts": {"loss": "poisson"},
    "waves of positives": {"loss": "logistic"},
    "growing counts": {"loss": "poisson"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_pass_over_a_row_group_in_stored_order_is_within_half_a_percent(kind, tmp_path):
    lake = write(tmp_path / "lake", [table(16_000, kind)])
    model = str(tmp_path / "model")
    small.train({"lake": lake, "label": "y", "model": model, **KINDS[kind]}, limits=LIMITS)
    once = evaluate(lake, model).loss
    refine({"model": model})
    assert once < 1.005 * evaluate(lake, model).loss


@pytest.fixture
def job(tmp_path) -> dict:
    parts = [table(2000 + 300 * i, "sorted classes", i) for i in range(4)]
    lake = write(tmp_path / "lake", parts)
    return {"lake": lake, "label": "y", "model": str(tmp_path / "model"), "solver": "nag"}


def states(model: str) -> list[str]:
    return [entry.state.sha256 for entry in open_model(model).ledger.history.trained()]


def test_drift_is_frozen_with_the_model(job, tmp_path):
    rows = table(30_000, "sorted classes")
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(len(rows))))
    for name, part, expected in (("drifts", rows, None), ("shuffled", shuffled, 256 << 20)):
        lake, model = write(tmp_path / f"{name}-lake", [part]), str(tmp_path / name)
        small.plan(job | {"lake": lake, "model": model})
        assert open_model(model).file.spread_bytes == expected


def test_run_that_stops_at_each_commit_ends_with_the_same_bytes(job, tmp_path):
    small.train(job | {"epochs": 2})
    steps = job | {"epochs": 2, "model": str(tmp_path / "steps")}
    small.plan(steps)
    for _ in range(8):
        small.train_pending({"model": steps["model"]}, max_seconds=0)
    assert states(steps["model"]) == states(job["model"])


def test_memory_limit_of_a_run_does_not_change_the_model(job, tmp_path, monkeypatch):
    small.plan(job)
    for name in ("little", "none"):
        shutil.copytree(job["model"], tmp_path / name)
    small.train({"model": job["model"]})
    for name, memory in (("little", 30_000), ("none", 0)):
        monkeypatch.setattr("onepass.training.learn_group.whole_bytes", lambda *_, m=memory: m)
        small.train({"model": str(tmp_path / name)})
        assert states(str(tmp_path / name)) == states(job["model"])


def test_same_rows_are_held_out_in_every_epoch_and_in_slices(job, tmp_path):
    held = []
    for name, fields in {"epochs": {"epochs": 2}, "stored": {"order": "stored"}}.items():
        model = str(tmp_path / name)
        small.train(job | {"model": model, "learning_rate": [0.1, 0.2], **fields})
        entries = open_model(model).ledger.history.trained()
        for epoch in {entry.epoch for entry in entries}:
            of = {e.partitions[0].path: e.counts["held_out"] for e in entries if e.epoch == epoch}
            held.append(of)
    assert held[0] == held[1] == held[2]


def created(job: dict, name: str, **frozen: object) -> dict:
    """Create a model whose frozen decisions are those of an earlier release."""
    model = job | {"model": f"{job['model']}-{name}"}
    create_model(parse_job(model), open_store(model["model"]), max_batch_rows=128)
    file = Path(model["model"], "model.json")
    content = json.loads(file.read_text())
    del content["spread_bytes"]
    file.write_text(json.dumps(content | frozen))
    return {"model": model["model"]}


def test_model_of_an_earlier_release_reads_slices_in_turn(job):
    earlier, slices, new = (
        created(job, "earlier"),
        created(job, "slices", spread_bytes=0),
        created(job, "new", spread_bytes=None),
    )
    for one in (earlier, slices, new):
        small.train(one)
    assert states(earlier["model"]) == states(slices["model"]) != states(new["model"])


def test_survey_tells_of_rows_that_are_sorted_within_a_row_group(tmp_path):
    lake = write(tmp_path / "lake", [table(30_000, "sorted classes")])
    (told,) = [text for text in survey(lake, label="y").warnings if "sorted" in text]
    assert "of the label's variance lies between stretches of a file" in told
    assert "the default order, shuffled" in told
