"""Shares of a row group: each row in one of them, each with rows from all over the row group."""

from __future__ import annotations

import numpy as np
import pytest

from onepass.lake.spread import MANY, Spread


def rows(spread: Spread, share: int) -> np.ndarray:
    return np.concatenate([np.arange(first, first + n) for first, n in spread.pieces(share)])


@pytest.mark.parametrize(
    ("n_rows", "n_shares"),
    [(2, 2), (7, 2), (100, 3), (1000, 999), (4999, 10), (70_001, 2), (262_144, 4), (99_991, 61)],
)
def test_each_row_is_in_one_share_and_shares_are_of_equal_size(n_rows, n_shares):
    spread = Spread(n_rows, n_shares, MANY, (3, "a", 0))
    found = [rows(spread, share) for share in range(n_shares)]
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(n_rows))
    assert [len(one) for one in found] == [spread.rows(share) for share in range(n_shares)]
    assert np.ptp([len(one) for one in found]) <= 1
    assert all((np.diff(one) > 0).all() for one in found)


@pytest.mark.parametrize("n_shares", [2, 4, 16, 61])
@pytest.mark.parametrize("rows_per_share", [512, 4096, 65_536])
def test_quantiles_of_each_share_are_those_of_the_sorted_row_group(n_shares, rows_per_share):
    n_rows = n_shares * rows_per_share
    spread = Spread(n_rows, n_shares, MANY, (3, "a", 0))
    for share in range(n_shares):
        at = np.quantile(rows(spread, share) / n_rows, [0.25, 0.5, 0.75])
        np.testing.assert_allclose(at, [0.25, 0.5, 0.75], atol=0.07)


def test_period_of_the_data_does_not_meet_that_of_the_cut():
    spread = Spread(1 << 18, 16, MANY, (3, "a", 0))
    for period in (1024, 16 * 256, 1 << 14):
        low = [(rows(spread, share) % period < period // 2).mean() for share in range(16)]
        assert np.abs(np.array(low) - 0.5).mean() < 0.2


def test_seed_decides_the_cut():
    one, same, other = (Spread(9000, 9, MANY, (seed, "a", 0)) for seed in (1, 1, 2))
    assert one.pieces(4) == same.pieces(4) != other.pieces(4)
