"""Sessions of one label or of several pause, fail and go on together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import small
from onepass.errors import BadPartition
from onepass.stream import blocks, stream
from onepass.training.progress import Progress
from onepass.training.several import open_sessions, open_several
from several import LABELS, fill_disk, history, rows, train, write_lake


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    lake = write_lake(tmp_path / "lake", 4)
    return {"lake": str(lake), "label": LABELS, "model": str(tmp_path / "models"), "parallel": 1}


def versions(given: dict[str, Any]) -> list[int]:
    return [len(history(Path(given["model"]) / label)) for label in LABELS]


def test_time_is_over_for_all_models_after_the_same_group(given, tmp_path):
    with open_several(given, Progress(), limits=small.SMALL) as sessions:
        sessions.plan()
        for version in (2, 3, 4, 5):
            assert len(sessions.pending()) == 3
            sessions.train_pending(max_seconds=0)
            assert versions(given) == [version] * 3
        assert sessions.pending() == []
    whole = given | {"model": str(tmp_path / "whole")}
    train(whole)
    for label in LABELS:
        assert history(Path(given["model"]) / label) == history(tmp_path / "whole" / label)


def test_models_that_are_read_apart_pause_as_well(given):
    train(given)
    folder = Path(given["model"]) / "churned"
    file = (folder / "model.json").read_text()
    shutil.rmtree(folder)
    folder.mkdir()
    # A model that was created with other blocks.
    (folder / "model.json").write_text(file.replace('"batch_rows": 128', '"batch_rows": 64'))
    for i in (7, 8):
        pq.write_table(rows(400, i), Path(given["lake"]) / f"part-{i:02}.parquet")
    with open_several({"model": given["model"]}, Progress(), limits=small.SMALL) as sessions:
        sessions.plan()
        n_steps = 0
        while sessions.pending():
            sessions.train_pending(max_seconds=0)
            n_steps += 1
    # Two groups of two models together, and then the six of the third.
    assert n_steps == 8
    assert versions(given) == [8, 7, 8]


@pytest.mark.parametrize("label", LABELS)
def test_step_that_fails_is_repeated_from_the_last_commits_of_all_models(
    given, tmp_path, monkeypatch, label
):
    fill_disk(monkeypatch, label)
    n_failed = 0
    with open_several(given, Progress(), limits=small.SMALL) as sessions:
        sessions.plan()
        while sessions.pending():
            try:
                sessions.train_pending()
            except OSError:
                n_failed += 1
        assert not sessions.failures
    assert n_failed == 2
    monkeypatch.undo()
    whole = given | {"model": str(tmp_path / "whole")}
    train(whole)
    for one in LABELS:
        assert history(Path(given["model"]) / one) == history(tmp_path / "whole" / one)


def test_job_of_one_label_has_one_session_and_its_error_is_kept(given, monkeypatch):
    given |= {"label": ["paid"], "exclude": LABELS[1:]}
    with open_sessions(given, Progress()) as sessions:
        assert (sessions.root, sessions.labels) == (given["model"], ["paid"])
        sessions.plan()
        monkeypatch.setattr(stream, "make_block", _broken)
        sessions.train_pending()
        assert [type(error) for error in sessions.failed().values()] == [BadPartition]
        assert sessions.pending() == []
        monkeypatch.setattr(stream, "make_block", blocks.make_block)
    with open_sessions({"model": given["model"]}, Progress()) as sessions:
        sessions.train()
        assert sessions.failed() == {}
        assert sessions.sessions[0].report().partitions == 4


def _broken(task: blocks.BlockTask, reading: Any) -> Any:
    raise BadPartition("expected a page, found none", path="part-00.parquet")
