"""Entries of the log: what a stranger writes is refused before it takes memory."""

from __future__ import annotations

import tracemalloc

import pytest

from lakes import logged_partition
from onepass.errors import ForeignModel
from onepass.ledger.entries import PlanEntry, PlannedGroup, SkipEntry, dump_entry, load_entry

HEADER = {"version": 1, "parent_sha256": "0" * 64, "attempt": "0" * 32, "time": "now"}

HEAD = (
    b'{"version":1,"parent_sha256":"' + b"0" * 64 + b'","attempt":"' + b"0" * 32 + b'","time":"x",'
)
MANY = 200_000

NONSENSE = {
    "empty partitions": b'"action":"plan","groups":[{"partitions":[%s]}]}'
    % b",".join([b"{}"] * MANY),
    "groups of empty partitions": b'"action":"plan","groups":[%s]}'
    % b",".join([b'{"partitions":[{}]}'] * MANY),
    "partitions of a path only": b'"action":"plan","groups":[{"partitions":[%s]}]}'
    % b",".join([b'{"path":""}'] * MANY),
    "excluded": b'"action":"rewind","to":0,"excluded":[%s]}' % b",".join([b"{}"] * MANY),
    "fields that are missing": b'"action":"train","x":[%s]}' % b",".join([b"[]"] * MANY),
    "skip": b'"action":"skip","reason":"","partition":{"a":[%s]}}' % b",".join([b"[]"] * MANY),
}


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_entry_of_nonsense_is_refused_at_its_first_fault_and_is_held_once(nonsense):
    data = HEAD + NONSENSE[nonsense]
    tracemalloc.start()
    try:
        with pytest.raises(ForeignModel, match="log/1 is damaged"):
            load_entry(data, "log/1")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # An empty list takes 64 bytes, a dictionary as many, and each of them 3 in the file.
    assert peak < 26 * len(data) + (1 << 20)


@pytest.mark.parametrize("etag", [None, "abc"])
def test_partitions_come_back_as_they_were_written(etag):
    partition = logged_partition("p")
    if etag is not None:
        partition["fingerprint"]["etag"] = etag
    entries = [
        PlanEntry(**HEADER, groups=[PlannedGroup(partitions=[partition])]),
        SkipEntry(**HEADER, partition=partition, reason="bad"),
        SkipEntry(**HEADER, partition={"path": "p"}, reason="bad"),
    ]
    for entry in entries:
        data = dump_entry(entry)
        assert load_entry(data, "log/1") == entry
        assert dump_entry(load_entry(data, "log/1")) == data
    assert next(entries[0].all_partitions()) == partition
    assert list(next(entries[0].all_partitions())) == list(partition)
