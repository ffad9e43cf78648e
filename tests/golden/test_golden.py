"""Model directories of every format that onepass has ever written are loaded, used and trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lakes import ROOT
from onepass import Model, evaluate, rewind, score, train, verify
from onepass.errors import JobError
from onepass.job_fields import resume_job
from onepass.ledger.entries import SkipEntry
from onepass.model.directory import open_model

GOLDEN = ROOT / "tests" / "golden"
MODELS = sorted(GOLDEN.glob("format-*/models/*"))


@pytest.fixture(params=MODELS, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def golden(request, tmp_path) -> Path:
    """A copy of a golden model; its lake lies beside it in the repository."""
    copy = tmp_path / request.param.name
    shutil.copytree(request.param, copy)
    return copy


@pytest.fixture
def folder(request, golden) -> Path:
    return request.node.callspec.params["golden"].parents[1]


def test_every_format_is_there():
    found = {path.parents[1].name for path in MODELS}
    assert found == {"format-1-first", "format-1-sealed"}
    assert all(sum(path.is_relative_to(GOLDEN / name) for path in MODELS) >= 7 for name in found)


def test_golden_model_predicts_what_it_predicted_then(golden, folder):
    expected = json.loads((folder / "expected.json").read_text())[golden.name]
    found = Model.load(golden).predict(pq.read_table(folder / "unseen.parquet"))
    if found.dtype.kind == "f":
        # Features are single precision, and a faster loop may round the last bit of them elsewhere.
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    else:
        assert found.tolist() == expected


def test_golden_model_reads_tails_as_they_are_and_says_so(golden, folder):
    job = {"model": str(golden), "lake": str(folder / "lake")}
    with pytest.raises(JobError, match="tails: the model has 'keep', this run asks for 'clip'"):
        resume_job(open_model(golden).file.job, job | {"tails": "clip"})
    assert resume_job(open_model(golden).file.job, {"model": str(golden), "tails": "keep"})


def test_golden_model_is_sound(golden, folder):
    report = verify(golden, lake=str(folder / "lake"))
    assert (report.sound, report.exit_code) == (True, 0)
    # One of the four was excluded by the rewind.
    assert report.lake_files == 4 - golden.name.endswith("rewound")
    assert [f.text for f in report.findings if "seal" not in f.text] == []
    assert (len(report.findings) == 1) == (folder.name == "format-1-first")


def test_golden_model_is_scored_and_evaluated(golden, folder, tmp_path):
    assert score(folder / "unseen.parquet", golden, tmp_path / "out").rows == 80
    assert np.isfinite(evaluate(str(folder / "unseen.parquet"), golden).loss)


def test_golden_model_can_be_rewound_and_trained_on(golden, folder, tmp_path):
    version = open_model(golden).ledger.history.learnt()[-2].version
    report = rewind(golden, version)
    assert report.version == open_model(golden).ledger.version
    assert Model.load(golden).version == version
    assert not any(isinstance(e, SkipEntry) for e in open_model(golden).ledger.entries[version:])


def trained_elsewhere(golden: Path, lake: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from onepass.lake.discover import discover
    from onepass.lake.tables.open import OpenLake
    from onepass.training import learn_group

    opened = OpenLake(discover(str(lake)), None)
    monkeypatch.setattr(learn_group, "open_lake", lambda *_: opened)
    return train({"model": str(golden)})


def test_training_goes_on_where_the_golden_model_was(golden, folder, tmp_path, monkeypatch):
    lake = tmp_path / "lake"
    shutil.copytree(folder / "lake", lake)
    before = Model.load(golden).rows
    # Train first what a rewind has left pending, so that it is not counted below.
    trained_elsewhere(golden, lake, monkeypatch)
    known = Model.load(golden).rows
    shutil.copy(folder / "unseen.parquet", lake / "part-9.parquet")
    report = trained_elsewhere(golden, lake, monkeypatch)
    epochs = open_model(golden).file.job.epochs
    assert report.partitions == epochs
    assert Model.load(golden).rows == known + report.rows >= before
    assert verify(golden, lake=str(lake)).sound
