"""Blocks have the rows that a job takes, and everything beside the rows is of the same rows."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conditions import random_condition, random_table, rows_by_duckdb
from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile, discover
from onepass.lake.footer import partitions, read_footer
from onepass.lake.limits import DEFAULT_LIMITS
from onepass.lake.order import drawn
from onepass.lake.view import TableField, View
from onepass.partition import NOT_TAKEN
from onepass.selection.rows import Selection
from onepass.stream.check_columns import ColumnCheck
from onepass.stream.deleted_rows import DeletedRowsOfFiles
from onepass.stream.reading import Reading
from onepass.stream.sources import open_sources
from onepass.stream.stream import ReadGroup, blocks_of

NUMBER = Numeric(name="x", center=0, scale=1, missing=False)
SCHEMA = Schema(columns=[NUMBER], label=Label(name="y"), weight=None, hash_bits=4, hive={})


@dataclass(frozen=True)
class Deleted:
    rows: tuple[int, ...]

    @property
    def identity(self):
        return f"deleted {self.rows}"

    @property
    def n_rows(self):
        return len(self.rows)

    def positions(self):
        return np.array(self.rows, np.int64)


def written(folder, table, size):
    """Write a table with the number of each row as feature and label."""
    n = pa.array(np.arange(len(table)), pa.float64())
    path = folder / "a.parquet"
    pq.write_table(table.append_column("x", n).append_column("y", n), path, row_group_size=size)
    (file,) = discover(str(path))
    return file


def without(file, rows):
    schema = pq.read_schema(file.location)
    fields = tuple(TableField(one.name, one.type, stored=one.name) for one in schema)
    return replace(file, view=View(fields, deleted=Deleted(tuple(rows))))


def read(file, selection, *, seed=3, batch_rows=16, holds_out=False, keep=(), pruned=True):
    """Return the blocks of a file as one partition."""
    check = ColumnCheck(SCHEMA, label=True, keep=keep, selection=selection)
    footer = read_footer(file)
    group = list(partitions(file, footer))

    def sources():
        found = open_sources(group, {file.key: file}, [check])
        return found if pruned else [replace(one, left=None) for one in found]

    reading = Reading(
        Encoder(SCHEMA),
        batch_rows,
        seed=seed,
        holds_out=holds_out,
        keep=keep,
        selection=selection,
        limits=replace(DEFAULT_LIMITS, min_cursor_rows=1),
    )
    return list(blocks_of(ReadGroup(sources), reading))


def rows_of(blocks):
    return sorted(int(n) for one in blocks for n in one.encoded.block.label)


def counts_of(blocks):
    return sum((one.encoded.counts for one in blocks), Counter())


@pytest.mark.parametrize("seed", range(6))
def test_rows_and_counts_are_those_of_duckdb_with_and_without_pruning(seed, tmp_path):
    rng = np.random.default_rng(seed)
    table = random_table(rng, int(rng.integers(20, 200)))
    if seed % 2:
        table = table.sort_by("i")
    file = written(tmp_path, table, int(rng.integers(3, 40)))
    gone = set(rng.choice(len(table), len(table) // 5, replace=False).tolist())
    for _ in range(3):
        where = random_condition(rng, depth=2)
        selection = Selection(where, seed=seed)
        expected = set(rows_by_duckdb(table, where))
        for one, deleted in ((file, set()), (without(file, sorted(gone)), gone)):
            for pruned in (True, False):
                blocks = read(one, selection, pruned=pruned, seed=None if seed % 3 else 3)
                assert rows_of(blocks) == sorted(expected - deleted), where
                counts = counts_of(blocks)
                assert counts["deleted"] == len(deleted)
                assert counts["left_out_by_where"] == len(table) - len(expected | deleted)


def test_sample_follows_the_place_of_a_row_and_not_the_cut_into_blocks(tmp_path):
    table = pa.table({"i": range(1000)})
    file = written(tmp_path, table, 130)
    some = rows_of(read(file, Selection(sample=0.3, seed=7)))
    assert 230 < len(some) < 370
    for options in ({"seed": None}, {"batch_rows": 300}, {"seed": 9, "batch_rows": 50}):
        assert rows_of(read(file, Selection(sample=0.3, seed=7), **options)) == some
    assert rows_of(read(file, Selection(sample=0.3, seed=8))) != some
    both = rows_of(read(file, Selection("i >= 500", sample=0.3, seed=7)))
    assert both == [n for n in some if n >= 500]


def test_held_out_rows_are_the_same_whatever_else_is_left_out(tmp_path):
    table = pa.table({"i": range(2000)})
    file = written(tmp_path, table, 150)
    by_place = [drawn(min(150, 2000 - at), 0, 1 / 32, "held out", file.key, at // 150)
                for at in range(0, 2000, 150)]  # fmt: skip
    expected = set(np.flatnonzero(np.concatenate(by_place)).tolist())
    blocks = read(
        without(file, range(100, 400)), Selection("i < 1500", 0.5), batch_rows=400, holds_out=True
    )
    learnt = set(rows_of(blocks))
    held = {int(n) for one in blocks for n in one.held_out.label}
    assert held <= expected
    assert not learnt & expected
    assert not (learnt | held) & set(range(100, 400))
    counts = counts_of(blocks)
    assert len(learnt) + counts["held_out"] + sum(counts[one] for one in NOT_TAKEN) == 2000


def test_kept_columns_are_of_the_rows_that_are_left(tmp_path):
    table = pa.table({"i": range(100), "name": [f"n{n}" for n in range(100)]})
    file = without(written(tmp_path, table, 30), [3, 40, 99])
    blocks = read(file, Selection("i <> 50"), seed=None, keep=("name",))
    for one in blocks:
        names = one.kept.column("name").to_pylist()
        assert names == [f"n{int(n)}" for n in one.encoded.block.label]
    assert rows_of(blocks) == [n for n in range(100) if n not in (3, 40, 50, 99)]


def test_block_of_which_no_row_is_left_is_empty(tmp_path):
    file = written(tmp_path, pa.table({"i": range(100)}), 100)
    blocks = read(file, Selection("i in (7, 60) and i <> 60"))
    assert rows_of(blocks) == [7]
    assert min(one.encoded.block.n_rows for one in blocks) == 0


def test_column_that_cannot_be_compared_is_refused_with_file_and_column(tmp_path):
    file = written(tmp_path, pa.table({"t": ["a"], "i": [1]}), 5)
    for where, message in (
        ("t > 5", "a column of type string cannot be compared with the number 5"),
        ("i = 'a'", "int64 cannot be compared with the text 'a'"),
        ("ii = 1", "the column is missing; it has 'i'"),
    ):
        with pytest.raises(BadPartition, match=r"a\.parquet") as error:
            read(file, Selection(where))
        assert message in str(error.value)
    assert rows_of(read(file, Selection("j is null", missing_is_null=True))) == [0]


def test_deleted_rows_of_a_file_are_read_once_and_forgotten_when_there_are_too_many():
    class Counted(Deleted):
        def positions(self):
            loads.append(self.identity)
            return super().positions()

    loads = []
    files = [
        LakeFile(f"{n}", f"/{n}", (), view=View((), deleted=Counted(tuple(range(n, n + 10)))))
        for n in range(5)
    ]
    remembered = DeletedRowsOfFiles(most_bytes=3 * 80)
    for one in files[:3]:
        remembered.positions(one)
        remembered.positions(one)
    assert len(loads) == 3
    assert remembered.positions(files[0]).tolist() == list(range(10))
    remembered.positions(files[3])
    remembered.positions(files[0])
    assert len(loads) == 4
    remembered.positions(files[1])
    assert len(loads) == 5
    assert remembered.positions(LakeFile("plain", "/plain", ())) is None
