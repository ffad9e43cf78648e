"""History: what hand-made entries say, without a store."""

from __future__ import annotations

import random

import pytest

from lakes import logged_partition, logged_training
from onepass.ledger.entries import (
    AnyEntry,
    Header,
    PlanEntry,
    RefineEntry,
    RewindEntry,
    SkipEntry,
    StateRef,
    TrainEntry,
)
from onepass.ledger.history import History
from onepass.partition import Group, Look, Partition, UnreadFile

STATE = StateRef(key="state/x.npz", size=1, sha256="0" * 64)


def header(version: int) -> dict[str, object]:
    return dict(Header(version=version, parent_sha256="0" * 64, attempt="0" * 32, time="now"))


class Log(History):
    """A history that is written in short: names of partitions are letters."""

    def plan(self, names: str, epoch: int = 1) -> None:
        groups = [group(name, epoch=epoch) for name in names]
        self.append(PlanEntry(**header(self.version + 1), groups=groups))

    def train(self, names: str, epoch: int = 1) -> None:
        for name in names:
            trained = dict(logged_training(name)) | {"epoch": epoch, "state": STATE}
            self.append(TrainEntry(**header(self.version + 1), **trained))

    def skip(self, partition: Partition | UnreadFile, look: Look | None = None) -> None:
        one = header(self.version + 1)
        self.append(SkipEntry(**one, partition=partition, reason="bad", quarantine=look))

    def rewind(self, to: int, excluded: str = "") -> None:
        partitions = [logged_partition(name) for name in excluded]
        self.append(RewindEntry(**header(self.version + 1), to=to, excluded=partitions))

    def refine(self) -> None:
        fields = {"rule": "newton", "n_passes": 1, "learning_rate": None, "losses": [1.0]}
        measured = {"rows": 1, "seconds": 0.1, "peak_rss_bytes": 1, "environment": {}}
        one = header(self.version + 1)
        self.append(RefineEntry(**one, **fields, **measured, state=STATE))


def group(names: str, epoch: int = 1) -> Group:
    return Group(epoch, [logged_partition(name) for name in names])


def versions(entries: list[AnyEntry]) -> list[int]:
    return [entry.version for entry in entries]


@pytest.fixture
def log() -> Log:
    return Log()


def test_nothing_is_said_by_an_empty_log(log):
    assert (log.version, log.line(), log.learnt(), log.pending()) == (0, [], [], [])
    assert (log.planned_rows(), log.n_left_out()) == ((0, 0), 0)
    assert (log.unwritten_skips(), log.undone(), log.newest_learnt(0)) == ([], {}, 0)


def test_pending_is_the_rest_of_the_newest_plan_in_its_order(log):
    log.plan("bcad")
    log.train("c")
    log.skip(logged_partition("b"))
    assert log.pending() == [group("a"), group("d")]
    assert log.pending(1) == [group(name) for name in "bcad"]
    log.plan("e")
    assert log.pending() == [group("e")]


def test_partition_is_pending_once_in_each_epoch_until_it_is_skipped(log):
    pair = Group(2, [logged_partition("a"), logged_partition("b"), logged_partition("a")])
    log.append(PlanEntry(**header(1), groups=[group("a"), group("b"), pair]))
    log.train("a")
    assert log.pending() == [group("b"), group("ab", epoch=2)]
    log.skip(logged_partition("b"))
    assert log.pending() == [group("a", epoch=2)]


def test_unread_file_does_not_settle_the_partitions_of_its_path(log):
    log.plan("a")
    log.skip(UnreadFile("a"))
    assert log.pending() == [group("a")]


def test_partition_with_other_content_is_another_one(log):
    log.append(PlanEntry(**header(1), groups=[Group(1, [logged_partition("a", n_rows=11)])]))
    log.train("a")
    assert log.pending() == [Group(1, [logged_partition("a", n_rows=11)])]


def test_line_leaves_out_what_rewinds_have_undone_and_the_rewinds(log):
    log.plan("abc")
    log.train("abc")
    log.rewind(2)
    log.train("c")
    log.refine()
    assert versions(log.line()) == [1, 2, 6, 7]
    assert versions(log.line(5)) == [1, 2]
    assert versions(log.line(4)) == [1, 2, 3, 4]
    assert versions(log.learnt()) == [2, 6, 7]
    assert versions(log.trained()) == [2, 6]
    assert versions(log.newest_states(2)) == [6, 7]
    assert [log.newest_learnt(version) for version in range(8)] == [0, 0, 2, 3, 4, 2, 6, 7]


def test_rewind_to_an_undone_version_makes_it_count_again(log):
    log.plan("ab")
    log.train("ab")
    log.rewind(1)
    log.rewind(3)
    assert versions(log.line()) == [1, 2, 3]
    assert log.undone() == {4: 5}
    log.rewind(0)
    assert log.line() == []
    assert log.undone() == {1: 6, 2: 6, 3: 6, 4: 6, 5: 6}


def test_undone_version_is_told_with_the_last_rewind_that_undid_it(log):
    log.plan("abc")
    log.train("ab")
    log.rewind(2)
    log.train("c")
    log.rewind(1)
    assert log.undone() == {2: 6, 3: 6, 4: 6, 5: 6}


def test_rows_of_the_plan_are_those_as_of_a_version(log):
    log.plan("abc")
    log.train("abc")
    log.plan("d")
    log.train("d")
    assert log.planned_rows() == (30, 10)
    assert log.planned_rows(4) == (0, 30)
    log.rewind(2)
    assert log.planned_rows() == (0, 30)


def test_left_out_is_what_has_been_skipped_and_not_been_trained_since(log):
    log.skip(UnreadFile("a"))
    log.skip(logged_partition("b"))
    log.skip(logged_partition("b"))
    assert log.n_left_out() == 2
    log.train("a")
    assert log.n_left_out() == 1


def test_skips_that_a_rewind_has_not_written_are_those_after_it_that_are_missing(log):
    log.plan("abc")
    log.skip(logged_partition("b"))
    log.rewind(1, excluded="ab")
    assert [one.path for _, one in log.unwritten_skips()] == ["a", "b"]
    log.skip(logged_partition("a"))
    assert log.unwritten_skips() == [(log.entries[2], logged_partition("b"))]
    log.skip(logged_partition("b"))
    assert log.unwritten_skips() == []


def test_answers_do_not_change_when_the_log_goes_on(log):
    log.plan("ab")
    before = log.line(), log.learnt()
    log.train("ab")
    assert before == ([log.entries[0]], [])


def test_line_is_found_once_for_many_rewinds(log, monkeypatch):
    calls = []
    real = History._line_at
    monkeypatch.setattr(History, "_line_at", lambda *args: calls.append(args) or real(*args))
    for _ in range(20):
        log.train("a")
        log.rewind(0)
    assert log.line() == log.learnt() == log.trained() == []
    assert len(calls) == 1


def test_history_is_the_same_whether_it_is_asked_at_every_entry_or_at_the_end():
    rng, asked = random.Random(0), Log()
    for number in range(200):
        choice = rng.randrange(4)
        if choice == 0:
            asked.plan("ab")
        elif choice == 1 and asked.version:
            asked.rewind(rng.randrange(asked.version))
        else:
            asked.train(str(number))
        assert asked.line() == asked.line(asked.version)
        newest = asked.learnt()[-1].version if asked.learnt() else 0
        assert asked.newest_learnt(asked.version) == newest
    read = History(asked.entries)
    assert read.line() == asked.line()
    assert read.learnt() == asked.learnt()
    assert read.undone() == asked.undone()


def test_quarantine_ends_with_training_a_skip_for_good_or_a_rewind():
    log, a, b = Log(), logged_partition("a"), logged_partition("b")
    log.plan("ab")
    log.skip(a, Look(1, etag="old"))
    log.skip(a, Look(1, etag="new"))
    log.skip(UnreadFile("a"), Look(2))
    log.skip(b, Look(3))
    found = log.quarantined()
    assert {path: list(kept) for path, kept in found.items()} == {
        "a": [a, UnreadFile("a")],
        "b": [b],
    }
    assert found["a"][a].quarantine == Look(1, etag="new")
    log.train("a")
    assert list(log.quarantined()) == ["b"]
    log.skip(b)
    assert log.quarantined() == {}
    log.rewind(2)
    assert list(log.quarantined()) == ["a"]
