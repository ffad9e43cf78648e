"""Partitions are values: the same fields are the same partition, and any other field another."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from lakes import logged_partition
from onepass.partition import Fingerprint, Group, Partition, UnreadFile

WHOLE = Partition("a.parquet", 0, 4, 40, Fingerprint(900, "ab" * 32, 40, 4, "tag", "vector"))


def test_equal_fields_are_one_partition():
    assert logged_partition("a") == logged_partition("a")
    assert len({logged_partition("a"), logged_partition("a"), logged_partition("b")}) == 2
    assert pickle.loads(pickle.dumps(WHOLE)) == WHOLE


@pytest.mark.parametrize("name", [one.name for one in fields(Fingerprint)])
def test_any_other_content_is_another_partition(name):
    value = getattr(WHOLE.fingerprint, name)
    other = replace(WHOLE.fingerprint, **{name: value * 2})
    assert replace(WHOLE, fingerprint=other) != WHOLE


def test_unread_file_is_no_partition_of_its_path():
    assert UnreadFile("a") == UnreadFile("a") != logged_partition("a")
    assert len({UnreadFile("a"), logged_partition("a")}) == 2


def test_values_cannot_be_changed():
    for value in (WHOLE, WHOLE.fingerprint, UnreadFile("a"), Group(1, [WHOLE])):
        with pytest.raises(FrozenInstanceError):
            setattr(value, fields(value)[0].name, "other")
        assert not hasattr(value, "__dict__")


def test_name_has_the_range_unless_it_is_the_whole_file():
    assert WHOLE.name == "a.parquet"
    assert replace(WHOLE, end_row_group=3).name == "a.parquet[0:3]"
    assert replace(WHOLE, first_row_group=1).name == "a.parquet[1:4]"


def test_content_and_brief_show_what_tells_contents_apart():
    assert WHOLE.fingerprint.content == f"900-{'ab' * 32}-tag-without-vector"
    assert WHOLE.fingerprint.brief == (
        "40 rows, 900 bytes, footer abababababab, etag tag, without the rows deleted by vector"
    )
    local = replace(WHOLE.fingerprint, etag=None, deleted=None)
    assert local.content == f"900-{'ab' * 32}"
    assert local.brief == "40 rows, 900 bytes, footer abababababab"


def test_group_counts_rows_and_leaves_partitions_out():
    a, b = logged_partition("a", n_rows=3), logged_partition("b", n_rows=4)
    group = Group(2, [a, b])
    assert group.rows == 7
    assert group.without([logged_partition("a", n_rows=3)]) == Group(2, [b])
    assert group.without([]) == group
