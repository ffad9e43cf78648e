"""Committer: each commit is reported once, also if the run is interrupted."""

from __future__ import annotations

import _thread
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from onepass.training.committer import Committer


class SlowLedger:
    """Commits once it is released; a state that is an error fails."""

    def __init__(self):
        self.released = threading.Event()

    def commit_train(self, state, trained):
        assert self.released.wait(30)
        if isinstance(state, Exception):
            raise state
        return SimpleNamespace(version=trained["version"])


@pytest.fixture
def told():
    return []


@pytest.fixture
def ledger():
    return SlowLedger()


@pytest.fixture
def committer(ledger, told):
    return Committer(ledger, lambda entry, metrics: told.append((entry.version, metrics)))


def test_commits_are_told_of_in_order_with_their_metrics(committer, ledger, told):
    ledger.released.set()
    with committer:
        for version in (1, 2, 3):
            committer.submit(b"", {"version": version}, f"metrics {version}")
    assert told == [(1, "metrics 1"), (2, "metrics 2"), (3, "metrics 3")]


def test_commit_that_is_waited_for_when_an_interrupt_comes_is_told_of(
    committer, ledger, told, interruptible
):
    threading.Timer(0.2, _thread.interrupt_main).start()
    threading.Timer(1.0, ledger.released.set).start()

    def interrupted():
        with committer:
            committer.submit(b"", {"version": 1}, "metrics")
            committer.wait()

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert told == [(1, "metrics")]


def test_commit_that_was_just_handed_over_when_an_interrupt_comes_is_told_of(
    committer, ledger, told, monkeypatch
):
    """The signal may come between the call and the name for what it gives back."""
    submit = ThreadPoolExecutor.submit

    def interrupted_behind(*arguments):
        submit(*arguments)
        raise KeyboardInterrupt

    def interrupted():
        with committer:
            monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted_behind)
            committer.submit(b"", {"version": 1}, "metrics")

    threading.Timer(0.2, ledger.released.set).start()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert told == [(1, "metrics")]


def test_commit_that_fails_is_raised_once_and_not_told_of(committer, ledger, told):
    ledger.released.set()
    with committer:
        committer.submit(OSError("full"), {"version": 1}, "metrics")
        with pytest.raises(OSError, match="full"):
            committer.wait()
        committer.wait()
    assert told == []
