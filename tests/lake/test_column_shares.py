"""Shares of columns cover each column once and keep to their memory."""

from __future__ import annotations

import pytest

from onepass.lake.column_shares import ColumnSize, column_shares

MIB = 1 << 20


@pytest.mark.parametrize("n_bytes", [0, 8 * MIB, 100 * MIB, 1 << 40])
def test_each_column_is_in_one_share_that_fits_or_is_alone(n_bytes):
    sizes = {f"x{i}": ColumnSize(4 * MIB * (1 + i % 3), 2 * MIB) for i in range(50)}
    sizes |= {f"t{i}": ColumnSize(None, MIB) for i in range(9)}
    shares = column_shares(sizes, MIB, 4096, n_bytes)
    assert sorted(name for share in shares for name in share.columns) == sorted(sizes)
    for share in shares:
        assert 4096 <= share.rows <= MIB
        found = [sizes[name] for name in share.columns]
        taken = sum((one.decoded or 0) * share.rows / MIB + one.pages for one in found)
        assert taken <= n_bytes or len(found) == 1
    if n_bytes == 1 << 40:
        assert [share.rows for share in shares] == [MIB, 4096]


def test_rows_at_a_time_are_fewer_where_a_column_does_not_fit():
    sizes = {"x": ColumnSize(400 * MIB, 2 * MIB), "y": ColumnSize(100 * MIB, 2 * MIB)}
    (share, other) = column_shares(sizes, 100 * MIB, 4096, 8 * MIB)
    assert (share.columns, other.columns) == (["x"], ["y"])
    assert share.rows == other.rows == MIB
