"""The ring of a run moves, ends at 100, and never outlives a run that has failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from onepass import Job
from onepass.ledger.entries import TrainEntry
from onepass.model.directory import open_model
from onepass.training.progress import Together
from onepass.training.session import open_session

# Prefect and its dependencies warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]


def rings(job: Job) -> list[Any]:
    """Return the artifacts of a model's ring."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    from prefect_onepass.artifacts import artifact_key

    key = artifact_key("progress", job.model, open_model(job.model).file.id)
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=wanted)


def run(job: Job, fails_after: int | None = None, *, is_killed: bool = False) -> list[Any]:
    """Train in a flow; return the rings that were there before its end."""
    from prefect import flow

    from prefect_onepass.background import Background
    from prefect_onepass.live_progress import LiveProgress

    class Clock:
        now = 0.0

        def __call__(self) -> float:
            self.now += 60.0
            return self.now

    seen: list[Any] = []

    @flow
    def trains() -> None:
        steps = Together()
        with Background(grace=30) as background, open_session(job, steps) as session:
            ring = LiveProgress(background, session.model, Clock())
            with ring:
                steps.add(ring)
                session.plan()
                for _ in range(fails_after or 6):
                    session.train_pending(max_seconds=0)
                background.send("look", lambda: seen.extend(rings(job)))
                if is_killed:
                    ring._is_there = False  # Nothing is sent at the end.
                if fails_after:
                    raise ZeroDivisionError

    trains(return_state=True)
    return seen


@pytest.fixture
def job(make_lake, tmp_path) -> Job:
    return Job(lake=str(make_lake()), label="y", model=str(tmp_path / "model"))


def test_ring_moves_and_ends_at_100(job):
    (before,) = run(job)
    assert 0 < before.data <= 100
    assert " 6 partitions" in before.description
    (ring,) = rings(job)
    assert ring.data == 100
    assert ring.id == before.id
    assert "6 of 6 partitions" in ring.description


def test_rings_of_a_run_move_together_no_more_often_than_one():
    from prefect_onepass.live_progress import LiveProgress

    entry = TrainEntry.model_construct(version=1, partitions=[], seconds=1.0)
    now, sent = [0.0], list[str]()

    class Background:
        def send(self, what: str, call: Any) -> None:
            sent.append(what)
            ring._is_waiting = False  # The call has been made.

    model = SimpleNamespace(path="/m/paid", file=SimpleNamespace(id="ab" * 16))
    for n_beside, n_moves in ((1, 20), (5, 4)):
        ring = LiveProgress(Background(), model, lambda: now[0], n_beside=n_beside)  # type: ignore
        sent.clear()
        for _ in range(60):
            now[0] += 1.0
            ring.committed(entry, None)  # type: ignore[arg-type]
        assert len(sent) == n_moves


def test_quiet_run_has_no_ring(job):
    run(job)
    assert len(run(job)) == len(rings(job)) == 1


def test_run_that_fails_removes_its_ring(job):
    (before,) = run(job, fails_after=2)
    assert 0 < before.data < 100
    assert rings(job) == []


def test_ring_of_a_killed_run_is_removed_by_the_next_run_of_the_model(job):
    (before,) = run(job, fails_after=2, is_killed=True)
    assert [ring.id for ring in rings(job)] == [before.id]
    run(job)
    (ring,) = rings(job)
    assert ring.id != before.id
    assert ring.data == 100


def test_ring_of_a_killed_run_is_removed_by_a_hook(job):
    from prefect_onepass.live_progress import remove_progress

    (before,) = run(job, fails_after=2, is_killed=True)
    assert remove_progress(flow_run_id=before.flow_run_id) == 1
    assert rings(job) == []
