"""Bucket: a request is repeated while it may succeed, and its outcome is found out or reported."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from obstore.store import MemoryStore

from onepass.cloud.bucket import Bucket, RemoteObject, Replaced, TooLarge
from onepass.cloud.connect import forget
from onepass.cloud.url import parse_url
from onepass.errors import StoreRefused, StoreUnavailable
from s3 import KEY_ID, SECRET, Action, Proxy, Server

KEY = "m/log/00000000000000000001.json"


@pytest.fixture
def behind(bucket, s3_server, monkeypatch) -> Callable[..., Any]:
    """A bucket behind a proxy with a given rule."""

    @contextmanager
    def opened(rule: Callable[[str, str], Action]) -> Iterator[tuple[Bucket, Proxy]]:
        with Proxy(s3_server.url, rule) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            forget()
            yield Bucket(parse_url(bucket)), proxy

    return opened


@pytest.fixture
def in_memory() -> Bucket:
    return Bucket(parse_url("s3://bucket"), MemoryStore(), piece_bytes=4)


def first(action: Action, method: str = "PUT", n: int = 1) -> Callable[[str, str], Action]:
    """A rule that does something to the first `n` requests of a kind."""
    left = [n]

    def rule(found: str, path: str) -> Action:
        if found == method and left[0]:
            left[0] -= 1
            return action
        return "pass"

    return rule


def test_objects_are_listed_at_any_depth_and_folders_at_one_level(in_memory):
    for key in ("m/log/1", "m/log/deeper/2", "m/state/3", "mm/4"):
        in_memory.put(key, b"x")
    assert [found.key for found in in_memory.list("m")] == [
        "m/log/1",
        "m/log/deeper/2",
        "m/state/3",
    ]
    assert len(in_memory.list("")) == 4
    assert in_memory.list_folder("m") == ["m/log", "m/state"]
    assert in_memory.list_folder("m/log") == ["m/log/1", "m/log/deeper"]
    assert in_memory.list_folder("nothing") == []


def test_description_of_an_object_changes_with_its_content(in_memory):
    in_memory.put("a", b"0123")
    found = in_memory.head("a")
    assert found == RemoteObject("a", 4, found.etag)
    in_memory.put("a", b"4567")
    assert in_memory.head("a").etag != found.etag


def test_ranges_are_read_in_pieces_of_one_content(in_memory):
    in_memory.put("a", b"0123456789")
    etag = in_memory.head("a").etag
    for start, end in ((0, 10), (3, 4), (2, 7), (5, 5)):
        assert in_memory.get_range("a", start, end, etag) == b"0123456789"[start:end]
        assert in_memory.get_range("a", start, end, None) == b"0123456789"[start:end]
    with pytest.raises(Replaced, match="expected 4 bytes at 8, found 2"):
        in_memory.get_range("a", 8, 12, etag)
    in_memory.put("a", b"abcdefghij")
    with pytest.raises(Replaced, match="has changed since it was looked at"):
        in_memory.get_range("a", 0, 10, etag)
    assert in_memory.get_range("a", 2, 4, None) == b"cd"


def test_object_larger_than_the_caller_accepts_is_not_read(in_memory):
    in_memory.put("a", b"0123456789")
    assert in_memory.get("a", most_bytes=10) == b"0123456789"
    with pytest.raises(TooLarge, match="s3://bucket/a: expected at most 9 bytes, found 10"):
        in_memory.get("a", most_bytes=9)


def test_content_is_bytes_a_file_or_a_function(in_memory, tmp_path):
    (tmp_path / "x").write_bytes(b"from a file")
    in_memory.put("a", b"bytes")
    in_memory.put("b", tmp_path / "x")
    in_memory.put("c", lambda stream: stream.write(b"from a function") and None)
    assert [in_memory.get(key) for key in "abc"] == [b"bytes", b"from a file", b"from a function"]


def test_small_object_is_read_by_one_request_and_a_large_one_by_its_pieces(behind):
    with behind(lambda method, path: "pass") as (store, proxy):
        store.put(KEY, bytes(100))
        proxy.seen.clear()
        assert store.get(KEY) == bytes(100)
        assert [method for method, _, _ in proxy.seen] == ["GET"]
        proxy.seen.clear()
        assert store.get_range(KEY, 10, 60, store.head(KEY).etag) == bytes(50)
        assert [method for method, _, _ in proxy.seen] == ["HEAD", "GET"]


@pytest.mark.parametrize("action", ["cut", "lose", 500, 503, 409, 412, 429, 408])
def test_own_create_is_recognised_whatever_the_answer(behind, action):
    with behind(first(action)) as (store, _):
        assert store.create(KEY, b"mine")
        assert store.get(KEY) == b"mine"
        assert not store.create(KEY, b"another's")


@pytest.mark.parametrize("action", ["cut", "lose", 500, 409, 412])
def test_anothers_create_is_recognised_whatever_the_answer(behind, bucket, s3_server, action):
    with behind(first(action)) as (store, _):
        s3_server.put(f"{bucket.removeprefix('s3://')}/{KEY}", b"another's")
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
        lambda store: store.list_folder("m/log"),
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
        lambda store: store.list_folder("m/log"),
        lambda store: store.head(KEY),
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
        (lambda store: store.list_folder("m/log"), "GET"),
    ):
        with behind(first(answer, method, n=2)) as (store, proxy):
            call(store)
            assert answer in [action for _, _, action in proxy.seen]


def test_object_replaced_while_it_is_read_in_pieces_is_read_anew():
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
    healed.kept.put("state", b"0123456789abcdef")
    bucket = Bucket(parse_url("s3://bucket"), healed, piece_bytes=4)
    assert bucket.get("state") == b"0123456789ABCDEF"
    assert healed.n_reads == 8


def test_large_content_is_uploaded_without_a_copy_in_memory(bucket):
    block = bytes(1 << 20)

    def write(stream: Any) -> None:
        for _ in range(48):
            stream.write(block)

    store = Bucket(parse_url(bucket))
    tracemalloc.start()
    store.put("m/state/1.npz", write)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20
    assert len(store.get("m/state/1.npz")) == 48 << 20


def test_missing_bucket_is_named(bucket):
    store = Bucket(parse_url(f"{bucket}-not"))
    for call in (store.create, store.put):
        with pytest.raises(StoreRefused, match=f"{bucket}-not/{KEY}: the bucket does not exist"):
            call(KEY, b"x")
    for call in (store.get, store.list, store.list_folder):
        with pytest.raises(StoreRefused, match="the bucket does not exist"):
            call(KEY)


def test_wrong_credentials_are_told_at_once_and_without_a_secret(bucket, monkeypatch):
    server = Server(INITIAL_NO_AUTH_ACTION_COUNT="1")
    try:
        server.make_bucket("closed")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        forget()
        store = Bucket(parse_url("s3://closed"))
        began = time.monotonic()
        for call in (
            lambda: store.create(KEY, b"x"),
            lambda: store.put(KEY, b"x"),
            lambda: store.get(KEY),
            lambda: store.list_folder("m/log"),
        ):
            with pytest.raises(StoreRefused, match=r"refuses the request \(403 \w+\)") as found:
                call()
            assert KEY_ID not in str(found.value)
            assert SECRET not in str(found.value)
        assert time.monotonic() - began < 5
    finally:
        server.stop()
