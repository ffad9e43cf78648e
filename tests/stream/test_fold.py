"""Fold: one total of all partitions, the same whoever reads them, and no task that outlives it."""

from __future__ import annotations

import os
import pickle
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from lakes import corrupt_pages, number_table, write_files
from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.errors import BadPartition
from onepass.lake.discover import discover
from onepass.lake.footer import partitions, read_footer
from onepass.stream import fold
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.fold import Fold, folded, runs
from onepass.stream.readers import Placed, Readers
from onepass.stream.reading import Reading
from onepass.stream.workers import Workers

SCHEMA = Schema(
    columns=[Numeric(name=name, center=0, scale=1, missing=False) for name in "ab"],
    label=Label(name="y"),
    weight=None,
    hash_bits=10,
    hive={},
)


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    """Let some small files make a run, and others a run each."""
    monkeypatch.setattr(fold, "RUN_ROWS", 180)


MANY = {f"{i:02}.parquet": number_table(100 + 37 * (i % 5), i) for i in range(24)}
FEW = {f"{i}.parquet": number_table(700, i) for i in range(2)}


@dataclass
class Labels:
    """A sum of labels, whose last bits tell in which order they were added."""

    total: float
    n_rows: int

    def add(self, later: Labels) -> None:
        self.total += later.total
        self.n_rows += later.n_rows


def sum_labels(streamed) -> Labels:
    label = streamed.encoded.block.label
    return Labels(float((label / 3).sum()), len(label))


def placed(folder, split_bytes=1 << 12) -> list[Placed]:
    """The partitions of a lake, by default cut into ranges of a few row groups."""
    return [
        Placed(partition, file)
        for file in discover(str(folder))
        for partition in partitions(file, read_footer(file), split_bytes)
    ]


def readers(n_at_once=100, **options) -> Readers:
    reading = Reading(Encoder(SCHEMA), 64, **options)
    return Readers(reading, ColumnCheck(SCHEMA, label=True), n_at_once)


def total_of(folder, monkeypatch, n_cores=2, **options):
    monkeypatch.setattr(os, "cpu_count", lambda: n_cores)
    advanced: list[int] = []
    with Workers() as workers:
        total = folded(
            placed(folder), Fold(readers(**options), sum_labels), workers, advanced.append
        )
    return total, advanced


@pytest.mark.parametrize("files", [MANY, FEW], ids=["many", "few"])
def test_the_total_has_the_same_bits_however_many_threads_read(tmp_path, monkeypatch, files):
    write_files(tmp_path, files, row_group_size=90)
    n_rows = sum(map(len, files.values()))
    found = set()
    for n_cores, n_at_once in [(2, 1), (2, 2), (3, 100), (7, 100), (7, 2), (64, 100)]:
        total, advanced = total_of(tmp_path, monkeypatch, n_cores, n_at_once=n_at_once)
        assert (total.n_rows, sum(advanced)) == (n_rows, n_rows)
        found.add(total.total)
    assert len(found) == 1
    assert len(placed(tmp_path)) > len(files)
    exact = np.concatenate([table["y"] for table in files.values()]).sum() / 3
    assert found.pop() == pytest.approx(exact, rel=1e-12)


def test_large_row_groups_give_the_same_total_in_tasks_and_in_blocks(tmp_path, monkeypatch):
    write_files(tmp_path, MANY, row_group_size=10_000)
    found = {
        total_of(tmp_path, monkeypatch, n_at_once=n_at_once, whole_bytes=whole)[0].total
        for n_at_once in (1, 2)
        for whole in (0, 1 << 20)
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    ("rows", "n_cores", "n_at_once", "expected"),
    [
        pytest.param([100] * 200, 2, 9, True, id="many files"),
        pytest.param([100] * 4, 2, 9, False, id="few files"),
        pytest.param([100] * 4, 64, 64, True, id="few files, but more than a window of blocks"),
        pytest.param([5000, *[100] * 50], 2, 9, False, id="one large file"),
        pytest.param([100] * 200, 2, 1, False, id="memory for one"),
        pytest.param([], 2, 1, True, id="nothing"),
    ],
)
def test_tasks_read_whole_partitions_unless_threads_would_wait(
    monkeypatch, rows, n_cores, n_at_once, expected
):
    monkeypatch.setattr(os, "cpu_count", lambda: n_cores)
    with Workers() as workers:
        assert readers(n_at_once).suits_tasks(rows, workers) == expected


def test_runs_are_of_small_neighbours():
    assert runs([100, 100, 500, 1, 179, 0, 5], lambda n: n) == [[100, 100], [500], [1, 179], [0, 5]]
    assert runs([], int) == []
    assert [len(run) for run in runs([0] * 100, int)] == [64, 36]


def test_tasks_share_the_memory_for_whole_row_groups(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    with Workers() as workers:
        few, many = readers(3, whole_bytes=1200), readers(100, whole_bytes=1200)
        assert (few.tasks(workers), few.shared(workers).reading.whole_bytes) == (3, 400)
        assert (many.tasks(workers), many.shared(workers).reading.whole_bytes) == (4, 300)
        # Small results may wait for their turn, but not where memory bounds the tasks.
        assert (few.ahead(workers, 0), many.ahead(workers, 1 << 30)) == (3, 4)
        assert many.ahead(workers, 0) > 4


@pytest.mark.parametrize("n_at_once", [1, 100], ids=["blocks", "tasks"])
def test_the_first_bad_partition_is_told(tmp_path, monkeypatch, n_at_once):
    write_files(tmp_path, MANY, row_group_size=90)
    for name in ("05.parquet", "02.parquet", "23.parquet"):
        corrupt_pages(tmp_path / name)
    with pytest.raises(BadPartition, match=r"02\.parquet"):
        total_of(tmp_path, monkeypatch, 7, n_at_once=n_at_once)


@pytest.mark.parametrize("n_at_once", [1, 100], ids=["blocks", "tasks"])
def test_a_file_that_the_lake_no_longer_has_is_told(tmp_path, monkeypatch, n_at_once):
    write_files(tmp_path, MANY)
    parts = placed(tmp_path)
    parts[3] = Placed(parts[3].partition, None)
    with Workers() as workers, pytest.raises(BadPartition, match="no longer in the lake"):
        folded(parts, Fold(readers(n_at_once), sum_labels), workers, lambda n: None)


def test_tasks_end_at_their_next_block_when_nobody_waits(tmp_path, monkeypatch):
    """An interrupt must not wait for a partition of gigabytes."""
    write_files(tmp_path, {**MANY, "99.parquet": number_table(4000, 9)}, row_group_size=64)
    n_blocks, began = [0], threading.Event()

    def slow(streamed) -> Labels:
        n_blocks[0] += 1
        began.set()
        threading.Event().wait(0.05)
        return sum_labels(streamed)

    def interrupt(n_rows: int) -> None:
        raise KeyboardInterrupt

    *parts, large = placed(tmp_path, 1 << 30)
    parts.insert(2, large)
    monkeypatch.setattr(Readers, "suits_tasks", lambda *_: True)
    with Workers() as workers, pytest.raises(KeyboardInterrupt):
        folded(parts, Fold(readers(), slow), workers, interrupt)
    assert began.is_set()
    assert n_blocks[0] < 30


def test_a_fold_can_be_sent_to_a_worker(tmp_path):
    write_files(tmp_path, MANY)
    sent = Fold(readers(), sum_labels)
    part = placed(tmp_path)[0]
    sent.readers.check(part.file, read_footer(part.file))
    sent.readers.stop.set()
    again = pickle.loads(pickle.dumps((sent, part)))
    assert again[1] == part
    # Neither the files that were checked here nor the end of the work here travels.
    again[0].readers.stop.check()
    assert not again[0].readers.check._passed
