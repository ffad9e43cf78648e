"""Which plans of a table need no lineage of its files."""

from __future__ import annotations

from typing import Any

import pytest

from fake_table import FakeTable
from lakes import logged_partition
from onepass import Job
from onepass.lake.tables.table import Commit, FileOfTable
from onepass.ledger.entries import Header, PlanEntry, SkipEntry
from onepass.ledger.history import History
from onepass.ledger.table_mark import Exchange, FileName, TableMark
from onepass.partition import Group, Look, UnreadFile
from onepass.training.table_commits import Settled
from onepass.training.table_unchanged import has_nothing_new, only_added


def name(key: str) -> FileName:
    return (key, None)


def names(keys: str) -> list[FileName]:
    return [name(one) for one in keys.split()]


def commit(operation: str, removed: str, added: str) -> Commit:
    files = [tuple(FileOfTable(one) for one in each.split()) for each in (removed, added)]
    is_rewrite = operation == "OPTIMIZE"
    return Commit(1, "version 1", operation, is_rewrite, added=files[1], removed=files[0])


def settled(**fields: Any) -> Settled:
    wrote = Exchange(removed=names("a"), added=names("b"), same_rows=True)
    return Settled(**{"files": set(names("a t")), "exchanges": [wrote], **fields})


def test_added_files_follow_those_that_are_held_out_in_the_order_of_the_table():
    commits = [commit("WRITE", "", "z c"), commit("ALTER", "t", "t"), commit("STATS", "", "z")]
    known = settled(waiting=names("h t g"), left_out=set(names("l")))
    assert only_added(known, commits, retrains=False) == names("h g z c")


NEEDS_LINEAGE = {
    "a model without a mark": (settled(is_marked=False), commit("WRITE", "", "c"), False),
    "a plan that is unfinished": (settled(planned=set(names("p"))), commit("ALTER", "", ""), False),
    "files that were left out are trained": (
        settled(left_out=set(names("l"))), commit("ALTER", "", ""), True,
    ),
    "a held-out file was rewritten": (settled(waiting=names("b")), commit("ALTER", "", ""), False),
    "a file is removed": (settled(), commit("DELETE", "t", ""), False),
    "an older version comes back": (settled(), commit("RESTORE", "", "c"), False),
    "a trained file comes back": (settled(), commit("WRITE", "", "t"), False),
    "a rewritten file comes back": (settled(), commit("WRITE", "", "b"), False),
    "a file that was left out comes back": (
        settled(left_out=set(names("l"))), commit("WRITE", "", "l"), False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NEEDS_LINEAGE)
def test_lineage_decides_where_files_are_not_only_added(case):
    known, one, retrains = NEEDS_LINEAGE[case]
    assert only_added(known, [one], retrains=retrains) is None


@pytest.fixture
def table(tmp_path) -> FakeTable:
    table = FakeTable(tmp_path)
    table.append({0: 0})
    table.alter()
    return table


def history_of(n_groups: int = 0, is_bad: bool = False, **mark: Any) -> History:
    """A log of one plan that has settled version 1 of the fake table."""
    fields = {"format": "delta", "id": "table-1", "version": 1, **mark}
    head = {"parent_sha256": "0" * 64, "attempt": "0" * 32, "time": "now"}
    groups = [Group(1, [logged_partition("a")])] * n_groups
    plan = PlanEntry(**dict(Header(version=1, **head)), groups=groups, table=TableMark(**fields))
    bad = SkipEntry(
        **dict(Header(version=2, **head)),
        partition=UnreadFile("q"),
        reason="bad",
        quarantine=Look(1),
    )
    return History([plan, bad] if is_bad else [plan])


@pytest.mark.parametrize("on_changed", ["error", "skip", "retrain"])
def test_nothing_is_new_where_a_plan_has_settled_the_version_and_nothing_of_it_is_left(
    table, on_changed
):
    job = Job(lake="t", label="y", model="m", on_changed=on_changed)
    assert has_nothing_new(history_of(), table.pinned(), job)
    is_over = has_nothing_new(history_of(left_out=names("l")), table.pinned(), job)
    assert is_over == (on_changed != "retrain")


@pytest.mark.parametrize(
    "left",
    [
        {"n_groups": 1},
        {"is_bad": True},
        {"waiting": names("h")},
        {"past": names("h")},
        {"version": 0},
        {"id": "another"},
        {"format": "iceberg"},
    ],
    ids=str,
)
def test_a_plan_is_made_where_anything_may_be_left(table, left):
    job = Job(lake="t", label="y", model="m")
    assert not has_nothing_new(history_of(**left), table.pinned(), job)
    assert not has_nothing_new(History(), table.pinned(), job)
