"""The progress of a run on a terminal."""

from __future__ import annotations

import sys

from onepass import Job, train
from onepass.terminal.progress import Display
from onepass.training.progress import Together
from onepass.training.session import open_session
from recording import Recorder


def test_bar_of_the_look_at_labels_goes_when_it_is_done(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Display("trained") as display:
        display.looked(20, 50)
        (bar,) = display._bar.tasks
        assert (bar.completed, bar.total, "labels" in bar.description) == (20, 50, True)
        display.looked(30, 50)
        assert display._bar.tasks == []
        display.started(1, 50)
        (bar,) = display._bar.tasks
        assert bar.description == "trained"


def test_lines_count_partitions_where_groups_have_several(make_lake, tmp_path, capsys):
    job = Job(lake=str(make_lake()), label="y", model=str(tmp_path / "model"), interleave=4)
    with Display("trained") as display:
        train(job, progress=display)
    assert "trained 6/6 partitions" in capsys.readouterr().err.splitlines()[-1]


def test_compilation_is_told(capsys):
    with Display("trained") as display:
        display.compiling()
    assert capsys.readouterr().err.startswith("compiling loops for this processor, once")


def test_steps_are_passed_on_to_all_receivers(make_lake, tmp_path):
    one, other, late = Recorder(), Recorder(), Recorder()
    steps = Together(one, other)
    with open_session(
        Job(lake=str(make_lake()), label="y", model=str(tmp_path / "model")), steps
    ) as session:
        session.plan()
        session.train_pending(max_seconds=0)
        steps.add(late)
        session.train_pending()
    assert len(one.entries) == 6
    assert one.entries == other.entries
    assert late.entries == one.entries[1:]
