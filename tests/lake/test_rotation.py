"""Cursors read every row once, in blocks that resemble the whole, with few decoders open."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass.errors import JobError
from onepass.lake.discover import discover
from onepass.lake.footer import partitions, read_footer
from onepass.lake.limits import ReadLimits
from onepass.lake.order import drawn
from onepass.lake.rotation import Columns, Source, rounds

COLUMNS = Columns(["row"], frozenset())


def sources(folder: Path, layout: dict[str, tuple[int, int]]) -> list[Source]:
    """Write files of the given rows, in row groups of the given rows, and open their partitions."""
    first = 0
    for name, (n_rows, group) in layout.items():
        table = pa.table({"row": np.arange(first, first + n_rows)})
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=group)
        first += n_rows
    found = []
    for file in discover(str(folder)):
        footer = read_footer(file)
        found += [Source(partition, file, footer) for partition in partitions(file, footer)]
    return found


def read(found: list[Source], batch_rows: int, **options) -> list[list[np.ndarray]]:
    return [
        [step.reader.read(step.unit)["row"].to_numpy() for step in steps]
        for steps in rounds(found, COLUMNS, batch_rows, **options)
    ]


LAYOUTS = {
    "one small": {"a": (900, 100)},
    "large row groups": {"a": (5000, 1000)},
    "one giant row group": {"a": (5000, 5000)},
    "many files": {name: (700 + 100 * i, 300) for i, name in enumerate("abcdef")},
    "uneven files": {"a": (9000, 2000), "b": (30, 30), "c": (500, 50)},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("batch_rows", [64, 512, 100_000])
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("epoch", [1, 2])
def test_every_row_is_read_once_in_rounds_of_bounded_size(
    tmp_path, layout, batch_rows, seed, epoch
):
    found = sources(tmp_path, layout)
    parts = read(found, batch_rows, seed=seed, epoch=epoch)
    rows = np.concatenate([part for steps in parts for part in steps])
    n_rows = sum(n for n, _ in layout.values())
    np.testing.assert_array_equal(np.sort(rows), np.arange(n_rows))
    # A share of less than one row is rounded up to one.
    assert max(sum(map(len, steps)) for steps in parts) <= batch_rows + len(found)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("batch_rows", [64, 512, 100_000])
@pytest.mark.parametrize("spread_bytes", [20_000, None])
def test_spread_row_groups_are_read_once_and_alike_at_any_memory(
    tmp_path, layout, batch_rows, spread_bytes
):
    found = sources(tmp_path, layout)
    by_memory = [
        read(found, batch_rows, seed=3, whole_bytes=whole, spread_bytes=spread_bytes)
        for whole in (0, 9_000, 60_000, 1 << 30)
    ]
    for parts in by_memory:
        assert [[p.tolist() for p in steps] for steps in parts] == [
            [p.tolist() for p in steps] for steps in by_memory[0]
        ]
    rows = np.concatenate([part for steps in by_memory[0] for part in steps])
    np.testing.assert_array_equal(np.sort(rows), np.arange(sum(n for n, _ in layout.values())))
    assert max(sum(map(len, s)) for s in by_memory[0]) <= batch_rows + len(found)


@pytest.mark.parametrize("layout", [(9000, 9000), (9000, 3000), (9000, 300)])
def test_each_block_resembles_a_sorted_file_however_it_is_cut_into_row_groups(tmp_path, layout):
    parts = read(sources(tmp_path, {"a": layout}), 1000, seed=1, spread_bytes=None)
    assert len(parts) >= 9
    for steps in parts[:9]:
        at = np.quantile(np.concatenate(steps) / 9000, [0.1, 0.25, 0.5, 0.75, 0.9])
        np.testing.assert_allclose(at, [0.1, 0.25, 0.5, 0.75, 0.9], atol=0.1)


def test_row_groups_above_the_bound_are_read_in_slices(tmp_path):
    found = sources(tmp_path, {"a": (9000, 9000)})
    # 9,000 numbers of 8 bytes, their validity, and three shares of a ninth.
    needed = (9000 * 8 + 9000 // 8) * 12 // 9
    slices = read(found, 1000, seed=1)
    assert all((np.diff(part) == 1).all() for steps in slices for part in steps)
    for most, is_spread in ((0, False), (needed - 1, False), (needed, True)):
        parts = read(found, 1000, seed=1, spread_bytes=most)
        assert (not np.array_equal(parts[0][0], slices[0][0])) == is_spread


def test_spread_row_groups_have_an_order_of_their_own_in_each_epoch(tmp_path):
    found = sources(tmp_path, {"a": (9000, 9000)})
    first = [read(found, 1000, seed=1, epoch=n, spread_bytes=None)[0][0] for n in (1, 2)]
    assert set(first[0]) != set(first[1])


def test_stored_order_of_one_partition_is_that_of_the_file(tmp_path):
    for rows, spread_bytes in ((64, 0), (512, None), (3000, 1 << 30)):
        found = sources(tmp_path, {"a": (5000, 1000)})
        parts = read(found, rows, spread_bytes=spread_bytes)
        np.testing.assert_array_equal(
            np.concatenate([p for s in parts for p in s]), np.arange(5000)
        )
        assert {len(steps) for steps in parts} == {1}


def test_each_round_takes_of_each_file_in_proportion_to_its_size(tmp_path):
    found = sources(tmp_path, {"a": (6000, 500), "b": (3000, 500), "c": (3000, 3000)})
    for steps in read(found, 400, seed=1)[:14]:
        of = Counter(np.digitize(np.concatenate(steps), [6000, 9000]).tolist())
        assert of[0] == pytest.approx(200, abs=10)
        assert of[1] == pytest.approx(100, abs=8)
        assert of[2] == pytest.approx(100, abs=8)


def test_large_row_groups_of_a_file_are_read_in_turn_when_shuffled(tmp_path):
    parts = read(sources(tmp_path, {"a": (8000, 1000)}), 800, seed=1)
    groups = {int(row) // 1000 for part in parts[0] for row in part}
    assert groups == set(range(8))


def test_epochs_have_orders_of_their_own(tmp_path):
    found = sources(tmp_path, {"a": (900, 30)})
    one, two = (
        np.concatenate([p for s in read(found, 100, seed=1, epoch=e) for p in s]) for e in (1, 2)
    )
    assert (one != two).any()


def test_open_decoders_stay_within_the_budget(tmp_path):
    found = sources(tmp_path, {"a": (8000, 1000)})
    page = 8000
    three = read(found, 800, seed=1, limits=ReadLimits(reader_bytes=3 * page))
    assert 1 <= len(three[0]) <= 3
    one = read(found, 800, seed=1, limits=ReadLimits(reader_bytes=1))
    assert len(one[0]) == 1


def test_too_many_large_partitions_at_once_are_refused(tmp_path):
    found = sources(tmp_path, {name: (4000, 4000) for name in "abcd"})
    with pytest.raises(JobError, match="smaller --interleave"):
        read(found, 400, seed=1, limits=ReadLimits(group_reader_bytes=1000))


def test_drawn_sample_has_its_share_and_does_not_depend_on_cuts():
    whole = drawn(100_000, 0, 1 / 32, "file", 3)
    assert whole.mean() == pytest.approx(1 / 32, rel=0.05)
    cut = np.concatenate(
        [drawn(30_000, 0, 1 / 32, "file", 3), drawn(70_000, 30_000, 1 / 32, "file", 3)]
    )
    np.testing.assert_array_equal(whole, cut)
    other = drawn(100_000, 0, 1 / 32, "file", 4)
    assert (whole & other).mean() == pytest.approx(1 / 1024, rel=0.4)
