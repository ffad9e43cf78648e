"""A remote store finds out what became of a request, or says that it does not know."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from onepass.cloud.connect import forget
from onepass.errors import JobError, StoreRefused, StoreUnavailable
from onepass.ledger.store import RemoteStore, open_store
from s3 import KEY_ID, SECRET, Action, Proxy, Server

KEY = "log/00000000000000000001.json"


@pytest.fixture
def behind(bucket, s3_server, monkeypatch) -> Callable[..., Any]:
    """A store behind a proxy whose rule is given; the store is proven already."""

    @contextmanager
    def opened(rule: Callable[[str, str], Action]) -> Iterator[tuple[RemoteStore, Proxy]]:
        with Proxy(s3_server.url) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            forget()
            store = RemoteStore(f"{bucket}/m")
            store.create("proven", b"")
            proxy.seen.clear()
            proxy.rule = rule
            yield store, proxy

    return opened


def first(action: Action, method: str = "PUT", n: int = 1) -> Callable[[str, str], Action]:
    """A rule that does something to the first `n` requests of a kind."""
    left = [n]

    def rule(found: str, path: str) -> Action:
        if found == method and left[0]:
            left[0] -= 1
            return action
        return "pass"

    return rule


@pytest.mark.parametrize("action", ["cut", "lose", 500, 503, 409, 412, 429, 408])
def test_own_create_is_recognised_whatever_the_answer(behind, action):
    with behind(first(action)) as (store, _):
        assert store.create(KEY, b"mine")
        assert store.get(KEY) == b"mine"
        assert not store.create(KEY, b"another's")


@pytest.mark.parametrize("action", ["cut", "lose", 500, 409, 412])
def test_anothers_create_is_recognised_whatever_the_answer(behind, bucket, s3_server, action):
    with behind(first(action)) as (store, _):
        s3_server.put(f"{bucket.removeprefix('s3://')}/m/{KEY}", b"another's")
        assert not store.create(KEY, b"mine")
        assert store.get(KEY) == b"another's"


def test_answer_that_never_comes_is_settled_by_reading_back(behind, monkeypatch):
    monkeypatch.setenv("ONEPASS_STORE_TIMEOUT", "1")
    with behind(first("hang")) as (store, proxy):
        began = time.monotonic()
        assert store.create(KEY, b"mine")
        assert time.monotonic() - began < 5
        assert [(method, action) for method, _, action in proxy.seen][:2] == [
            ("PUT", "hang"),
            ("GET", "pass"),
        ]


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.create(KEY, b"mine"),
        lambda store: store.put(KEY, b"mine"),
        lambda store: store.list("log"),
    ],
    ids=["create", "put", "list"],
)
def test_store_that_stays_away_is_given_up_at_the_deadline(behind, monkeypatch, call):
    monkeypatch.setenv("ONEPASS_STORE_TIMEOUT", "0.5")
    monkeypatch.setenv("ONEPASS_STORE_DEADLINE", "1")
    with behind(lambda method, path: 503) as (store, proxy):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"no success within 1 s.*\nRun again"):
            call(store)
        assert 1 <= time.monotonic() - began < 6
        assert len(proxy.seen) > 1


def test_passing_faults_are_outlasted(behind):
    for call in (
        lambda store: store.put(KEY, b"x"),
        lambda store: store.get(KEY),
        lambda store: store.list("log"),
        lambda store: store.exists(KEY),
        lambda store: store.delete(KEY),
    ):
        faults = iter(["lose", 500, "cut"])
        with behind(lambda method, path, faults=faults: next(faults, "pass")) as (store, proxy):
            call(store)
            assert len(proxy.seen) > 3


@pytest.mark.parametrize(
    "answer", [(400, "RequestTimeout"), (409, "OperationAborted"), (403, "SlowDown")]
)
def test_code_that_passes_is_outlasted_whatever_its_status(behind, answer):
    for call, method in (
        (lambda store: store.put(KEY, b"x"), "PUT"),
        (lambda store: store.create(KEY, b"x"), "PUT"),
        (lambda store: store.get(KEY), "GET"),
        (lambda store: store.list("log"), "GET"),
    ):
        with behind(first(answer, method, n=2)) as (store, proxy):
            call(store)
            assert answer in [action for _, _, action in proxy.seen]


def test_store_that_ignores_the_condition_is_found_out_before_anything_is_kept():
    from obstore.store import MemoryStore

    class Careless:
        """Overwrites what it is asked to create."""

        def __init__(self) -> None:
            self.real = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def put(self, path: str, data: Any, **options: Any) -> Any:
            return self.real.put(path, data)

    bucket = Careless()
    with pytest.raises(JobError, match="overwrites what it was asked to create once"):
        RemoteStore("s3://bucket/m", bucket).create(KEY, b"mine")
    assert list(bucket.real.list().collect()) == []


def test_self_test_leaves_nothing_and_is_made_once(behind, bucket):
    with behind(lambda method, path: "pass") as (_, proxy):
        store = RemoteStore(f"{bucket}/other")
        store.create("a", b"1")
        n_requests = len(proxy.seen)
        store.create("b", b"1")
        assert n_requests > 3
        assert len(proxy.seen) == n_requests + 1
        assert store.list("selftest") == []


def test_marker_of_a_folder_is_no_key_in_it(bucket, s3_server):
    store = RemoteStore(f"{bucket}/m")
    store.create(KEY, b"mine")
    for name in ("m/", "m/log/", "m/state/"):
        s3_server.put(f"{bucket.removeprefix('s3://')}/{name}", b"")
    assert (store.list("log"), store.list("state")) == ([KEY], [])


def test_object_replaced_while_it_is_read_in_pieces_is_read_anew(monkeypatch):
    from obstore.store import MemoryStore

    monkeypatch.setattr("onepass.ledger.store.remote.PIECE_BYTES", 4)

    class Healed:
        """Replaces the object before its second piece is read."""

        def __init__(self) -> None:
            self.kept, self.n_reads = MemoryStore(), 0

        def get(self, path: str, **options: Any) -> Any:
            self.n_reads += 1
            if self.n_reads == 3:
                self.kept.put(path, b"0123456789ABCDEF")
            return self.kept.get(path, **options)

    healed = Healed()
    healed.kept.put("m/state/x", b"0123456789abcdef")
    assert RemoteStore("s3://bucket/m", bucket=healed).get("state/x") == b"0123456789ABCDEF"
    assert healed.n_reads == 8


def test_large_state_is_uploaded_without_a_copy_in_memory(bucket):
    block = bytes(1 << 20)

    def write(stream: Any) -> None:
        for _ in range(48):
            stream.write(block)

    store = open_store(f"{bucket}/m")
    tracemalloc.start()
    store.put("state/1.npz", write)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20
    assert len(store.get("state/1.npz")) == 48 << 20


def test_missing_bucket_is_named(bucket):
    store = open_store(bucket + "-not/m")
    for call in (store.create, store.put):
        with pytest.raises(StoreRefused, match=f"{bucket}-not/m/.*: the bucket does not exist"):
            call(KEY, b"x")
    for call in (store.get, store.list):
        with pytest.raises(StoreRefused, match="the bucket does not exist"):
            call(KEY)


def test_wrong_credentials_are_told_at_once_and_without_a_secret(bucket, monkeypatch):
    server = Server(INITIAL_NO_AUTH_ACTION_COUNT="1")
    try:
        server.make_bucket("closed")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        forget()
        store = open_store("s3://closed/m")
        began = time.monotonic()
        for call in (
            lambda: store.create(KEY, b"x"),
            lambda: store.put(KEY, b"x"),
            lambda: store.get(KEY),
            lambda: store.list("log"),
        ):
            with pytest.raises(StoreRefused, match=r"refuses the request \(403 \w+\)") as found:
                call()
            assert KEY_ID not in str(found.value)
            assert SECRET not in str(found.value)
        assert time.monotonic() - began < 5
    finally:
        server.stop()


def test_what_may_not_be_deleted_is_kept_with_a_warning(behind, caplog):
    with behind(first(403, "POST")) as (store, _):
        # This library removes by a POST that may name several objects.
        store.put("state/1.npz", b"x")
        store.delete("state/1.npz")
        assert store.exists("state/1.npz")
        assert "cannot remove what is no longer needed" in caplog.text
