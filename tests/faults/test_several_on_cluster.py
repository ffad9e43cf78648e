"""Several labels on a Dask cluster: each model is that of threads and of a run of its own."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from cluster import TestCluster
from onepass import train
from onepass.errors import ClusterUnavailable
from onepass.model.directory import open_model
from onepass.stream import stream
from onepass.stream.cluster.patience import Patience
from onepass.training.several import open_several
from recording import At
from several import LABELS, history, write_lake

PARTS = 12
"""Files of one block each: the blocks of a row group that has several are read in this process."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence of a worker is noticed soon."""
    from onepass.stream.cluster import cluster

    patience = Patience(deadline=20, silence=2, poll=0.1, answer=3, connect=5)
    monkeypatch.setattr(cluster, "Patience", lambda: patience)


@pytest.fixture(params=[1, 4], ids=["alone", "rounds"])
def given(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    lake = write_lake(tmp_path / "lake", PARTS, 150)
    given = {"lake": str(lake), "model": str(tmp_path / "models"), "parallel": request.param}
    return given | {"label": LABELS, "exclude": ["shop"] if request.param > 1 else []}


def check(given: dict[str, Any], copies: Path) -> None:
    """Check that each model is that of threads that learn it by itself."""
    for label in LABELS:
        model = Path(given["model"]) / label
        (copies / label).mkdir(parents=True)
        shutil.copy(model / "model.json", copies / label)
        train({"model": str(copies / label)})
        assert history(model) == history(copies / label)
    # The others are ready for rounds after more rows.
    trained = open_model(f"{given['model']}/amount").ledger.history.trained()
    assert any(one.round for one in trained) == (given["parallel"] > 1)


def test_models_are_those_of_threads_and_blocks_are_read_on_the_cluster(
    forks, given, tmp_path, monkeypatch
):
    with TestCluster(forks) as cluster, monkeypatch.context() as patch:
        patch.setattr(stream, "make_block", lambda *_: pytest.fail("read in this process"))
        train(given | {"dask": cluster.address})
    check(given, tmp_path / "copies")


@pytest.mark.parametrize("fault", ["killed", "joined"])
def test_fault_of_a_worker_changes_no_byte_of_any_model(forks, given, tmp_path, fault):
    chance = random.Random(fault)
    with TestCluster(forks) as cluster:

        def act(_: object) -> None:
            cluster.workers[0].kill() if fault == "killed" else cluster.add_worker()

        progress = At("advanced", act, chance.randrange(2, PARTS))
        train(given | {"dask": cluster.address}, progress=progress)
    check(given, tmp_path / "copies")


def test_step_is_repeated_on_another_cluster_in_the_same_sessions(
    forks, given, tmp_path, monkeypatch
):
    from onepass.stream.cluster import cluster as module

    patience = Patience(deadline=1, silence=2, poll=0.1, answer=1, connect=5)
    monkeypatch.setattr(module, "Patience", lambda: patience)
    with TestCluster(forks) as cluster:

        def end(_: object) -> None:
            for worker in cluster.workers:
                worker.kill()

        progress = At("advanced", end, 2)
        fields = given | {"dask": cluster.address}
        with open_several(fields, progress) as sessions:
            sessions.plan()
            with pytest.raises(ClusterUnavailable):
                sessions.train_pending()
            cluster.workers = [cluster.add_worker() for _ in range(2)]
            sessions.train_pending()
            assert not sessions.failures
    check(given, tmp_path / "copies")
