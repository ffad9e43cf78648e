"""The learning curve: losses of stretches of rows against the rows learnt before their end."""

from __future__ import annotations

import json

import pytest

from onepass import train
from onepass.model.directory import open_model
from onepass.report.learning_curve import learning_curve


@pytest.fixture
def history(make_lake, tmp_path):
    train({"lake": str(make_lake()), "label": "y", "model": str(tmp_path / "model"), "epochs": 2})
    return open_model(str(tmp_path / "model")).ledger.history.trained()


def test_each_entry_is_a_point_at_the_rows_learnt_so_far(history):
    points = learning_curve(history)
    assert [point.loss for point in points] == [entry.loss for entry in history]
    assert points[-1].learnt == sum(entry.rows for entry in history)
    assert [one.learnt for one in points] == sorted(one.learnt for one in points)


def test_a_long_history_has_points_of_several_entries(history):
    points = learning_curve(history, 4)
    assert len(points) == 4
    assert points[-1].learnt == sum(entry.rows for entry in history)
    first = history[:3]
    mean = sum(one.loss * one.rows for one in first) / sum(one.rows for one in first)
    assert points[0].loss == pytest.approx(mean)


def test_the_command_draws_it_and_gives_its_points_without_the_lake(make_lake, tmp_path, onepass):
    lake, model = make_lake(), tmp_path / "model"
    onepass("train", lake, "--label", "y", "--model", model)
    lake.rename(tmp_path / "gone")
    code, out, _ = onepass("log", model, "--curve")
    assert code == 0
    assert "*" in out
    assert "2,955" in out
    found = json.loads(onepass("log", model, "--curve", "--json")[1])["curve"]
    assert found[-1]["learnt"] == 2955
    assert {"version", "rows", "loss", "constant_loss"} < set(found[0])
