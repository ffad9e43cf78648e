"""Stream: the rows of a partition as blocks, the same ones however the file is laid out."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table, write_files
from onepass import Model, train
from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Hashed, Numeric, OneHot
from onepass.encode.schema import Label, Schema
from onepass.errors import BadPartition
from onepass.lake.discover import discover
from onepass.lake.footer import partitions, read_footer
from onepass.lake.rotation import Source
from onepass.stream.reading import Beside, Reading
from onepass.stream.stream import ReadGroup
from onepass.stream.stream import blocks_of as in_this_thread
from onepass.stream.workers import Workers
from streaming import blocks_of

COLUMNS = [
    Numeric(name="a", center=0, scale=1, missing=True),
    OneHot(name="level", family="text", levels=["east", "north", "south"], missing=False),
    Hashed(name="user", family="text"),
    Hashed(name="number", family="integer"),
]
LAYOUTS = [{"row_group_size": size} for size in (1, 37, 256, 1000, 10_000)]


def encoder(columns=COLUMNS, **hive):
    label = Label(name="y")
    return Encoder(Schema(columns=columns, label=label, weight=None, hash_bits=18, hive=hive))


def user_table(n_rows=3000, seed=0):
    rng = np.random.default_rng(seed)
    user = pa.array(rng.integers(0, 500, n_rows).astype(str), mask=rng.random(n_rows) < 0.05)
    table = number_table(n_rows, seed).append_column("user", user)
    return table.append_column("number", pa.array(rng.integers(0, 99, n_rows)))


def read(folder, *, batch_rows=256, split_bytes=1 << 30, columns=COLUMNS, **options):
    """Everything streamed from all partitions of all files."""
    reading = Reading(encoder(columns), batch_rows, **options)
    found = []
    with Workers() as workers:
        for file in discover(str(folder)):
            footer = read_footer(file)
            for partition in partitions(file, footer, split_bytes):
                found += blocks_of([Source(partition, file, footer)], reading, workers)
    return found


def joined(streamed):
    """The rows of blocks: features, slots, label, side by side."""
    blocks = [one.encoded.block for one in streamed]
    rows = [np.column_stack([b.dense, b.slots, b.label, b.weight]) for b in blocks]
    return np.concatenate(rows)


def by_row(rows):
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("batch_rows", [100, 1024, 100_000])
def test_stored_order_is_that_of_the_file_whatever_its_row_groups(tmp_path, layout, batch_rows):
    table = user_table()
    write_files(tmp_path, {"a.parquet": table}, **layout)
    streamed = read(tmp_path, batch_rows=batch_rows)
    whole = encoder().encode(table, {}).block
    expected = np.column_stack([whole.dense, whole.slots, whole.label, whole.weight])
    np.testing.assert_array_equal(joined(streamed), expected)
    assert max(one.encoded.block.n_rows for one in streamed) <= batch_rows
    counts = sum((one.encoded.counts for one in streamed), start=Counter())
    assert counts == {"unknown_level": whole.dense[:, -1].sum()}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_same_rows_whatever_the_row_group_size_when_shuffled(tmp_path, layout):
    table = user_table()
    write_files(tmp_path, {"a.parquet": table}, **layout)
    stored = joined(read(tmp_path))
    shuffled = [joined(read(tmp_path, seed=seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(shuffled[0], shuffled[1])
    for rows in shuffled:
        assert not np.array_equal(rows, stored)
        np.testing.assert_array_equal(by_row(rows), by_row(stored))
    assert not np.array_equal(shuffled[0], shuffled[2])


def test_every_place_is_shuffled_in_its_own_way(tmp_path):
    """Equal rows in several files and row groups would else come in equal orders."""
    same = pa.concat_tables([user_table(200)] * 3)
    write_files(tmp_path, {"a.parquet": same, "b.parquet": same}, row_group_size=200)
    blocks = [one.encoded.block.label for one in read(tmp_path, seed=0, batch_rows=200)]
    assert len({tuple(label) for label in blocks}) == 6
    assert len({tuple(np.sort(label)) for label in blocks}) == 1


@pytest.mark.parametrize("split_bytes", [1, 20_000])
def test_ranges_of_a_file_are_streamed_like_the_whole(tmp_path, split_bytes):
    write_files(tmp_path, {"a.parquet": user_table()}, row_group_size=250)
    whole, parts = read(tmp_path), read(tmp_path, split_bytes=split_bytes)
    np.testing.assert_array_equal(joined(parts), joined(whole))
    shuffled = read(tmp_path, split_bytes=split_bytes, seed=0)
    np.testing.assert_array_equal(by_row(joined(shuffled)), by_row(joined(whole)))


@pytest.mark.parametrize("batch_rows", [50, 1000])
def test_row_groups_with_different_dictionaries_give_the_slots_of_plain_text(tmp_path, batch_rows):
    """A code means another value in each row group; the value decides."""
    table = user_table(800).sort_by("user")
    at_user = table.schema.get_field_index("user")
    coded = table.set_column(at_user, "user", table["user"].dictionary_encode())
    write_files(tmp_path / "plain", {"a.parquet": table}, row_group_size=100, use_dictionary=False)
    write_files(tmp_path / "coded", {"a.parquet": table}, row_group_size=100)
    (tmp_path / "typed").mkdir()
    with pq.ParquetWriter(tmp_path / "typed/a.parquet", coded.schema) as sink:
        for at in range(0, 800, 100):
            own = table.slice(at, 100)["user"].combine_chunks().dictionary_encode()
            sink.write_table(table.slice(at, 100).set_column(at_user, "user", own))
    plain = joined(read(tmp_path / "plain", batch_rows=batch_rows))
    for name in ("coded", "typed"):
        np.testing.assert_array_equal(joined(read(tmp_path / name, batch_rows=batch_rows)), plain)


def test_kept_columns_lie_beside_their_rows(tmp_path):
    table = user_table().append_column("id", pa.array(range(3000)))
    write_files(tmp_path, {"a.parquet": table}, row_group_size=700)
    streamed = read(tmp_path, label=False, keep=("id", "level"))
    wanted = table.select(["id", "level"])
    kept = pa.concat_tables([one.kept.cast(wanted.schema) for one in streamed])
    assert kept.combine_chunks().equals(wanted)
    assert all(np.isnan(one.encoded.block.label).all() for one in streamed)


@pytest.mark.parametrize("seed", [None, 7])
def test_a_model_beside_another_sees_the_blocks_that_it_would_see_alone(tmp_path, seed):
    write_files(tmp_path, {"a.parquet": user_table()}, row_group_size=700)
    others = [COLUMNS[2:], [*COLUMNS[:1], Numeric(name="b", center=0, scale=1, missing=False)]]
    beside = tuple(Beside(encoder(columns)) for columns in others)
    both = read(tmp_path, columns=COLUMNS[1:2], seed=seed, beside=beside)
    for place, columns in enumerate(others):
        alone = read(tmp_path, columns=columns, seed=seed)
        for one, other in zip(both, alone, strict=True):
            found, wanted = one.beside[place].encoded, other.encoded
            for name in ("dense", "slots", "label", "weight"):
                np.testing.assert_array_equal(
                    getattr(found.block, name), getattr(wanted.block, name)
                )
            assert (found.counts, found.frequent) == (wanted.counts, wanted.frequent)


def bad(folder, table, **options):
    write_files(folder, {"a.parquet": table}, **options)
    with pytest.raises(BadPartition) as caught:
        read(folder)
    return pickle.loads(pickle.dumps(caught.value))


def test_unusable_values_name_file_row_group_and_column_even_from_another_process(tmp_path):
    labels = np.zeros(900)
    labels[700] = np.nan
    table = user_table(900)
    table = table.set_column(table.schema.get_field_index("y"), "y", [labels])
    error = bad(tmp_path, table, row_group_size=300)
    assert (error.path, error.row_group, error.column) == ("a.parquet", 2, "y")
    assert str(error).startswith("a.parquet, row group 2, column 'y': 1 of 150 labels are null or")
    assert "--on-null-label drop" in str(error)


def test_small_row_groups_that_are_encoded_together_are_named_together(tmp_path):
    labels = np.zeros(900)
    labels[700] = np.nan
    table = user_table(900)
    table = table.set_column(table.schema.get_field_index("y"), "y", [labels])
    write_files(tmp_path, {"a.parquet": table}, row_group_size=300)
    with pytest.raises(BadPartition) as caught:
        read(tmp_path, batch_rows=900)
    error = caught.value
    # By the row group training finds the partition at fault.
    assert (error.path, error.row_group, error.column) == ("a.parquet", 0, "y")
    assert "(row groups 0 to 2 were read together)" in str(error)


@pytest.mark.parametrize("values", [[["x"]], [{"z": "x"}], [1.5], [True], [b"x"]])
@pytest.mark.parametrize("column", ["user", "level", "number", "a"])
def test_column_of_another_type_is_a_bad_partition(tmp_path, column, values):
    table = user_table(50)
    at = table.schema.get_field_index(column)
    if column == "a" and values == [1.5]:
        values = ["1.5"]
    error = bad(tmp_path, table.set_column(at, column, [values * 50]))
    assert (error.path, error.column) == ("a.parquet", column)
    assert "found type" in error.reason


def test_column_typed_null_is_read_as_nulls(tmp_path):
    table = user_table(50)
    for name in ("a", "level", "user", "number"):
        table = table.set_column(table.schema.get_field_index(name), name, pa.nulls(50))
    write_files(tmp_path, {"a.parquet": table})
    (one,) = read(tmp_path)
    assert one.encoded.counts == {"unexpected_null": 50}
    assert one.encoded.block.dense[:, 1].all()
    assert len(np.unique(one.encoded.block.slots, axis=0)) == 1


def test_lake_with_names_that_pyarrow_takes_for_paths_is_learnt(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        x = rng.normal(size=(500, 2))
        word = rng.choice(["ja", "nein"], 500)
        columns = {
            "PM2.5": x[:, 0],
            "PM2": x[:, 1],
            "wort.ü x": word,
            "wort": [{"ü x": 1}] * 500,
            "ÿ.y": 3 * x[:, 0] - x[:, 1] + (word == "ja"),
        }
        names = list(columns)[:: 1 if i else -1]
        write_files(tmp_path / "lake", {f"{i}.parquet": pa.table(columns).select(names)})
    train({"lake": tmp_path / "lake", "label": "ÿ.y", "model": tmp_path / "m"})
    table = pq.read_table(tmp_path / "lake/0.parquet")
    predicted = Model.load(tmp_path / "m").predict(table)
    np.testing.assert_allclose(predicted, table["ÿ.y"].to_numpy(), atol=0.05)


def test_of_long_blocks_the_columns_take_turns_in_having_their_commonest_values_noted(tmp_path):
    n_rows, batch_rows = 400_000, 10_000
    rng = np.random.default_rng(5)
    tables = {
        "a.parquet": pa.table(
            {
                "user": np.where(rng.random(n_rows) < 0.6, "often", "seldom"),
                "number": rng.integers(0, 2, n_rows),
                "y": rng.normal(size=n_rows),
            }
        )
    }
    write_files(tmp_path, tables)
    streamed = read(tmp_path, batch_rows=batch_rows, columns=COLUMNS[2:])
    first, *others = [one.encoded.frequent for one in streamed]
    assert set(first) == {"user", "number"}
    turns = [i for i, one in enumerate(others) if "user" in one]
    assert turns == list(range(turns[0], len(others), 4))
    total = Counter()
    for one in (first, *others):
        total.update(one.get("user", {}))
    assert total["often"] == pytest.approx(0.6 * n_rows, rel=0.5)
    assert total["often"] > total["seldom"]
    again = read(tmp_path, batch_rows=batch_rows, columns=COLUMNS[2:])
    assert [one.encoded.frequent for one in again] == [first, *others]


def test_a_group_read_in_one_thread_gives_the_blocks_of_the_stream(tmp_path):
    write_files(tmp_path, {"a.parquet": user_table()}, row_group_size=300)
    file = discover(str(tmp_path))[0]
    footer = read_footer(file)
    sources = [Source(one, file, footer) for one in partitions(file, footer)]
    reading = Reading(encoder(), 256, seed=3)
    with Workers() as workers:
        streamed = blocks_of(sources, reading, workers)
    inline = list(in_this_thread(ReadGroup(lambda: sources), reading))
    assert len(inline) == len(streamed)
    np.testing.assert_array_equal(joined(inline), joined(streamed))
