"""make_plan: what is new, known, changed, bad or gone, from a log written by hand.

The files are in a folder; nothing is committed, read beyond a footer, or learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lakes import logged_training, number_table, write_files
from onepass import Job
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.errors import BadPartition, ChangedPartition
from onepass.lake.discover import discover
from onepass.lake.footer import partitions, read_footer
from onepass.ledger.entries import (
    Header,
    PlanEntry,
    RewindEntry,
    SkipEntry,
    StateRef,
    TrainEntry,
)
from onepass.ledger.history import History
from onepass.partition import Group, Partition, UnreadFile
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.workers import Workers
from onepass.training.plan import make_plan
from onepass.training.planned import Plan

NAMES = ["a", "b", "c", "d"]
WHOLE = 1 << 30
STATE = StateRef(key="state/x.npz", size=1, sha256="0" * 64)
SCHEMA = Schema(
    columns=[Numeric(name="a", center=0, scale=1, missing=False)],
    label=Label(name="y"),
    weight=None,
    hash_bits=10,
    hive={},
)


class Log(History):
    """A history to which entries are added without a store."""

    def plan(self, *partitions: Partition) -> None:
        groups = [Group(1, [one]) for one in partitions]
        self.append(PlanEntry(**self._header(), groups=groups))

    def train(self, *partitions: Partition) -> None:
        for one in partitions:
            fields = dict(logged_training(one.path)) | {"partitions": [one], "rows": one.rows}
            self.append(TrainEntry(**self._header(), **fields, state=STATE))

    def skip(self, partition: Partition | UnreadFile, reason: str) -> None:
        self.append(SkipEntry(**self._header(), partition=partition, reason=reason))

    def rewind(self, to: int, *excluded: Partition) -> None:
        self.append(RewindEntry(**self._header(), to=to, excluded=list(excluded)))

    def _header(self) -> dict[str, Any]:
        fields = {"parent_sha256": "0" * 64, "attempt": "0" * 32, "time": "now"}
        return dict(Header(version=self.version + 1, **fields))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def lake(tmp_path) -> Path:
    files = {name: number_table(300 + 10 * i, seed=i) for i, name in enumerate(NAMES)}
    return write_files(tmp_path / "lake", {f"{name}.parquet": files[name] for name in NAMES})


@pytest.fixture
def found(lake) -> Callable[..., dict[str, Partition]]:
    """Read the partitions that are in the lake now, by the letter of their file."""

    def read() -> dict[str, Partition]:
        pairs = [(file.key[0], file) for file in discover(str(lake))]
        return {name: one for name, f in pairs for one in partitions(f, read_footer(f))}

    return read


@pytest.fixture
def planned(lake, log) -> Callable[..., Plan]:
    """Make a plan from the log, the lake as it is now, and some fields of the job."""

    def make(*, split_bytes: int = WHOLE, **fields: Any) -> Plan:
        given = {"lake": str(lake), "label": "y", "model": "m", "order": "stored", **fields}
        files = {file.key: file for file in discover(str(lake))}
        check = ColumnCheck(SCHEMA, label=True)
        with Workers() as workers:
            return make_plan(
                log, files, Job(**given), check, workers=workers, split_bytes=split_bytes
            )

    return make


def write(lake: Path, name: str, n_rows: int, seed: int = 9) -> None:
    pq.write_table(number_table(n_rows, seed), lake / f"{name}.parquet")


def names(groups: Sequence[Group]) -> list[str]:
    """Return the letters of the files of each group."""
    return ["".join(one.path[0] for one in group.partitions) for group in groups]


def left_out(plan: Plan) -> dict[str, str]:
    return {partition.path[0]: reason for partition, reason in plan.skips}


# -- new and known -------------------------------------------------------------------------------


def test_new_files_are_planned_and_the_history_stays(planned, log, found):
    plan = planned()
    assert (names(plan.groups), plan.skips, log.version) == (NAMES, [], 0)
    assert [group.partitions for group in plan.groups] == [[one] for one in found().values()]


def test_trained_files_are_not_planned_again(planned, log, found):
    log.plan(*found().values())
    log.train(*found().values())
    assert planned() == Plan()


def test_file_that_has_landed_is_the_only_one_planned(planned, log, lake, found):
    log.plan(*found().values())
    log.train(*found().values())
    write(lake, "e", 100)
    assert names(planned().groups) == ["e"]


def test_what_lands_while_a_plan_is_unfinished_waits_for_its_end(planned, log, lake, found):
    log.plan(*found().values())
    log.train(found()["a"])
    write(lake, "e", 100)
    assert planned() == Plan()
    log.train(*list(found().values())[1:4])
    assert names(planned().groups) == ["e"]


def test_file_without_rows_is_neither_planned_nor_left_out(planned, lake):
    write(lake, "e", 0)
    assert names(planned().groups) == NAMES


def test_ranges_of_a_large_file_are_partitions_of_their_own(planned, log, lake):
    pq.write_table(number_table(300, 0), lake / "a.parquet", row_group_size=100)
    groups = planned(split_bytes=1).groups
    assert names(groups) == ["a", "a", "a", "b", "c", "d"]
    first, second, third = (group.partitions[0] for group in groups[:3])
    log.plan(first, third)
    log.train(first, third)
    assert planned(split_bytes=1).groups[0].partitions == [second]


def test_renamed_file_is_planned_with_a_warning(planned, log, lake, found, caplog):
    log.plan(*found().values())
    log.train(*found().values())
    (lake / "a.parquet").rename(lake / "z.parquet")
    assert names(planned().groups) == ["z"]
    assert "z.parquet looks like a.parquet, which has been trained" in caplog.text


# -- changed -------------------------------------------------------------------------------------


@pytest.fixture
def changed(log, lake, found) -> Partition:
    """Train all files, then replace one; returns its old partition."""
    before = found()
    log.plan(*before.values())
    log.train(*before.values())
    write(lake, "b", 77)
    return before["b"]


def test_changed_file_is_an_error_by_default(planned, changed):
    with pytest.raises(ChangedPartition, match=r"b.parquet has changed since it was.*77 rows") as e:
        planned()
    assert e.value.path == "b.parquet"


def test_changed_file_is_left_out_once_where_asked(planned, log, changed, found):
    plan = planned(on_changed="skip")
    assert (plan.groups, [partition for partition, _ in plan.skips]) == ([], [found()["b"]])
    assert "310 rows" in left_out(plan)["b"]
    assert "77 rows" in left_out(plan)["b"]
    log.skip(*plan.skips[0])
    assert planned() == planned(on_changed="skip") == Plan()


def test_changed_file_is_trained_as_a_new_one_where_asked(planned, log, changed, found):
    plan = planned(on_changed="retrain")
    assert (names(plan.groups), plan.skips) == (["b"], [])
    assert plan.groups[0].partitions == [found()["b"]] != [changed]
    log.plan(found()["b"])
    log.train(found()["b"])
    assert planned() == Plan()


def test_changed_file_that_was_left_out_can_still_be_retrained(planned, log, changed):
    log.skip(*planned(on_changed="skip").skips[0])
    assert names(planned(on_changed="retrain").groups) == ["b"]


def test_old_content_that_comes_back_is_known(planned, log, lake, changed, found):
    log.plan(found()["b"])
    log.train(found()["b"])
    write_files(lake, {"b.parquet": number_table(310, seed=1)})
    assert found()["b"] == changed
    assert planned() == Plan()


def test_file_that_changes_before_it_is_trained_loses_its_old_partition(planned, log, lake, found):
    old = found()["b"]
    log.plan(*found().values())
    write(lake, "b", 77)
    with pytest.raises(ChangedPartition, match=r"b.parquet"):
        planned()
    skipped, retrained = planned(on_changed="skip"), planned(on_changed="retrain")
    assert [partition for partition, _ in skipped.skips] == [old, found()["b"]]
    assert [partition for partition, _ in retrained.skips] == [old]
    assert "changed before it was trained" in left_out(retrained)["b"]
    # The other files of the old plan are still to be trained.
    assert skipped.groups == retrained.groups == []


def test_trained_file_that_has_lost_its_rows_is_a_changed_one(planned, lake, changed):
    write(lake, "b", 0)
    with pytest.raises(ChangedPartition, match=r"b.parquet"):
        planned()


# -- bad and gone --------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["no Parquet", "a column is missing"])
def test_bad_file_is_an_error_or_left_out_once(planned, log, lake, harm):
    path = lake / "b.parquet"
    if harm == "no Parquet":
        path.write_bytes(b"no rows at all" * 9)
    else:
        pq.write_table(number_table(50, 1).drop_columns("a"), path)
    with pytest.raises(BadPartition, match=r"b.parquet"):
        planned()
    plan = planned(on_bad="skip")
    assert (names(plan.groups), plan.skips[0][0]) == (["a", "c", "d"], UnreadFile("b.parquet"))
    log.skip(*plan.skips[0])
    again = planned(on_bad="skip")
    assert (names(again.groups), again.skips) == (["a", "c", "d"], [])
    with pytest.raises(BadPartition, match=r"b.parquet"):
        planned()


def test_planned_file_that_is_gone_is_an_error_or_left_out(planned, log, lake, found):
    old = found()["b"]
    log.plan(*found().values())
    (lake / "b.parquet").unlink()
    with pytest.raises(BadPartition, match=r"b.parquet: planned, but no longer in the lake"):
        planned()
    plan = planned(on_bad="skip")
    assert (plan.groups, [partition for partition, _ in plan.skips]) == ([], [old])
    log.skip(*plan.skips[0])
    assert planned() == Plan()


def test_new_files_are_planned_when_the_skips_end_the_old_plan(planned, log, lake, found):
    log.plan(found()["a"])
    (lake / "a.parquet").unlink()
    plan = planned(on_bad="skip")
    assert (names(plan.groups), list(left_out(plan))) == (["b", "c", "d"], ["a"])


def test_trained_file_that_is_gone_is_no_matter(planned, log, lake, found):
    log.plan(*found().values())
    log.train(*found().values())
    (lake / "b.parquet").unlink()
    assert planned() == Plan()


# -- groups and order ----------------------------------------------------------------------------


def test_interleaved_groups_take_evenly_spaced_partitions(planned, lake):
    write(lake, "e", 100)
    assert names(planned(interleave=2).groups) == ["ad", "be", "c"]
    assert names(planned(interleave=5).groups) == ["abcde"]


def test_each_epoch_has_each_partition_once(planned):
    groups = planned(epochs=3, order="shuffled").groups
    assert [group.epoch for group in groups] == [epoch for epoch in (1, 2, 3) for _ in NAMES]
    orders = [names(groups[i : i + 4]) for i in (0, 4, 8)]
    assert all(sorted(order) == NAMES for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_shuffled_order_follows_from_the_seed(planned):
    by_seed = [names(planned(order="shuffled", seed=seed).groups) for seed in (0, 0, *range(1, 9))]
    assert by_seed[0] == by_seed[1]
    assert len({tuple(order) for order in by_seed}) > 2


def test_order_after_a_rewind_is_that_of_a_model_that_had_never_gone_on(planned, log, found):
    first = found()
    log.plan(first["a"])
    log.train(first["a"])
    expected = [names(planned(order="shuffled", seed=seed).groups) for seed in range(8)]
    log.plan(first["b"], first["c"])
    log.train(first["b"], first["c"])
    log.rewind(2)
    assert [names(planned(order="shuffled", seed=seed).groups) for seed in range(8)] == expected


def test_partition_that_a_rewind_excludes_is_never_planned_again(planned, log, found):
    first = found()
    log.plan(*first.values())
    log.train(*first.values())
    log.rewind(0, first["b"])
    log.skip(first["b"], "excluded by the rewind")
    for on_changed in ("error", "retrain"):
        assert names(planned(on_changed=on_changed).groups) == ["a", "c", "d"]
