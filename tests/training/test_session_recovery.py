"""A step of a session that failed is repeated from the last commit, in the same session."""

from __future__ import annotations

from typing import Any

import pytest

from onepass.encode.encoder import Encoder
from onepass.errors import StoreUnavailable
from onepass.ledger.store import LocalStore
from onepass.training.session import Session, open_session
from small import SMALL, train


@pytest.fixture(params=["newton", "adam"])
def job(request, make_lake, tmp_path) -> dict[str, Any]:
    """A job over six files, learnt in several blocks each."""
    model = str(tmp_path / "model")
    return {"lake": str(make_lake()), "label": "y", "model": model, "solver": request.param}


def finished(session: Session, error: type[BaseException], least: int = 1) -> int:
    """Train to the end; return how many steps failed with the error."""
    n_failed = 0
    while True:
        try:
            session.train_pending(session.plan())
        except error:
            n_failed += 1
        else:
            assert n_failed >= least
            return n_failed


def fail_at(monkeypatch, owner: Any, name: str, calls: set[int], error: Exception, *, after: bool):
    """Fail some calls of a method, counted from 1, before or after they have done their work."""
    real, count = getattr(owner, name), 0

    def failing(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count in calls and not after:
            raise error
        result = real(*args, **kwargs)
        if count in calls:
            raise error
        return result

    monkeypatch.setattr(owner, name, failing)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), StoreUnavailable("no answer")])
@pytest.mark.parametrize("method", ["put", "create"])
@pytest.mark.parametrize("after", [False, True], ids=["undone", "done-but-unanswered"])
def test_failed_commits_are_repeated_to_the_same_bytes(
    job, tmp_path, monkeypatch, error, method, after
):
    expected = train(job | {"model": str(tmp_path / "whole")})
    with open_session(job, limits=SMALL) as session:
        fail_at(monkeypatch, LocalStore, method, {2, 3, 5}, error, after=after)
        finished(session, type(error), least=2)
        report = session.report()
    assert report.state_sha256 == expected.state_sha256
    assert (report.partitions, report.rows) == (6, expected.rows)


def test_failed_read_is_repeated_to_the_same_bytes(job, tmp_path, monkeypatch):
    expected = train(job | {"model": str(tmp_path / "whole")})
    error = StoreUnavailable("no answer")
    with open_session(job, limits=SMALL) as session:
        session.plan()
        fail_at(monkeypatch, Encoder, "draft", {3, 9, 16}, error, after=True)
        finished(session, StoreUnavailable, least=2)
        report = session.report()
    assert report.state_sha256 == expected.state_sha256
