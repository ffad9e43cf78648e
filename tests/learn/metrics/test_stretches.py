"""Stretches: the metrics of the last rows are those of exactly these rows."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.learn.metrics import Stretches, make_metrics


def make():
    return make_metrics("squared")


def rows(n_rows: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n_rows), rng.normal(size=n_rows), rng.random(n_rows) + 0.5


def metrics_of(rows, last: int):
    found = make()
    found.add(*(column[len(column) - last :] for column in rows))
    return found


def added(stretches: Stretches, rows, sizes) -> Stretches:
    for first, last in zip(np.cumsum([0, *sizes]), np.cumsum(sizes), strict=False):
        stretches.add(*(column[first:last] for column in rows))
    return stretches


def check(stretches: Stretches, rows, most: float = 0.2) -> None:
    n_rows = len(rows[0])
    whole, last = stretches.whole(), stretches.last()
    assert whole.n_rows == stretches.n_rows == n_rows
    assert whole.values() == pytest.approx(metrics_of(rows, n_rows).values())
    assert max(256, n_rows / 10) <= last.n_rows <= most * n_rows + 512
    assert last.values() == pytest.approx(metrics_of(rows, last.n_rows).values())


@pytest.mark.parametrize("n_rows", [2560, 5000, 65_536])
def test_last_tenth_of_a_single_block_is_exactly_a_tenth(n_rows):
    stretches = added(Stretches(make), rows(n_rows), [n_rows])
    assert stretches.last().n_rows == -(-n_rows // 10)
    check(stretches, rows(n_rows))


@pytest.mark.parametrize("size", [1, 50, 900, 4096])
def test_last_rows_of_many_blocks_are_a_tenth_or_little_more(size):
    n_blocks = min(60, 60_000 // size) if size > 1 else 3000
    data = rows(size * n_blocks, seed=1)
    check(added(Stretches(make), data, [size] * n_blocks), data)


@pytest.mark.parametrize("sizes", [[3000] * 40, [100] * 60, [40_000, 100, 100, 30_000], [9000] * 2])
def test_last_rows_of_a_run_are_put_together_from_its_groups(sizes):
    data, run, first = rows(sum(sizes), seed=2), Stretches(make), 0
    for size in sizes:
        own = tuple(column[first : first + size] for column in data)
        run.extend(added(Stretches(make), own, [size]))
        first += size
    check(run, data)


@pytest.mark.parametrize("n_rows", [0, 1, 300, 511])
def test_few_rows_have_no_last_ones(n_rows):
    assert added(Stretches(make), rows(n_rows), [n_rows]).last() is None


def test_block_that_is_most_of_the_rows_says_nothing_about_the_last_ones():
    whole = metrics_of(rows(1000), 1000)
    assert Stretches(make, [whole]).last() is None
    run = Stretches(make, [metrics_of(rows(1000), 1000)])
    run.extend(Stretches(make, [metrics_of(rows(1000, seed=1), 1000)]))
    assert run.last().n_rows == 1000
