"""Decoding ahead: in order, bounded, and the same on a cluster."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from onepass.errors import JobError
from onepass.stream.threads import WINDOW
from onepass.stream.workers import Workers


def test_results_come_in_order_and_only_a_few_ahead():
    started: list[int] = []
    lock = threading.Lock()

    def work(i: int) -> int:
        with lock:
            started.append(i)
        return i

    tasks = ((partial(work, i), False) for i in range(50))
    with Workers() as workers:
        for expected, result in enumerate(workers.ordered(tasks)):
            assert result == expected
            assert max(started) <= expected + WINDOW + 1


def test_a_failing_task_ends_the_stream_and_the_rest_is_dropped():
    def work(i: int) -> int:
        if i == 3:
            raise ValueError("three")
        return i

    tasks = ((partial(work, i), False) for i in range(50))
    with Workers() as workers:
        results = workers.ordered(tasks)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="three"):
            next(results)
        assert list(results) == []


def test_each_yields_in_the_order_of_the_tasks_however_long_they_take():
    first_may_end = threading.Event()

    def work(shared: int, task: int) -> int:
        if task == 0:
            assert first_may_end.wait(10)
        else:
            first_may_end.set()
        return shared + task

    with Workers() as workers:
        assert list(workers.each(work, 100, range(7), n_at_once=2)) == [*range(100, 107)]


def test_an_address_where_no_scheduler_answers_is_a_clear_error(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "Client", _refuse)
    with pytest.raises(JobError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:1'"):
        Workers("tcp://127.0.0.1:1")


def _refuse(*args: object, **options: object) -> None:
    raise OSError("connection refused")
