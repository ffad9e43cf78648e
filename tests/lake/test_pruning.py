"""Row groups and files are left out only if no row of them can meet a condition."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conditions import random_condition, random_table, rows_by_duckdb
from footer_edits import COLUMNS, META_DATA, ROW_GROUPS, STATISTICS, footer_start
from onepass.lake.discover import discover
from onepass.lake.footer import read_footer
from onepass.lake.pruning import may_match, row_groups
from onepass.lake.view import TableField, View
from onepass.selection.parse import parse_where
from thrift import I64, read_struct, write_struct

OPTIONS = [
    {},
    {"use_dictionary": False, "write_statistics": ["i", "t", "m"]},
    {"use_deprecated_int96_timestamps": True, "store_decimal_as_integer": True},
    {"version": "1.0", "data_page_version": "2.0", "coerce_timestamps": "ms"},
]


def left(path, condition):
    (file,) = discover(str(path))
    return row_groups(parse_where(condition), file, read_footer(file))


def sorted_by_a_column(table, rng):
    if rng.random() < 0.5:
        return table
    name = str(rng.choice([one for one in table.column_names if one != "c"]))
    return table.sort_by(name)


@pytest.mark.parametrize("seed", range(40))
def test_no_row_that_duckdb_takes_is_in_a_row_group_that_is_left_out(seed, tmp_path):
    rng = np.random.default_rng(seed)
    table = sorted_by_a_column(random_table(rng, int(rng.integers(1, 80))), rng)
    size = int(rng.integers(1, 20))
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=size, **OPTIONS[seed % len(OPTIONS)])
    for _ in range(10):
        condition = random_condition(rng, depth=2)
        needed = {n // size for n in rows_by_duckdb(table, condition)}
        assert needed <= set(left(path, condition)), condition


SORTED = pa.table(
    {
        "i": range(100),
        "u": pa.array(range(2**32 - 100, 2**32), pa.uint32()),
        "f": np.arange(100) / 2,
        "t": [f"word-{n:03}" for n in range(100)],
        "d": [dt.date(2026, 1, 1) + dt.timedelta(n) for n in range(100)],
        "m": [dt.datetime(2026, 1, 1) + dt.timedelta(n) for n in range(100)],
        "n": [None if n < 50 else 1 for n in range(100)],
        "b": [n >= 50 for n in range(100)],
    }
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("i < 25", [0, 1, 2]),
        ("i = 25 or i > 97.5", [2, 9]),
        ("i in (5, 95, 1000)", [0, 9]),
        ("not i >= 10", [0]),
        ("i between 35 and 39 and t like 'word-03%'", [3]),
        ("u >= 4294967290", [9]),
        ("f <= 0.25", [0]),
        ("t > 'word-0899'", [9]),
        ("d >= 2026-04-05", [9]),
        ("m < '2026-01-02 12:00'", [0]),
        ("m = timestamp '2026-01-15 00:00:00'", [1]),
        ("n is not null", [5, 6, 7, 8, 9]),
        ("n is null", [0, 1, 2, 3, 4]),
        ("n <> 1", []),
        ("not b", [0, 1, 2, 3, 4]),
        ("lacking = 1", list(range(10))),
        ("t = 5", list(range(10))),
    ],
)
def test_row_groups_of_a_sorted_file_are_left_out_by_their_bounds(condition, expected, tmp_path):
    pq.write_table(SORTED, tmp_path / "a.parquet", row_group_size=10)
    assert left(tmp_path / "a.parquet", condition) == expected


def test_folders_decide_without_a_look_into_the_file(tmp_path):
    for day, hour in (
        ("2026-01-01", "07"),
        ("2026-01-02", "11"),
        ("__HIVE_DEFAULT_PARTITION__", "x"),
    ):
        (folder := tmp_path / f"day={day}" / f"hour={hour}").mkdir(parents=True)
        (folder / "a.parquet").write_bytes(b"no Parquet")
    files = discover(str(tmp_path))

    def matching(condition):
        return [may_match(parse_where(condition), file) for file in files]

    assert matching("day >= 2026-01-02") == [False, True, False]
    assert matching("hour = 7 and day = '2026-01-01'") == [True, False, False]
    assert matching("day is null or hour = '11'") == [False, True, True]
    assert matching("x > 3") == [True, True, True]


def test_bounds_that_cannot_be_relied_on_leave_nothing_out(tmp_path):
    table = pa.table({"f": [1.0, np.nan], "t": ["a" * 3000, "b" * 3000], "x": [b"a", b"b"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert left(tmp_path / "a.parquet", "f is null") == [0]
    assert left(tmp_path / "a.parquet", "t > 'a' and t <= 'b'") == [0]
    pq.write_table(table, tmp_path / "a.parquet", write_statistics=False)
    assert left(tmp_path / "a.parquet", "f > 5") == [0]
    assert left(tmp_path / "a.parquet", "t is null") == [0]


def edited(path, change):
    """Rewrite the footer of a file after a change of its fields."""
    data = path.read_bytes()
    start = footer_start(data)
    fields = read_struct(data[start:-8])
    change(fields)
    footer = write_struct(fields)
    path.write_bytes(data[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def statistics_of(fields, column=0):
    for group in fields[ROW_GROUPS][1][1]:
        yield group[COLUMNS][1][1][column][META_DATA][1][STATISTICS][1]


NULLS, MAX_VALUE, MIN_VALUE, COLUMN_ORDERS = 3, 5, 6, 7


def only_deprecated(fields):
    for one in statistics_of(fields):
        one[1], one[2] = one.pop(MAX_VALUE), one.pop(MIN_VALUE)


def without_orders(fields):
    del fields[COLUMN_ORDERS]


def swapped(fields):
    for one in statistics_of(fields):
        one[MAX_VALUE], one[MIN_VALUE] = one[MIN_VALUE], one[MAX_VALUE]


def without_null_counts(fields):
    for one in statistics_of(fields):
        del one[NULLS]


def impossible_null_counts(fields):
    for one in statistics_of(fields):
        one[NULLS] = (I64, 1000)


@pytest.mark.parametrize(
    ("change", "condition", "expected"),
    [
        (only_deprecated, "i > 1000", [0, 1]),
        (without_orders, "i > 1000", [0, 1]),
        (swapped, "i > 1000", [0, 1]),
        (without_null_counts, "i > 1000", []),
        (without_null_counts, "i is null", [0, 1]),
        (impossible_null_counts, "i is null", [0, 1]),
        (lambda fields: None, "i is null", []),
    ],
)
def test_statistics_that_prove_nothing_leave_nothing_out(change, condition, expected, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"i": range(20)}), path, row_group_size=10)
    edited(path, change)
    assert left(path, condition) == expected


@pytest.mark.parametrize("dtype", [pa.decimal128(9, 2), pa.decimal128(25, 2)], ids=str)
def test_decimals_are_bounded_only_where_they_are_whole_numbers_in_the_file(dtype, tmp_path):
    table = pa.table({"p": pa.array([Decimal("-1.5"), Decimal("2.25")], dtype)})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, store_decimal_as_integer=True)
    assert left(path, "p > 2.25") == ([] if dtype.precision < 19 else [0])
    assert left(path, "p >= 2.25") == [0]
    pq.write_table(table, path)
    assert left(path, "p > 2.25") == [0]


def test_group_of_nan_alone_meets_no_comparison(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"f": [np.nan, np.nan, 1.0, 2.0]}), path, row_group_size=2)
    assert left(path, "f > 1.5") in ([1], [0, 1])
    assert 1 not in left(path, "f > 2")
    assert left(path, "f is null") == [0, 1]


@pytest.mark.parametrize(("default", "condition"), [(None, "a is null"), (7, "a = 7")])
def test_a_dropped_column_tells_nothing_of_a_new_one_of_the_same_name(default, condition, tmp_path):
    fields = [pa.field("a", pa.int64(), metadata={"PARQUET:field_id": "1"})]
    pq.write_table(pa.table([[1, 2]], schema=pa.schema(fields)), tmp_path / "a.parquet")
    (file,) = discover(str(tmp_path))
    file = replace(file, view=View((TableField("a", pa.int64(), id=2, default=default),)))
    assert row_groups(parse_where(condition), file, read_footer(file)) == [0]


def test_a_dropped_column_without_values_does_not_empty_one_that_took_its_name(tmp_path):
    fields = [
        pa.field(n, pa.int64(), metadata={"PARQUET:field_id": i})
        for n, i in zip("ab", "12", strict=True)
    ]
    pq.write_table(pa.table([[None], [5]], schema=pa.schema(fields)), tmp_path / "a.parquet")
    (file,) = discover(str(tmp_path))
    renamed = replace(file, view=View((TableField("a", pa.int64(), id=2),)))
    assert not read_footer(renamed).empty(["a"])
    late = replace(file, view=View((TableField("a", pa.int64(), id=3, default=7),)))
    assert not read_footer(late).empty(["a"])
