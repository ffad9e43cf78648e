"""Calls on a Dask cluster: in order, once for each worker's sake, and whatever befalls workers."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from cluster import Forks, TestCluster
from onepass.errors import BadPartition, ClusterError, ClusterUnavailable, JobError
from onepass.lake.discover import discover
from onepass.stream.cluster import Cluster
from onepass.stream.cluster.patience import Patience

HASTY = Patience(deadline=20, silence=2, late=60, poll=0.1, answer=3, connect=5)
"""Silence of a worker is noticed soon; nothing else ends before the test."""


@pytest.fixture(scope="module")
def pair(forks: Forks) -> Iterator[TestCluster]:
    """Two workers that no test harms."""
    with TestCluster(forks) as cluster:
        yield cluster


@pytest.fixture
def connect() -> Iterator[Callable[..., Cluster]]:
    """Connect to clusters, and close the connections."""
    opened: list[Cluster] = []

    def connected(cluster: TestCluster, patience: Patience = HASTY, **options: Any) -> Cluster:
        opened.append(Cluster(cluster.address, patience=patience, **options))
        return opened[-1]

    yield connected
    for one in opened:
        one.close()


def noted(folder: Path, seconds: float = 0.0) -> Callable[[int, int], int]:
    """A call that adds, and leaves a file named by its task and process, before it sleeps.

    Nested, so that it is pickled by value: workers do not have this module.
    """
    folder.mkdir(exist_ok=True)
    place = str(folder)

    def work(shared: int, task: int) -> int:
        open(f"{place}/{task}-{os.getpid()}-{time.monotonic_ns()}", "w").close()
        time.sleep(seconds)
        return shared + task

    return work


def runs(folder: Path) -> list[tuple[int, int]]:
    """Task and process of each call that has begun."""
    parts = (path.name.split("-") for path in folder.iterdir())
    return sorted((int(task), int(pid)) for task, pid, _ in parts)


def test_each_yields_in_the_order_of_the_tasks_and_makes_each_call_once(pair, connect, tmp_path):
    work = noted(tmp_path / "runs")
    assert list(connect(pair).each(work, 100, range(30))) == [*range(100, 130)]
    assert [task for task, _ in runs(tmp_path / "runs")] == [*range(30)]
    assert len({pid for _, pid in runs(tmp_path / "runs")}) == 2


def test_the_shared_value_is_sent_to_each_worker_and_not_with_each_call(pair, connect, tmp_path):
    place = str(tmp_path)

    def make() -> Any:
        class Shared:
            def __getstate__(self) -> dict[str, int]:
                return {"value": 7}

            def __setstate__(self, state: dict[str, int]) -> None:
                import os
                import tempfile

                self.value = state["value"]
                os.close(tempfile.mkstemp(prefix=f"{os.getpid()}-", dir=place)[0])

        return Shared()

    def work(shared: Any, task: int) -> int:
        time.sleep(0.02)
        return int(shared.value * task)

    assert list(connect(pair).each(work, make(), range(12))) == [7 * i for i in range(12)]
    received = [int(path.name.split("-")[0]) for path in tmp_path.iterdir()]
    assert set(received) == {worker.pid for worker in pair.workers}
    # Dask may drop a copy that no call needs at the moment.
    assert len(received) <= 4


def test_an_error_comes_in_its_turn_and_as_it_was_raised(pair, connect):
    def work(shared: int, task: int) -> int:
        if task == 3:
            raise JobError("three")
        return task

    results = connect(pair).each(work, 0, range(50))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(JobError, match="three"):
        next(results)


def test_a_file_is_bad_only_if_this_process_finds_so_as_well(pair, connect):
    here = os.getpid()

    def work(shared: int, task: int) -> int:
        if task == 7 or (task == 3 and os.getpid() != here):
            raise BadPartition("not found", path=f"{task}.parquet")
        return task

    workers = connect(pair)
    results = workers.each(work, 0, range(10))
    assert [next(results) for _ in range(7)] == [*range(7)]
    with pytest.raises(BadPartition, match=r"7\.parquet"):
        next(results)
    calls = ((lambda i=i: work(0, i), False) for i in range(7))
    assert list(workers.ordered(calls)) == [*range(7)]


def test_a_result_that_cannot_be_read_here_is_an_error_and_not_waited_for(pair, connect):
    def work(shared: int, task: int) -> object:
        class Refuses:
            def __reduce__(self) -> tuple[object, ...]:
                return int, ("no number",)

        return Refuses()

    with pytest.raises(ClusterError, match="failed: ValueError: invalid literal"):
        list(connect(pair).each(work, 0, range(2)))


def test_results_wait_on_the_workers_and_few_calls_run_ahead(pair, connect, tmp_path):
    work = noted(tmp_path / "runs")
    results = connect(pair).each(work, 0, range(100))
    assert next(results) == 0
    time.sleep(0.5)
    # Two threads: as many results may wait as calls may run.
    assert len(runs(tmp_path / "runs")) <= 1 + 4
    results.close()


def test_no_more_calls_run_in_one_process_than_its_memory_allows(forks, connect, tmp_path):
    place = str(tmp_path)

    def work(shared: int, task: int) -> int:
        mine = f"{place}/{os.getpid()}-{task}"
        open(mine, "w").close()
        running = sum(name.startswith(f"{os.getpid()}-") for name in os.listdir(place))
        time.sleep(0.1)
        os.remove(mine)
        return running

    with TestCluster(forks, 0) as cluster:
        cluster.add_worker(n_threads=4)
        workers = connect(cluster)
        assert workers.n_threads == 4
        assert max(workers.each(work, 0, range(8))) > 2
        # Another driver, or one that was killed, has calls there as well.
        others = connect(cluster)
        two = zip(
            workers.each(work, 0, range(8), n_at_once=2),
            others.each(work, 0, range(10, 18), n_at_once=2),
            strict=True,
        )
        assert max(max(pair) for pair in two) <= 2


def test_calls_of_a_killed_worker_are_made_again_and_no_others(forks, connect, tmp_path):
    work = noted(tmp_path / "runs", 0.2)
    with TestCluster(forks) as cluster:
        results = connect(cluster).each(work, 100, range(12))
        first = next(results)
        cluster.workers[0].kill()
        assert [first, *results] == [*range(100, 112)]
    begun = [task for task, _ in runs(tmp_path / "runs")]
    # What ran there, and results that waited there, are lost.
    assert set(begun) == {*range(12)}
    assert len(begun) <= 12 + 4


def test_calls_of_a_worker_that_stops_answering_are_made_elsewhere(forks, connect, tmp_path):
    work = noted(tmp_path / "runs", 0.1)
    with TestCluster(forks) as cluster:
        results = connect(cluster).each(work, 100, range(12))
        first = next(results)
        cluster.workers[0].stop()
        began = time.monotonic()
        assert [first, *results] == [*range(100, 112)]
        # Dask itself gives it up after five minutes.
        assert time.monotonic() - began < 15


def test_a_worker_that_answers_again_is_used_again(forks, connect, tmp_path):
    work = noted(tmp_path / "runs", 0.05)
    with TestCluster(forks) as cluster:
        workers = connect(cluster)
        cluster.workers[0].stop()
        assert list(workers.each(work, 0, range(4))) == [*range(4)]
        cluster.workers[0].send(signal.SIGCONT)
        _until(lambda: workers.n_threads == 2)
        assert list(workers.each(work, 0, range(10, 20))) == [*range(10, 20)]
    late = {pid for task, pid in runs(tmp_path / "runs") if task >= 10}
    assert late == {worker.pid for worker in cluster.workers}


def test_a_worker_that_joins_gets_calls_of_the_round_under_way(forks, connect, tmp_path):
    work = noted(tmp_path / "runs", 0.1)
    with TestCluster(forks, 1) as cluster:
        results = connect(cluster).each(work, 0, range(30))
        assert next(results) == 0
        joined = cluster.add_worker()
        assert list(results) == [*range(1, 30)]
    assert joined.pid in {pid for _, pid in runs(tmp_path / "runs")}


def test_calls_go_on_when_the_scheduler_is_restarted(forks, connect, tmp_path):
    work = noted(tmp_path / "runs", 0.1)
    with TestCluster(forks) as cluster:
        workers = connect(cluster)
        results = workers.each(work, 100, range(12))
        first = next(results)
        cluster.restart_scheduler()
        cluster.add_worker()
        assert [first, *results] == [*range(100, 112)]
        assert list(workers.each(work, 0, range(3))) == [0, 1, 2]


@pytest.mark.parametrize("gone", ["workers", "scheduler"])
def test_a_cluster_that_is_gone_ends_the_calls_with_what_to_do(forks, connect, tmp_path, gone):
    work = noted(tmp_path / "runs", 0.1)
    with TestCluster(forks) as cluster:
        hasty = Patience(deadline=1, silence=2, poll=0.1, answer=1)
        workers = connect(cluster, hasty)
        results = workers.each(work, 100, range(12))
        next(results)
        for process in cluster.workers if gone == "workers" else [cluster.scheduler]:
            process.kill()
        name = "no worker of the Dask cluster" if gone == "workers" else "no Dask scheduler"
        with pytest.raises(ClusterUnavailable, match=f"{name} at {cluster.address} has answered"):
            list(results)
        with pytest.raises(ClusterUnavailable, match="start the cluster again, and run the same"):
            next(workers.each(work, 0, range(3)))


def test_a_call_that_kills_its_workers_is_given_up(forks, connect, tmp_path):
    def work(shared: int, task: int) -> int:
        if task == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    with TestCluster(forks, 5) as cluster:
        results = connect(cluster).each(work, 0, range(4))
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(
            ClusterError, match=r"(?s)4 workers have died of the same call.*--memory"
        ):
            next(results)


def test_a_late_call_is_made_a_second_time(forks, connect, tmp_path):
    place = str(tmp_path)

    def work(shared: int, task: int) -> int:
        if task == 0:
            open(f"{place}/{os.getpid()}", "w").close()
            time.sleep(30 if len(os.listdir(place)) == 1 else 0)
        return task

    with TestCluster(forks) as cluster:
        patience = Patience(deadline=20, late=0.5, poll=0.1)
        began = time.monotonic()
        assert list(connect(cluster, patience).each(work, 0, range(4))) == [*range(4)]
        assert time.monotonic() - began < 10
    assert len(os.listdir(place)) == 2


@pytest.fixture(scope="module")
def other_numpy() -> str:
    """Statements that give a worker another version of numpy."""
    return (
        "import onepass.stream.cluster.remote as remote\n"
        "other = {**remote.environment(), 'numpy': '1.0'}\n"
        "remote.environment = lambda other=other: other\n"
    )


def test_a_worker_with_other_libraries_is_refused_unless_asked_for(forks, connect, other_numpy):
    with TestCluster(forks, 1) as cluster:
        other = cluster.add_worker(setup=other_numpy)
        with pytest.raises(JobError) as refused:
            connect(cluster)
        message = str(refused.value)
        assert f"the Dask worker {other.address} has numpy 1.0; expected, as here" in message
        assert message.endswith("--mixed-workers.")
        assert connect(cluster, mixed=True).n_threads == 2


def test_a_worker_with_other_libraries_that_joins_ends_the_run(forks, connect, other_numpy):
    def work(shared: int, task: int) -> int:
        time.sleep(0.1)
        return task

    with TestCluster(forks, 1) as cluster:
        results = connect(cluster).each(work, 0, range(200))
        assert next(results) == 0
        other = cluster.add_worker(setup=other_numpy)
        with pytest.raises(JobError, match=f"the Dask worker {other.address} has numpy 1.0"):
            list(results)


def test_a_worker_without_onepass_is_refused_in_one_line(forks, connect):
    lacks = "import sys\nsys.modules['onepass.stream.cluster.remote'] = None\n"
    with TestCluster(forks, 0) as cluster:
        worker = cluster.add_worker(setup=lacks)
        with pytest.raises(JobError) as refused:
            connect(cluster)
        assert str(refused.value).startswith(f"the Dask worker {worker.address} cannot import")
        assert len(str(refused.value).splitlines()) == 1


def test_a_worker_that_does_not_see_the_lake_is_named_with_the_file(
    pair, connect, make_lake, monkeypatch, tmp_path
):
    make_lake(3)
    monkeypatch.chdir(tmp_path)
    workers = connect(pair)
    workers.see(discover(str(tmp_path / "lake")))
    # The workers have another working directory.
    with pytest.raises(JobError) as refused:
        workers.see(discover("/proc/self/cwd/lake"))
    first = str(refused.value).splitlines()[0]
    assert any(worker.address in first for worker in pair.workers)
    assert "does not see the lake: /proc/self/cwd/lake/part-0.parquet: not found" in first


def test_a_file_with_other_content_on_a_worker_is_not_the_lake(forks, connect, make_lake, tmp_path):
    lake = make_lake(1)
    with TestCluster(forks, 1) as cluster:
        workers = connect(cluster)
        files = discover(str(lake))
        cluster.add_worker(
            setup="import os, onepass.stream.cluster.remote as remote\n"
            "class other: st_size = 5\n"
            "class fake: stat = staticmethod(lambda path: other)\n"
            "remote.os = fake\n"
        )
        _until(lambda: workers.n_threads == 2)
        with pytest.raises(JobError, match=r"part-0.parquet: expected [\d,]+ bytes, found 5"):
            workers.see(files)


def test_calls_in_order_run_on_workers_but_for_those_that_share_a_decoder(pair, connect):
    calls = [((lambda: os.getpid()), i % 3 == 0) for i in range(20)]
    pids = list(connect(pair).ordered(calls))
    workers = {worker.pid for worker in pair.workers}
    assert [pid == os.getpid() for pid in pids] == [i % 3 == 0 for i in range(20)]
    assert {pid for pid in pids if pid != os.getpid()} == workers


def test_results_that_wait_do_not_keep_the_first_call_from_the_worker_that_is_left(
    forks, connect, tmp_path
):
    """They hold all its places, and can only be taken after the calls of the killed worker."""
    place = str(tmp_path)

    def call(number: int) -> Callable[[], int]:
        def work() -> int:
            is_again = os.path.exists(f"{place}/{number}")
            open(f"{place}/{number}", "w").close()
            time.sleep(60 if number < 3 and not is_again else 0)
            return number

        return work

    with TestCluster(forks, 0) as cluster:
        killed = cluster.add_worker(n_threads=3)
        results = connect(cluster).ordered((call(i), False) for i in range(8))
        taken: list[int] = []
        consumer = threading.Thread(target=lambda: taken.extend(results), daemon=True)
        consumer.start()
        _until(lambda: all((tmp_path / str(i)).exists() for i in range(3)))
        cluster.add_worker(n_threads=3)
        _until(lambda: (tmp_path / "5").exists())
        killed.kill()
        consumer.join(10)
    assert taken == [*range(8)]


def test_nothing_is_left_behind(pair):
    def names() -> set[str]:
        # Pools of `distributed` that all its users in a process share.
        kept = ("Dask-Offload", "TCP-Executor")
        return {one.name for one in threading.enumerate() if not one.name.startswith(kept)}

    Cluster(pair.address).close()
    before, level = names(), logging.getLogger("distributed").level
    workers = Cluster(pair.address, patience=HASTY)
    results = workers.each(lambda shared, task: task, 0, range(10))
    assert next(results) == 0
    workers.close()
    results.close()
    assert names() == before
    assert logging.getLogger("distributed").level == level


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
