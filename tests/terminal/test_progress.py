"""The progress of a run on a terminal."""

from __future__ import annotations

import sys

from onepass.terminal.progress import Display


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
