"""RemoteStore: it tests a store's condition, and survives what buckets and rights do to keys.

Promises of every store are in `test_every_store`, and repeated requests in `cloud/test_bucket`.
"""

from __future__ import annotations

from typing import Any

import pytest
from obstore.store import MemoryStore

from onepass.cloud.bucket import Bucket
from onepass.cloud.url import parse_url
from onepass.errors import JobError
from onepass.ledger.store import RemoteStore
from s3 import Proxy

KEY = "log/00000000000000000001.json"


def test_store_that_ignores_the_condition_is_found_out_before_anything_is_kept():
    class Careless:
        """Overwrites what it is asked to create."""

        def __init__(self) -> None:
            self.real = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

        def put(self, path: str, data: Any, **options: Any) -> Any:
            return self.real.put(path, data)

    careless = Careless()
    bucket = Bucket(parse_url("s3://bucket"), careless)
    with pytest.raises(JobError, match="overwrites what it was asked to create once"):
        RemoteStore("s3://bucket/m", bucket).create(KEY, b"mine")
    assert list(careless.real.list().collect()) == []


def test_self_test_leaves_nothing_and_is_made_once(bucket, s3_server, through):
    with Proxy(s3_server.url) as proxy:
        through(proxy)
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


def test_key_that_may_not_be_deleted_is_kept_with_a_warning(bucket, s3_server, through, caplog):
    # obstore deletes by a POST that may name several objects.
    with Proxy(s3_server.url, lambda method, path: 403 if method == "POST" else "pass") as proxy:
        through(proxy)
        store = RemoteStore(f"{bucket}/m")
        store.put("state/1.npz", b"x")
        store.delete("state/1.npz")
        assert store.exists("state/1.npz")
        assert "cannot remove what is no longer needed" in caplog.text
