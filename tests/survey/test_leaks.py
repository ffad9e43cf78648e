"""Warnings about columns that tell the label, and none about strong ones that do not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from labels import KINDS, N, label
from onepass.survey.choice import Choice
from onepass.survey.dependence import explained_by_column, explained_out_of_sample
from onepass.survey.leaks import leak_warnings
from onepass.survey.profile import profile_columns


def warnings(target, classes=(), **columns):
    sample = pa.table(columns)
    profiles = profile_columns(sample, {}, Choice(), skip=set())
    assert all(profile.use is not None for profile in profiles)
    return leak_warnings("y", target, sample, profiles, classes=classes)


def leaks(target, **columns):
    return [warning.split(":")[0] for warning in warnings(target, **columns)]


@pytest.mark.parametrize("kind", KINDS)
def test_function_of_the_label_is_a_leak(kind):
    rng, target = np.random.default_rng(0), label(kind)
    known = np.nan_to_num(target)
    noise = rng.normal(size=N) * 0.01 * np.nanstd(target / np.nanmax(target)) * np.nanmax(target)
    rank = np.argsort(np.argsort(known)).astype(float)
    assert leaks(
        target,
        same=known,
        noisy=-3 * known + noise,
        gaps=pa.array(known, mask=rng.random(N) < 0.3),
        curved=np.exp(rank / N * 20),
        when=pa.array(rank.astype(int)).cast(pa.timestamp("s")),
        word=pa.array(np.where(known > np.median(known), "hi", "lo")),
    ) == ["same", "noisy", "gaps", "curved", "when", *(["word"] if kind == "classes" else [])]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_that_explain_little_are_no_leaks(kind):
    rng, target = np.random.default_rng(0), label(kind)
    known = np.nan_to_num(target)
    assert not leaks(
        target,
        chance=rng.normal(size=N),
        useful=known / np.std(known / np.max(known)) / np.max(known) + rng.normal(size=N),
        many=pa.array(rng.integers(0, 3000, N).astype(str)),
        few=pa.array(rng.integers(0, 9, N).astype(str)).dictionary_encode(),
        huge=rng.normal(size=N) * 1e307,
        flag=rng.random(N) < 0.5,
    )


def test_category_that_determines_the_label_is_a_leak():
    rng = np.random.default_rng(0)
    code = rng.integers(0, 300, N)
    target = rng.normal(size=300)[code]
    assert leaks(
        target,
        code=pa.array(code.astype(str)),
        view=pa.array(code.astype(str)).cast(pa.string_view()),
        coarse=pa.array((code // 10).astype(str)),
    ) == ["code", "view"]


def test_column_that_is_not_used_is_not_warned_about():
    target = label("number")
    sample = pa.table({"same": target, "unused": [f"r{value}" for value in target]})
    profiles = profile_columns(sample, {}, Choice(exclude=("same",)), skip={"same"})
    assert leak_warnings("y", target, sample, profiles) == []


# -- out of sample -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_groups", [1, 2, 40, 150, 400])
def test_share_out_of_sample_is_that_of_leaving_out_each_row_in_turn(n_groups):
    rng = np.random.default_rng(n_groups)
    n = 200
    group = rng.integers(0, n_groups, n)
    target = rng.integers(0, 4, n_groups)[group].astype(float)
    target[rng.random(n) < 0.3] = 2.0
    left, total = np.zeros(2), np.zeros(2)
    indicators = np.eye(4)[target.astype(int)]
    for which, values in enumerate((target[:, None], indicators)):
        for i in range(n):
            others = np.arange(n) != i
            alike = others & (group == group[i])
            near = values[alike] if alike.any() else values[others]
            left[which] += ((values[i] - near.mean(axis=0)) ** 2).sum()
            total[which] += ((values[i] - values[others].mean(axis=0)) ** 2).sum()
    for which, classes in enumerate((False, True)):
        share = explained_out_of_sample(target, group, classes=classes)
        assert share == pytest.approx(max(0.0, 1 - left[which] / total[which]), abs=1e-12)


@pytest.mark.parametrize("classes", [False, True])
def test_rare_label_in_a_level_of_its_own_explains_nothing(classes):
    target = np.zeros(2000)
    target[:3] = 1.0
    level = pa.array([f"only {i}" for i in range(3)] + [f"{i % 400}" for i in range(1997)])
    assert explained_by_column(level, target, classes=classes) < 0.01


# -- nulls ---------------------------------------------------------------------------------------


def claims():
    """Numbers of claims, most of which are none, and the mean amount of those that there are."""
    rng = np.random.default_rng(4)
    count = rng.poisson(0.3, N).astype(float)
    mean = pa.array(rng.gamma(2.0, 100.0, N), mask=count == 0)
    return count, mean


def test_column_that_is_null_where_there_was_nothing_is_a_leak():
    count, mean = claims()
    assert explained_by_column(mean, count, classes=False) < 0.1
    (warning,) = warnings(count, average=mean, chance=np.random.default_rng(0).normal(size=N))
    assert warning.startswith("average: whether it is null tells y (0 in 100.0% of the rows where")
    has = (count > 0).astype(float)
    (warning,) = warnings(has, ("no", "yes"), average=mean)
    assert "(no in 100.0% of the rows where it is null, 0.0% of others)" in warning


def test_nan_counts_as_null_and_a_filled_column_may_tell_one_class_of_three():
    rng = np.random.default_rng(5)
    target = rng.integers(0, 3, N).astype(float)
    repaired = np.where(target == 1, rng.normal(size=N), np.nan)
    (warning,) = warnings(target, ("new", "returned", "sold"), repaired=repaired)
    assert "(returned in 100.0% of the rows where it is not null, 0.0% of others)" in warning


def test_text_is_judged_by_the_numbers_and_times_that_it_holds():
    rng, target = np.random.default_rng(0), label("number")
    days = np.argsort(np.argsort(target)).astype("datetime64[D]").astype(str)
    found = leaks(target, number=pa.array([f"{3 - 2 * y:.9f}" for y in target]), day=pa.array(days))
    assert found == ["number", "day"]
    noise = [f"{x:.9f}" for x in rng.normal(size=N)]
    assert leaks(target, noise=pa.array(noise)) == []


@pytest.mark.parametrize(
    ("missing", "values"),
    [("?", ["1", "2.5", "40"]), ("NA", ["2026-01-02", "2026-03-04"]), (" ", ["x", "y", "z"])],
)
def test_text_that_stands_for_a_missing_value_tells_the_label_as_a_null_does(missing, values):
    rng, target = np.random.default_rng(0), label("classes")
    is_missing = (target == 0) & (rng.random(N) < 0.6)
    text = np.where(is_missing, missing, rng.choice(values, N))
    (found,) = warnings(target, classes=["no", "yes"], why=pa.array(text))
    assert "whether it is null tells y (no in 100.0% of the rows where it is null" in found


def test_nulls_that_only_tell_a_part_are_no_leak():
    rng = np.random.default_rng(6)
    target = (rng.random(N) < 0.3).astype(float)
    often = rng.random(N) < np.where(target == 1, 0.9, 0.1)
    # Nearly all labels are 0, where it is null as elsewhere.
    rare = (rng.random(N) < 0.002).astype(float)
    values = rng.normal(size=N)
    assert not warnings(target, often=pa.array(values, mask=often))
    assert not warnings(rare, half=pa.array(values, mask=rng.random(N) < 0.5))
    few = pa.array(values, mask=(target == 1) & (np.arange(N) < 30))
    assert not warnings(target, few=few)


# -- strong columns ------------------------------------------------------------------------------


def part_of(target, share, seed):
    """A column of which the label is a linear function that explains this share."""
    noise = np.random.default_rng(seed).normal(size=N) * np.sqrt(1 / share - 1)
    return target + noise


def test_column_that_explains_far_more_than_all_others_is_to_be_checked():
    target = np.random.default_rng(1).normal(size=N)
    usual = part_of(target, 0.4, 2)
    (warning,) = warnings(target, price=part_of(target, 0.92, 3), usual=usual)
    assert warning.startswith("price: alone explains 92")
    assert "check that it is known when you predict (--exclude price" in warning


def test_strong_column_among_others_that_are_nearly_as_strong_is_not_warned_about():
    target = np.random.default_rng(1).normal(size=N)
    strong = {name: part_of(target, share, i) for i, (name, share) in enumerate(
        {"carat": 0.92, "length": 0.88, "width": 0.87, "table": 0.1}.items(), 2
    )}  # fmt: skip
    assert not warnings(target, **strong)


def test_few_huge_labels_raise_no_alarm_and_hide_no_leak():
    rng = np.random.default_rng(8)
    target = rng.normal(size=N)
    # Two rows make up the variance, and have the same level and the same number by chance.
    target[[7, 8]] = 1e6
    level, number = rng.integers(0, 50, N), rng.normal(size=N)
    level[[7, 8]], number[[7, 8]] = 50, 9.0
    assert not warnings(target, level=pa.array(level.astype(str)), number=number)
    assert leaks(target, same=target * 2, number=number) == ["same"]


@pytest.mark.parametrize("n_rows", [12, 30, 200])
def test_chance_raises_no_alarm_in_small_samples_of_many_columns(n_rows):
    rng = np.random.default_rng(n_rows)
    for target in (rng.normal(size=n_rows), (rng.random(n_rows) < 0.2).astype(float)):
        columns = {f"n{i}": rng.normal(size=n_rows) for i in range(150)}
        columns |= {f"w{i}": rng.integers(0, n_rows, n_rows).astype(str) for i in range(50)}
        columns |= {
            f"g{i}": pa.array(rng.normal(size=n_rows), mask=rng.random(n_rows) < 0.5)
            for i in range(50)
        }
        sample = pa.table(columns)
        profiles = profile_columns(sample, {}, Choice(), skip=set())
        assert leak_warnings("y", target, sample, profiles) == []
