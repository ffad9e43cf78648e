"""Promises that every store makes to a ledger, checked over a directory, memory and S3."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onepass.cloud.bucket import Bucket
from onepass.cloud.connect import forget
from onepass.cloud.url import parse_url
from onepass.errors import ForeignModel
from onepass.ledger.store import LocalStore, RemoteStore, Store, open_store
from s3 import Proxy

Opens = Callable[[], Store]
"""Opens the same place once more, as another process would."""


def _bucket_in_memory() -> Opens:
    from obstore.store import MemoryStore

    url = "s3://bucket/models/m"
    bucket = Bucket(parse_url(url), MemoryStore())
    return lambda: RemoteStore(url, bucket)


@pytest.fixture(params=["local", "memory", "s3"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Opens:
    if request.param == "local":
        return lambda: open_store(tmp_path / "deep" / "model")
    if request.param == "memory":
        return _bucket_in_memory()
    place = f"{request.getfixturevalue('bucket')}/models/a model"
    return lambda: open_store(place)


@pytest.fixture
def store(opens: Opens) -> Store:
    return opens()


def test_place_opens_the_store_again(bucket, tmp_path):
    for place in (f"{bucket}/m", str(tmp_path / "m")):
        open_store(place).put("a", b"1")
        assert open_store(open_store(place).place).get("a") == b"1"


def test_create_keeps_what_is_there(store):
    assert store.create("log/1.json", b"first")
    assert not store.create("log/1.json", b"second")
    assert store.get("log/1.json") == b"first"


def test_put_replaces_as_a_whole(store):
    store.put("state/1.npz", b"a long first content")
    store.put("state/1.npz", b"second")
    assert store.get("state/1.npz") == b"second"


def test_content_may_be_written_piece_by_piece(store):
    def write(stream: Any) -> None:
        for piece in (b"one ", memoryview(b"two "), b"three"):
            stream.write(piece)

    store.put("state/1.npz", write)
    assert store.get("state/1.npz") == b"one two three"


def test_empty_and_large_contents_come_back(store):
    large = os.urandom((17 << 20) + 3)
    for content in (b"", large):
        store.put("state/1.npz", content)
        assert store.get("state/1.npz") == content
    assert store.create("log/empty", b"")
    assert store.get("log/empty") == b""


def test_list_is_sorted_and_of_one_folder(store):
    for key in ("log/2", "log/1", "log/deeper/3", "state/4", "logs/5"):
        store.put(key, b"x")
    assert store.list("log") == ["log/1", "log/2", "log/deeper"]
    assert store.list("nothing") == []


def test_written_keys_are_seen_by_others_at_once(opens):
    one, other = opens(), opens()
    for i in range(5):
        one.put(f"log/{i}", b"x")
        assert other.exists(f"log/{i}")
        assert len(other.list("log")) == i + 1
        assert not other.create(f"log/{i}", b"y")


def test_absent_key_cannot_be_read_and_deleting_it_does_nothing(store):
    assert not store.exists("log/1")
    with pytest.raises(FileNotFoundError):
        store.get("log/1")
    store.delete("log/1")
    store.put("log/1", b"x")
    assert store.exists("log/1")
    store.delete("log/1")
    assert store.list("log") == []


def test_content_beyond_the_limit_is_foreign(store):
    store.put("log/1", b"0123456789")
    assert store.get("log/1", most_bytes=10) == b"0123456789"
    with pytest.raises(ForeignModel, match="expected at most 9 bytes, found 10"):
        store.get("log/1", most_bytes=9)


def test_failed_writer_of_content_leaves_the_old_content(store):
    def fail(stream: Any) -> None:
        stream.write(b"half")
        raise RuntimeError("no more")

    store.put("state/1.npz", b"before")
    with pytest.raises(RuntimeError, match="no more"):
        store.put("state/1.npz", fail)
    assert store.get("state/1.npz") == b"before"
    assert store.list("state") == ["state/1.npz"]


def test_sound_store_passes_the_checks_of_folders_and_lock(store):
    store.check_folders("log", "state")
    store.check_lock()
    with store.exclusive():
        store.create("log/1", b"x")
    store.check_folders("log", "state")
    store.check_lock()


@pytest.mark.parametrize("key", ["../x", "log/../../x", "/etc/x", "log//x", "", ".", "log\\..\\x"])
@pytest.mark.parametrize("call", ["create", "put", "get", "exists", "list", "delete"])
def test_keys_that_lead_elsewhere_are_refused(store, key, call):
    arguments = [key, b""] if call in {"create", "put"} else [key]
    with pytest.raises(ValueError, match="not a key"):
        getattr(store, call)(*arguments)


def test_of_threads_exactly_one_creates_each_key(opens):
    rounds, start, won = 40, threading.Barrier(3, timeout=60), [[], [], []]

    def race(me: int) -> None:
        store = opens()
        for i in range(rounds):
            start.wait()
            if store.create(f"log/{i}", f"{me} {i}".encode()):
                won[me].append(i)

    racers = [threading.Thread(target=race, args=(me,)) for me in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    _check_race(opens(), rounds, dict(enumerate(won)))


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_of_processes_exactly_one_creates_each_key(kind, tmp_path, request):
    place = str(tmp_path / "m") if kind == "local" else request.getfixturevalue("bucket") + "/m"
    rounds = {"local": 300, "s3": 100}[kind]
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(2, timeout=60), context.Queue()
    racers = [
        context.Process(target=_race, args=(place, me, rounds, start, answers)) for me in range(2)
    ]
    for racer in racers:
        racer.start()
    won = dict(answers.get(timeout=100) for _ in racers)
    for racer in racers:
        racer.join()
    _check_race(open_store(place), rounds, won)
    assert all(won.values())


def _race(place: str, me: int, rounds: int, start: Any, answers: Any) -> None:
    store, won = open_store(place), []
    for i in range(rounds):
        start.wait()
        if store.create(f"log/{i}", f"{me} {i}".encode()):
            won.append(i)
    answers.put((me, won))


def _check_race(store: Store, rounds: int, won: dict[int, list[int]]) -> None:
    assert sorted(i for rounds_won in won.values() for i in rounds_won) == list(range(rounds))
    for me, rounds_won in won.items():
        assert all(store.get(f"log/{i}") == f"{me} {i}".encode() for i in rounds_won)
    assert len(store.list("log")) == rounds


def test_of_threads_with_lost_answers_exactly_one_creates_each_key(bucket, s3_server, monkeypatch):
    n_puts = 0

    def cuts_every_third(method: str, path: str) -> str:
        nonlocal n_puts
        if method != "PUT" or "/log/" not in path:
            return "pass"
        n_puts += 1
        return "cut" if n_puts % 3 == 0 else "pass"

    with Proxy(s3_server.url, cuts_every_third) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        forget()
        test_of_threads_exactly_one_creates_each_key(lambda: open_store(f"{bucket}/m"))
        assert sum(action == "cut" for _, _, action in proxy.seen) > 15


def test_only_local_directories_are_locked(tmp_path, bucket):
    assert isinstance(open_store(tmp_path), LocalStore)
    with open_store(f"{bucket}/m").exclusive(), open_store(f"{bucket}/m").exclusive():
        assert open_store(f"{bucket}/m").list("log") == []
