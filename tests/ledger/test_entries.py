"""Entries of the log: what a stranger writes is refused before it takes memory."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError

from lakes import logged_partition, logged_training
from onepass.errors import ForeignModel
from onepass.ledger.entries import (
    PlanEntry,
    RefineEntry,
    SkipEntry,
    StateRef,
    TrainEntry,
    dump_entry,
    load_entry,
    state_key,
)
from onepass.ledger.table_mark import TableMark
from onepass.ledger.trained import Trained
from onepass.partition import Group, Look, Partition, UnreadFile

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
    partition = replace(partition, fingerprint=replace(partition.fingerprint, etag=etag))
    entries = [
        PlanEntry(**HEADER, groups=[Group(1, [partition])]),
        SkipEntry(**HEADER, partition=partition, reason="bad"),
        SkipEntry(**HEADER, partition=UnreadFile("p"), reason="bad"),
        SkipEntry(**HEADER, partition=partition, reason="bad", quarantine=Look(1, 2, 3)),
        SkipEntry(**HEADER, partition=UnreadFile("p"), reason="bad", quarantine=Look(1, etag="e")),
    ]
    for entry in entries:
        data = dump_entry(entry)
        assert load_entry(data, "log/1") == entry
        assert dump_entry(load_entry(data, "log/1")) == data
    assert next(entries[0].all_partitions()) == partition


def test_partitions_are_written_as_ever():
    """Digests of a chain depend on the order of the fields, too."""
    one = logged_partition("p")
    other = replace(one, fingerprint=replace(one.fingerprint, etag="e"))
    data = dump_entry(PlanEntry(**HEADER, groups=[Group(1, [one, other])]))
    start = '{"path":"p","first_row_group":0,"end_row_group":1,"rows":10,"fingerprint":'
    content = '{"size":1,"footer_sha256":"","rows":10,"row_groups":1'
    partitions = f'{start}{content}}}}},{start}{content},"etag":"e"}}}}'
    assert f'"groups":[{{"epoch":1,"partitions":[{partitions}]}}]'.encode() in data
    data = dump_entry(SkipEntry(**HEADER, partition=UnreadFile("p"), reason="bad"))
    assert b'"action":"skip","partition":{"path":"p"},"reason":"bad","seal"' in data
    data = dump_entry(SkipEntry(**HEADER, partition=UnreadFile("p"), reason="", quarantine=Look(7)))
    assert b'"reason":"","quarantine":{"size":7,"modified_ns":null,' in data


def test_train_entry_is_written_as_ever():
    state = StateRef(key="state/00000001-" + "0" * 32 + ".npz", size=1, sha256="0" * 64)
    entry = TrainEntry(**HEADER, **dict(logged_training("p")), state=state)
    assert list(json.loads(dump_entry(entry))) == [
        *HEADER,
        *("action", "epoch", "partitions", "rows", "candidates", "counts", "loss", "metrics"),
        *("seconds", "peak_rss_bytes", "environment", "state", "seal"),
    ]


def written(fields: dict[str, object], content: dict[str, object]) -> bytes:
    """A plan of one partition, with other values in it and in its fingerprint."""
    partition = TypeAdapter(Partition).dump_python(logged_partition("p")) | fields
    partition["fingerprint"] |= content
    groups = [{"epoch": 1, "partitions": [partition]}]
    return json.dumps(HEADER | {"action": "plan", "groups": groups}).encode()


def test_partition_with_other_types_fields_or_ranges_is_refused():
    load_entry(written({}, {}), "log/1")
    load_entry(written({"end_row_group": 0, "rows": 0}, {"etag": "e"}), "log/1")
    for fields in (
        {"path": 1},
        {"first_row_group": "0"},
        {"first_row_group": False},
        {"first_row_group": 0.0},
        {"first_row_group": -1},
        {"first_row_group": 2},
        {"end_row_group": 2},
        {"rows": 11},
        {"rows": -1},
        {"surprise": 1},
    ):
        with pytest.raises(ForeignModel, match="log/1 is damaged"):
            load_entry(written(fields, {}), "log/1")
    for content in ({"size": "1"}, {"rows": 9}, {"etag": 1}, {"footer_sha256": 7}, {"new": 1}):
        with pytest.raises(ForeignModel, match="log/1 is damaged"):
            load_entry(written({}, content), "log/1")


@pytest.mark.parametrize("round", [[1], [1, 2], [0, 1], [2, -1], ["1"], 1])
def test_round_that_has_not_the_partitions_of_its_entry_is_refused(round):
    """The groups of an entry are learnt again when its state is lost."""
    record = logged_training("a.parquet").model_dump()
    with pytest.raises(ValidationError):
        Trained.model_validate(record | {"round": round})


def test_groups_of_a_round_are_in_their_order():
    partitions = [logged_partition(name) for name in "abc"]
    record = logged_training("a").model_copy(update={"partitions": partitions, "epoch": 2})
    assert record.groups == [Group(2, partitions)]
    assert record.model_copy(update={"round": [1, 2]}).groups == [
        Group(2, partitions[:1]),
        Group(2, partitions[1:]),
    ]


@pytest.mark.parametrize("settled", [True, False, None])
def test_refinement_says_whether_it_has_converged_and_is_written_as_ever_if_it_cannot(settled):
    fields = {"rule": "lbfgs", "n_passes": 9, "learning_rate": None, "losses": [1.0]}
    measured = {"rows": 1, "seconds": 0.1, "peak_rss_bytes": 1, "environment": {}}
    state = StateRef(key=state_key(7, HEADER["attempt"]), size=1, sha256="0" * 64)
    head = {**HEADER, "version": 7}
    entry = RefineEntry(**head, **fields, **measured, state=state, settled=settled)
    data = dump_entry(entry)
    assert (b"settled" in data) == (settled is not None)
    assert load_entry(data, "log/7") == entry


def test_plan_names_a_version_of_a_table_and_is_written_as_ever_without_one():
    plain = PlanEntry(**HEADER, groups=[])
    assert b"table" not in dump_entry(plain)
    mark = TableMark(format="delta", id="t", version=7, rewritten=[("a", None), ("b", "dv")])
    entry = PlanEntry(**HEADER, groups=[], table=mark)
    data = dump_entry(entry)
    assert b'"table":{"format":"delta","id":"t","version":7,"rewritten":' in data
    assert b"left_out" not in data
    assert load_entry(data, "log/1") == entry
