"""Sizes of rounds: from the plan and the rows learnt alone, whatever happens to files meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pytest

from lakes import logged_partition
from onepass.partition import Group
from onepass.training.round_sizes import (
    DENSE,
    HASHED,
    Remembered,
    Rounds,
    Rule,
    automatic,
    rows_of,
    rule_of,
)

EVERYTHING = Remembered()


def groups(rows: Sequence[int], epoch: int = 1) -> list[Group]:
    return [Group(epoch, [logged_partition(f"part-{i}", n)]) for i, n in enumerate(rows)]


def sizes(
    planned: list[Group],
    most: int,
    rule: Rule,
    remembered: Remembered = EVERYTHING,
    *,
    known_bad: Collection[str] = (),
    learnt: int = 0,
) -> list[int]:
    """Train a plan on paper: the number of groups of each round."""
    rounds, left, found = Rounds(planned, most, rule, remembered), list(planned), []
    left = [group for group in left if group.partitions[0].path not in known_bad]
    while left:
        n = rounds.next_size(left, learnt)
        found.append(n)
        learnt += rows_of(left[:n])
        left = left[n:]
    return found


def committed(planned: list[Group], most: int, bad: set[str], *, noticed: bool) -> list[list[str]]:
    """Paths of each committed round, if bad files are noticed before training or in a round."""
    rounds, left, learnt, found = Rounds(planned, most, DENSE), list(planned), 0, []
    if noticed:
        left = [group for group in left if group.partitions[0].path not in bad]
    while left:
        now = left[: rounds.next_size(left, learnt)]
        if at_fault := bad & {group.partitions[0].path for group in now}:
            left = [group for group in left if group.partitions[0].path not in at_fault]
            continue
        found.append([group.partitions[0].path for group in now])
        learnt += rows_of(now)
        left = left[len(now) :]
    return found


def test_first_groups_are_learnt_alone_and_rounds_grow_with_what_is_learnt():
    found = sizes(groups([100] * 64), 16, DENSE)
    assert found == [1, 1, 1, 1, 2, 2, 4, 6, 8, 12, 16, 10]
    learnt = np.cumsum([0, *found[:-1]])
    assert all(n == 1 or n <= before / 2 for n, before in zip(found, learnt, strict=True))
    hashed = sizes(groups([100] * 64), 16, HASHED)
    assert hashed[:8] == [1] * 8
    learnt = np.cumsum([0, *hashed[:-1]])
    assert all(n == 1 or n <= before / 4 for n, before in zip(hashed, learnt, strict=True))


def test_rounds_of_one_are_all_there_is_without_parallel():
    assert sizes(groups([100] * 5), 1, DENSE, learnt=10**6) == [1] * 5


def test_round_ends_at_the_epoch_and_at_the_number_of_groups_that_the_job_allows():
    planned = groups([10] * 7) + groups([10] * 7, epoch=2)
    assert sizes(planned, 5, DENSE, learnt=10**6) == [5, 2, 5, 2]


def test_round_is_small_beside_what_a_model_that_forgets_remembers():
    planned = groups([100] * 40)
    rows = Remembered.of(1_000, None)
    assert rows.rows == pytest.approx(1_000 / np.log(2))
    assert sizes(planned, 16, DENSE, rows, learnt=10**6)[0] == 6
    assert set(sizes(planned, 16, HASHED, rows, learnt=10**6)) == {2}
    assert set(sizes(planned, 16, DENSE, Remembered.of(None, 6.0), learnt=10**6)) == {4}
    assert set(sizes(planned, 16, DENSE, Remembered.of(None, 1.0), learnt=10**6)) == {1}


def test_large_group_is_a_round_by_itself():
    assert sizes(groups([10, 10, 900, 10, 10]), 4, DENSE, learnt=100) == [2, 1, 2]


@pytest.mark.parametrize("seed", range(40))
def test_it_does_not_matter_when_a_bad_file_is_noticed(seed):
    rng = np.random.default_rng(seed)
    planned = groups(rng.integers(1, 200, 40).tolist())
    bad = {f"part-{i}" for i in rng.choice(40, 8, replace=False)}
    early, late = (committed(planned, 8, bad, noticed=noticed) for noticed in (True, False))
    assert early == late
    assert max(map(len, early)) > 2
    paths = [path for one in early for path in one]
    assert sorted(paths) == sorted({f"part-{i}" for i in range(40)} - bad)


@pytest.mark.parametrize("seed", range(10))
def test_groups_that_follow_each_other_alone_are_those_whose_rounds_have_one(seed):
    rng = np.random.default_rng(seed)
    planned = groups(rng.integers(1, 200, 30).tolist())
    rounds, left, learnt = Rounds(planned, 8, DENSE), planned, 0
    found: list[int] = []
    while left:
        n = rounds.n_alone(left, learnt)
        found += [1] * n or [rounds.next_size(left, learnt)]
        n = n or found[-1]
        learnt, left = learnt + rows_of(left[:n]), left[n:]
    assert found == sizes(planned, 8, DENSE)


def test_automatic_number_is_one_for_small_lakes_and_bounded_for_large_ones():
    assert [automatic(n, DENSE) for n in (1, 7, 8, 16, 31, 32, 10**6)] == [1, 1, 2, 4, 4, 8, 256]
    assert [automatic(n, HASHED) for n in (1, 15, 16, 10**6)] == [1, 1, 2, 256]
    assert (rule_of(0), rule_of(3)) == (DENSE, HASHED)
    assert rule_of(51).share == 1 / 50
