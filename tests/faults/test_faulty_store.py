"""On a store that fails in every way, nothing acknowledged is lost and nothing is committed twice.

``REPEAT=20`` runs twenty times as many seeds; a failure names its seed.
"""

from __future__ import annotations

import errno
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faulty_store import FaultyBucket, FaultyDisk, FaultyStore, PowerCut
from lakes import logged_partition, logged_training
from onepass.cloud.bucket import Bucket
from onepass.cloud.faults import Deadline
from onepass.cloud.url import parse_url
from onepass.errors import ForeignModel, ModelConflict, StoreUnavailable
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import LocalStore, RemoteStore, Store
from onepass.partition import Group

ROOT = "0" * 64
NAMES = [f"part-{i}" for i in range(7)]
CLEAR = (ModelConflict, StoreUnavailable, OSError)
"""Errors that tell a user what to do, after which another run may go on."""

Opens = Callable[[], Store]


def bucket_store(store: Any) -> RemoteStore:
    """A remote store over an obstore store."""
    url = "s3://bucket/m"
    return RemoteStore(url, Bucket(parse_url(url), store))


def seeds(n: int) -> Iterator[int]:
    """Seeds of this run; the one at fault is named by the note of `told`."""
    return iter(range(n * int(os.environ.get("REPEAT", "1"))))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that count attempts instead of time."""

    def begin(self: Any) -> None:
        self.seconds, self.left = 0.0, 1

    def pause(self: Any) -> None:
        self.left -= 1

    monkeypatch.setattr(Deadline, "__init__", begin)
    monkeypatch.setattr(Deadline, "pause", pause)
    monkeypatch.setattr(Deadline, "passed", lambda self: self.left <= 0)


def learnt(ledger: Ledger) -> list[str]:
    return [entry.partitions[0].path for entry in ledger.history.trained()]


class Writers:
    """Runs that train all partitions, start again after each failure, and overtake each other.

    Parameters
    ----------
    opens
        Gives the store anew, as a new process would.
    power_returns
        What happens to the place when a process has died.
    """

    def __init__(
        self, opens: Opens, seed: int, power_returns: Callable[[], object] | None = None
    ) -> None:
        self._opens, self._power_returns = opens, power_returns
        self._random = random.Random(seed)
        self.acknowledged: dict[int, str] = {}
        """Partition by version, of commits that returned."""
        self.ended: Counter[str] = Counter()
        """How runs have ended."""

    def work(self, n_writers: int) -> None:
        """Let writers take turns, one commit each, until one of them finds nothing to do."""
        runs = [self._run() for _ in range(n_writers)]
        for _ in range(5000):
            at = self._random.randrange(n_writers)
            try:
                next(runs[at])
            except StopIteration:
                return
            except PowerCut:
                self.ended["PowerCut"] += 1
                if self._power_returns is not None:
                    # One disk: all its processes are gone.
                    self._power_returns()
                    runs = [self._run() for _ in range(n_writers)]
                runs[at] = self._run()
            except CLEAR as error:
                self.ended[type(error).__name__] += 1
                runs[at] = self._run()
        raise AssertionError("no end")

    def _run(self) -> Iterator[None]:
        ledger = Ledger(self._opens(), ROOT)
        yield
        if not any(entry.action == "plan" for entry in ledger.entries):
            ledger.commit_plan([Group(1, [logged_partition(n)]) for n in NAMES])
            yield
        while pending := ledger.history.pending():
            name = pending[0].partitions[0].path
            state = ",".join([*learnt(ledger), name]).encode()
            entry = ledger.commit_train(state, logged_training(name))
            self.acknowledged[entry.version] = name
            yield


def check(store: Store, writers: Writers) -> None:
    """A sound chain, each partition once, all that was acknowledged, and states that follow."""
    ledger = Ledger(store, ROOT)
    names = learnt(ledger)
    assert names == NAMES
    assert [entry.action for entry in ledger.entries] == ["plan", *["train"] * len(NAMES)]
    found = {entry.version: entry.partitions[0].path for entry in ledger.history.trained()}
    assert writers.acknowledged.items() <= found.items()
    for entry in ledger.history.trained()[-3:]:
        before = names[: names.index(entry.partitions[0].path) + 1]
        assert ledger.read_state(entry) == ",".join(before).encode()


def told(seed: int, writers: Writers, store: Store) -> None:
    """Check, and name the seed of a failure."""
    try:
        check(store, writers)
    except Exception as error:
        error.add_note(f"seed {seed}, runs ended by {dict(writers.ended)}")
        raise


def test_bucket_behind_a_bad_network_ends_sound(monkeypatch):
    happened, ended = Counter[str](), Counter[str]()
    for seed in seeds(250):
        bucket = FaultyBucket(seed, rate=0.02 * (1 + seed % 20))
        writers = Writers(lambda bucket=bucket: bucket_store(bucket), seed)
        # A writer proves its store at each start, which is most of its requests; once will do.
        monkeypatch.setattr(RemoteStore, "_prove", lambda self: None)
        writers.work(n_writers=1 + seed % 3)
        told(seed, writers, bucket_store(bucket.honest))
        happened.update(bucket.happened)
        ended.update(writers.ended)
    assert set(happened) == {
        *("before", "after", "late", "cut", "torn", "409", "412", "twice", "lagging")
    }
    assert min(happened.values()) > 20
    assert min(ended[name] for name in ("PowerCut", "ModelConflict", "StoreUnavailable")) > 20


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_store_that_fails_before_or_after_success_ends_sound(kind, tmp_path):
    from obstore.store import MemoryStore

    happened = Counter[str]()
    for seed in seeds(100):
        real: Store = LocalStore(tmp_path / str(seed))
        if kind == "memory":
            real = bucket_store(MemoryStore())
        faulty = FaultyStore(real, seed, rate=0.02 + 0.01 * (seed % 25))
        writers = Writers(lambda faulty=faulty: faulty, seed)
        writers.work(n_writers=1 + seed % 3)
        told(seed, writers, real)
        happened.update(faulty.happened)
    assert set(happened) == {*("before", "after", "cut", "denies", "torn", "twice", "lagging")}
    assert min(happened.values()) > 5


def test_disk_that_loses_power_keeps_what_was_acknowledged(tmp_path):
    n_cuts = 0
    for seed in seeds(100):
        root = tmp_path / str(seed)
        with pytest.MonkeyPatch.context() as patch:
            disk = FaultyDisk(root, patch, seed, rate=0.01 + 0.01 * (seed % 12))
            writers = Writers(lambda root=root: LocalStore(root / "m"), seed, disk.power_returns)
            writers.work(n_writers=1 + seed % 2)
            disk.power_returns()
        told(seed, writers, LocalStore(root / "m"))
        n_cuts += disk.cuts
    assert n_cuts > 300


@pytest.mark.parametrize("n_bytes", [0, 1, 40])
def test_torn_entry_of_a_store_that_tears_is_named(tmp_path: Path, n_bytes: int) -> None:
    store = LocalStore(tmp_path)
    ledger = Ledger(store, ROOT)
    ledger.commit_plan([Group(1, [logged_partition("a")])])
    ledger.commit_train(b"a", logged_training("a"))
    key = store.list("log")[-1]
    store.put(key, store.get(key)[:n_bytes])
    with pytest.raises(ForeignModel, match=f"{key} is damaged"):
        Ledger(store, ROOT)


def test_commit_that_failed_after_success_leaves_the_state_of_the_entry_alone(tmp_path):
    class FailsAfterSuccess(LocalStore):
        def create(self, key: str, data: bytes) -> bool:
            super().create(key, data)
            raise OSError(errno.EIO, "Input/output error")

    store = LocalStore(tmp_path)
    ledger = Ledger(FailsAfterSuccess(tmp_path), ROOT)
    with pytest.raises(OSError, match="Input/output error"):
        ledger.commit_train(b"first", logged_training("a"))
    ledger._store = store
    with pytest.raises(ModelConflict):
        ledger.commit_train(b"second", logged_training("a"))
    found = Ledger(store, ROOT)
    assert found.read_state(found.history.trained()[0]) == b"first"
