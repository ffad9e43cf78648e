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


def test_stored_order_of_one_partition_is_that_of_the_file(tmp_path):
    for rows in (64, 512, 3000):
        parts = read(sources(tmp_path, {"a": (5000, 1000)}), rows)
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
