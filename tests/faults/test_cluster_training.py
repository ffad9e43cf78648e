"""Training on a Dask cluster ends in the same bytes, whoever works and whoever dies."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("distributed")

from cluster import TestCluster
from lakes import number_table
from onepass import train
from onepass.actions.trained import TrainOutcome
from onepass.errors import BadPartition, ClusterUnavailable, JobError
from onepass.model.directory import open_model
from onepass.stream.cluster.patience import Patience
from processes import run
from recording import At

PARTS = 16
SHARED: dict[str, Any] = {"label": "y", "parallel": 4, "exclude": ["shop"]}
"""Fields of the job of most tests: rounds of several groups, and numbers alone."""
REPEAT = int(os.environ.get("REPEAT", "1"))
SEED = int(os.environ.get("SEED", "0"))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence of a worker is noticed soon."""
    from onepass.stream.cluster import cluster

    patience = Patience(deadline=20, silence=2, poll=0.1, answer=3, connect=5)
    monkeypatch.setattr(cluster, "Patience", lambda: patience)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    for i in range(PARTS):
        table = number_table(100 + 37 * i, seed=i)
        shops = np.random.default_rng(i).integers(0, 90, len(table))
        table = table.append_column("shop", pa.array([f"shop {shop}" for shop in shops]))
        pq.write_table(table, folder / f"part-{i}.parquet")
    return folder


@pytest.fixture(scope="module")
def threads(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainOutcome:
    """What threads of this process reach."""
    model = tmp_path_factory.mktemp("threads") / "model"
    return train({**SHARED, "lake": str(lake), "model": str(model)})


@pytest.fixture
def expected(threads: TrainOutcome) -> str | None:
    """The state that every cluster has to reach."""
    return threads.state_sha256


@pytest.fixture
def job(lake: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Fields of a job whose rounds have several groups, with a model of its own."""

    def fields(name: str, **others: Any) -> dict[str, Any]:
        return {**SHARED, "lake": str(lake), "model": str(tmp_path / name)} | others

    return fields


def rounds(model: str) -> list[int]:
    """Number of groups of each round."""
    return [max(1, len(one.round)) for one in open_model(model).ledger.history.trained()]


def test_any_number_of_workers_reaches_the_state_of_threads(forks, job, threads):
    assert max(rounds(threads.model)) == 4
    with TestCluster(forks, 0) as cluster:
        for n_workers in (1, 2, 3, 7):
            while len(cluster.workers) < n_workers:
                cluster.workers.append(cluster.add_worker())
            outcome = train(job(f"workers-{n_workers}", dask=cluster.address))
            assert outcome.state_sha256 == threads.state_sha256
            assert rounds(outcome.model) == rounds(threads.model)


HASHED = {"loss": "squared", "exclude": [], "categorical": ["shop"], "hash_bits": 10}
SHAPES = {"cross": ["shop*level", "level*a", "a*b"], "spline": ["b:5"], "bins": ["c:4"]}


@pytest.mark.parametrize(
    "fields",
    [
        {"parallel": 1},
        {"parallel": 1, "solver": "nag"},
        HASHED,
        {**HASHED, "half_life": "6 partitions", "l2": [0.0, 0.1]},
        {**HASHED, **SHAPES},
    ],
    ids=["newton alone", "nag", "hashed", "hashed, fading, candidates", "crosses and shapes"],
)
def test_every_kind_of_model_is_learnt_to_the_state_of_threads(forks, job, fields):
    with TestCluster(forks) as cluster:
        together = train(job("cluster", **fields, dask=cluster.address))
    assert together.state_sha256 == train(job("alone", **fields)).state_sha256
    sizes = rounds(together.model)
    assert max(sizes) > 1 or fields.get("parallel") == 1


FAULTS: dict[str, Callable[[TestCluster, random.Random], object]] = {
    "killed": lambda cluster, random: random.choice(cluster.workers).kill(),
    "stopped": lambda cluster, random: random.choice(cluster.workers).stop(),
    "joined": lambda cluster, random: cluster.add_worker(),
    "replaced": lambda cluster, random: (
        [worker.kill() for worker in cluster.workers],
        cluster.add_worker(),
    ),
    "scheduler restarted": lambda cluster, random: (
        cluster.restart_scheduler(),
        cluster.add_worker(),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("turn", range(REPEAT))
def test_a_fault_in_mid_training_changes_no_byte_and_nothing_is_learnt_twice(
    forks, job, expected, fault, turn
):
    chance = random.Random(f"{SEED} {fault} {turn}")
    with TestCluster(forks, 2) as cluster:
        at = At("advanced", lambda _: FAULTS[fault](cluster, chance), chance.randrange(1, PARTS))
        outcome = train(job(f"model-{turn}", dask=cluster.address), progress=at)
    assert outcome.state_sha256 == expected
    assert outcome.partitions == PARTS


def test_a_run_whose_cluster_is_gone_goes_on_at_the_next_start(forks, job, expected, monkeypatch):
    from onepass.stream.cluster import cluster as module

    hasty = Patience(deadline=1, silence=2, poll=0.1, answer=1, connect=5)
    monkeypatch.setattr(module, "Patience", lambda: hasty)
    with TestCluster(forks) as cluster:

        def end(_: object) -> None:
            for worker in cluster.workers:
                worker.kill()

        given = job("model", dask=cluster.address)
        with pytest.raises(ClusterUnavailable, match="What is committed is kept"):
            train(given, progress=At("advanced", end, PARTS // 2))
    kept = sum(rounds(given["model"]))
    assert 0 < kept < PARTS
    outcome = train({"model": given["model"]})
    assert (outcome.state_sha256, outcome.partitions) == (expected, PARTS - kept)


def test_a_killed_driver_leaves_a_cluster_that_the_next_one_uses(forks, job, expected):
    with TestCluster(forks) as cluster:
        given = job("model", dask=cluster.address)
        died, ended = run(
            {"do": "train_or_die", "job": given, "die_at": "advanced", "call": PARTS // 2},
            {"do": "train_or_die", "job": given},
        )
    assert died.code < 0
    assert ended.value["state_sha256"] == expected
    assert 0 < ended.value["partitions"] < PARTS


def test_a_file_is_bad_only_if_this_process_finds_so_as_well(forks, job, expected):
    # A worker that loses a file in mid training, as when its mount breaks.
    loses = (
        "import onepass.lake.footer as footer\n"
        "read = footer._read_local_end\n"
        "def fails(file):\n"
        "    if file.key.endswith('part-9.parquet'): raise FileNotFoundError(2, 'gone', file.key)\n"
        "    return read(file)\n"
        "footer._read_local_end = fails\n"
    )
    with TestCluster(forks, 0) as cluster:
        cluster.add_worker(setup=loses)
        outcome = train(job("model", dask=cluster.address, on_bad="skip"))
    assert (outcome.state_sha256, outcome.skipped) == (expected, 0)


def test_a_bad_file_is_reported_as_threads_report_it(forks, job, make_lake):
    lake = make_lake(4)
    (lake / "part-3.parquet").write_bytes(b"PAR1 not a Parquet file PAR1")
    messages = []
    with TestCluster(forks, 1) as cluster:
        for name, dask in (("threads", None), ("cluster", cluster.address)):
            with pytest.raises(BadPartition) as bad:
                train(job(name, lake=str(lake), dask=dask))
            messages.append(str(bad.value))
    assert messages[0] == messages[1]


def test_files_in_quarantine_are_those_of_threads_and_are_taken_up_alike(
    forks, job, lake, tmp_path
):
    bad = ("part-3.parquet", "part-9.parquet")
    states, losses = [], []
    with TestCluster(forks, 2) as cluster:
        for name, dask in (("cluster", cluster.address), ("threads", None)):
            copy = tmp_path / f"lake-{name}"
            shutil.copytree(lake, copy)
            (copy / "part-3.parquet").write_bytes(b"no rows at all" * 9)
            pages_of(copy / "part-9.parquet")
            given = job(name, lake=str(copy), dask=dask, on_bad="quarantine", holdout="last: 2")
            first = train(given)
            assert sorted(one.path for one in first.quarantined) == sorted(bad)
            assert first.held_out == ["part-14.parquet", "part-15.parquet"]
            assert first.holdout is not None
            losses.append(first.holdout.loss)
            for path in bad:
                shutil.copy(lake / path, copy)
            second = train(given)
            assert (second.partitions, second.in_quarantine) == (2, 0)
            states.append((first.state_sha256, second.state_sha256))
    assert states[0] == states[1]
    assert losses[0] == losses[1]


def pages_of(path: Path) -> None:
    """Corrupt the pages of a file, and leave its footer as it is."""
    data = bytearray(path.read_bytes())
    first = pq.read_metadata(path).row_group(0).column(0)
    data[4 : 4 + first.total_compressed_size] = bytes(first.total_compressed_size)
    path.write_bytes(data)


def test_workers_that_do_not_see_the_lake_are_named_before_work_starts(
    forks, job, lake, monkeypatch
):
    monkeypatch.chdir(lake)
    with TestCluster(forks, 1) as cluster:
        given = job("model", lake="/proc/self/cwd", dask=cluster.address)
        with pytest.raises(JobError, match=f"worker {cluster.workers[0].address} does not see"):
            train(given)


NAMESPACE = f"onepass-{os.getpid()}"
LINK, PEER = f"op{os.getpid()}a", f"op{os.getpid()}b"
OUTSIDE, INSIDE = "10.213.77.1", "10.213.77.2"


@pytest.fixture
def cut() -> Iterator[Callable[[], object]]:
    """A network namespace, joined to this one by a link; returns what cuts the link."""
    commands = [
        f"ip netns add {NAMESPACE}",
        f"ip link add {LINK} type veth peer name {PEER} netns {NAMESPACE}",
        f"ip addr add {OUTSIDE}/30 dev {LINK}",
        f"ip link set {LINK} up",
        f"ip -n {NAMESPACE} addr add {INSIDE}/30 dev {PEER}",
        f"ip -n {NAMESPACE} link set {PEER} up",
        f"ip -n {NAMESPACE} link set lo up",
    ]
    if os.geteuid() != 0 or not hasattr(ctypes.CDLL(None), "setns"):
        pytest.skip("network namespaces need root, on Linux")
    try:
        for command in commands:
            done = subprocess.run(command.split(), capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
        yield lambda: subprocess.run(["ip", "link", "set", LINK, "down"], check=True)
    finally:
        subprocess.run(f"ip netns del {NAMESPACE}".split(), capture_output=True)
        subprocess.run(["ip", "link", "del", LINK], capture_output=True)


def test_a_worker_that_is_cut_off_changes_no_byte(forks, job, expected, cut):
    with TestCluster(forks, 1, host=OUTSIDE) as cluster:
        cluster.add_worker(namespace=NAMESPACE)
        at = At("advanced", lambda _: cut(), 5)
        outcome = train(job("model", dask=cluster.address), progress=at)
    assert outcome.state_sha256 == expected
