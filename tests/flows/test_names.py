"""Names of runs say what is trained."""

from __future__ import annotations

import pytest

from onepass.partition import Fingerprint, Group, Partition
from prefect_onepass.names import (
    after_training,
    before_training,
    describe,
    model_name,
    of_labels,
    span,
)

# Prefect and its dependencies warn about themselves.
pytestmark = pytest.mark.filterwarnings("default")


def partition(path: str, first: int = 0, end: int = 4) -> Partition:
    return Partition(path, first, end, 10, Fingerprint(100, "f" * 64, 40, 4))


def days(*numbers: int) -> list[Partition]:
    return [partition(f"date=2026-03-{day:02d}/part-0.parquet") for day in numbers]


def groups(*numbers: int) -> list[Group]:
    return [Group(1, [day]) for day in days(*numbers)]


def test_names_of_tasks_say_which_of_several_labels_they_are_about():
    assert before_training(0, groups(1, 2)) == "train from 1 of 2: date=2026-03-01/part-0"
    for_two = of_labels(["paid", "sold"], ["paid", "sold", "lost"])
    name = after_training(1, groups(2, 3), days(2, 3), groups(1, 2, 3), for_two)
    assert name == "train 2-3 of 3 for 2 labels: date=2026-03-02..03"
    assert of_labels(["sold"], ["paid", "sold"]) == " for sold"
    assert of_labels(["paid"], ["paid"]) == ""


def test_days_that_follow_each_other_are_a_range():
    assert describe(days(6, 4, 7, 5), days(*range(1, 31))) == "date=2026-03-04..07"


def test_days_with_gaps_among_those_planned_are_listed():
    named = describe(days(9, 4, 17, 12), days(*range(1, 31)))
    assert named == "date=2026-03-04, 09, 12, ... (4 in all)"


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (["date=2026-03-04/part-0.parquet"], "date=2026-03-04/part-0"),
        (["date=2026-03-04/a.parquet", "date=2026-03-04/b.parquet"], "date=2026-03-04"),
        (["date=2026-03-30/a.parquet", "date=2026-04-02/a.parquet"], "date=2026-03-30..04-02"),
        (["region=eu/date=1/a.parquet", "region=eu/date=12/a.parquet"], "region=eu/date=1..12"),
        ([f"part-{i}.parquet" for i in (10, 9, 11)], "part-9..11"),
        (["2026/clicks.parquet", "2026/views.parquet"], "2026/clicks..views"),
        (["a.parquet", "b.parquet"], "a..b"),
        (["bad\x1bname.parquet"], "bad\\x1bname"),
    ],
)
def test_partitions_are_named_by_what_they_have_in_common(paths, named):
    assert describe([partition(path) for path in paths]) == named


def test_ranges_of_one_file_are_named_by_the_file_and_one_range_by_its_row_groups():
    ranges = [partition("huge.parquet", 0, 2), partition("huge.parquet", 2, 4)]
    assert describe(ranges) == "huge"
    assert describe(ranges[1:]) == "huge[2:4]"


def test_span_is_told_of_partitions_with_others_in_between():
    assert span(days(9, 4, 17)) == "date=2026-03-04..17"
    assert span(days(9)) == "date=2026-03-09/part-0"


def test_what_is_left_at_the_end_of_a_plan_is_no_range_of_it():
    plan = groups(*range(1, 9))
    trained = after_training(5, [plan[0], plan[3], plan[7]], days(1, 4, 8), plan)
    assert trained == "train 6-8 of 8: date=2026-03-01, 04, 08"


def test_long_names_lose_their_middle():
    named = describe([partition("a" * 300 + "/date=2026-03-04.parquet")])
    assert len(named) <= 100
    assert named.endswith("date=2026-03-04")


def test_task_says_where_it_begins_and_afterwards_what_it_has_trained():
    plan, pending = groups(*range(1, 9)), groups(4, 5, 6, 7, 8)
    assert before_training(12, pending) == "train from 13 of 17: date=2026-03-04/part-0"
    assert before_training(16, pending[-1:]) == "train 17 of 17: date=2026-03-08/part-0"
    trained = after_training(12, pending, days(4, 5, 6, 7), plan)
    assert trained == "train 13-16 of 17: date=2026-03-04..07"
    gaps = after_training(12, pending, days(4, 6), plan)
    assert gaps == "train 13-14 of 17: date=2026-03-04, 06"
    assert after_training(12, pending, [], plan) == "train nothing: 12 of 17 done"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("/srv/models/a/clicks", "a/clicks"),
        ("/srv/models/a/clicks/", "a/clicks"),
        ("s3://bucket/clicks", "bucket/clicks"),
        ("clicks", "clicks"),
        ("../clicks", "clicks"),
    ],
)
def test_model_is_named_by_its_last_two_folders(model, name):
    assert model_name(model) == name
