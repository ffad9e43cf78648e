"""Conditions take the rows that duckdb takes."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from conditions import random_condition, random_table, rows_by_duckdb
from onepass.selection.evaluate import holds
from onepass.selection.parse import parse_where
from onepass.selection.types import CannotCompare


def rows_of(table, condition, folders=None):
    (batch,) = table.combine_chunks().to_batches()
    found = holds(parse_where(condition), batch, folders or {})
    return [n for n, holds_of_row in enumerate(found.to_pylist()) if holds_of_row]


@pytest.mark.parametrize("seed", range(40))
def test_rows_are_those_of_duckdb_for_random_conditions_over_all_types(seed):
    rng = np.random.default_rng(seed)
    table = random_table(rng, int(rng.integers(1, 60)))
    for _ in range(10):
        condition = random_condition(rng)
        assert rows_of(table, condition) == rows_by_duckdb(table, condition), condition


NEW_YEAR = dt.datetime(2026, 1, 1)


@pytest.mark.parametrize(
    ("values", "condition", "expected"),
    [
        (pa.array([NEW_YEAR, None], pa.timestamp("ns", "Asia/Tokyo")), "x = 2026-01-01", [0]),
        (pa.array([NEW_YEAR], pa.timestamp("s")), "x > '2025-12-31 23:59:59.5'", [0]),
        (pa.array([NEW_YEAR], pa.timestamp("s")), "x = '2026-01-01 00:00:00.5'", []),
        (pa.array([NEW_YEAR], pa.timestamp("ms")), "x < '2026-01-01T01:00+00:30'", [0]),
        (pa.array([NEW_YEAR.date()], pa.date64()), "x in ('2026-01-01', '2027-01-01')", [0]),
        (pa.array([NEW_YEAR.date()]), "x >= '2026-01-01 00:00:01'", []),
        (pa.array([2**64 - 1, 0], pa.uint64()), "x > 18446744073709551614", [0]),
        (pa.array([2**63 - 1], pa.int64()), "x < 9223372036854775807.5", [0]),
        (pa.array([2**53 + 1], pa.int64()), "x = 9007199254740992", []),
        (pa.array([2**53 + 1], pa.int64()), "x in (9007199254740993)", [0]),
        (pa.array([np.float16(0.1), np.float16("nan")], pa.float16()), "x = 0.1", [0]),
        (pa.array([0.1, 1e38], pa.float32()), "x in (0.1, 5)", [0]),
        (pa.array([0.1, 1e38], pa.float32()), "x < 1e39", [0, 1]),
        (pa.array(["b", None], pa.string_view()), "x >= 'ab'", [0]),
        (pa.array(["b", "c"], pa.large_string()), "x in ('c')", [1]),
        (pa.array([Decimal("1.10")], pa.decimal256(50, 2)), "x = 1.1", [0]),
        (pa.array([Decimal("-1.10")], pa.decimal128(38, 2)), "x <= -1.1", [0]),
        (pa.array([Decimal(9)], pa.decimal128(1, 0)), "x < 1000", [0]),
        (pa.nulls(2), "x = 5 or x is null", [0, 1]),
        (pa.array([None, None], pa.int64()), "x = 'a' or x is null", [0, 1]),
        (pa.array([[1], None]), "x is not null", [0]),
        (pa.DictionaryArray.from_arrays([0, 1, None], ["a", None]), "x is null", [1, 2]),
        (pa.DictionaryArray.from_arrays([0, 1, None], ["a", None]), "not x = 'b'", [0]),
    ],
    ids=str,
)
def test_every_type_is_compared_exactly(values, condition, expected):
    assert rows_of(pa.table({"x": values}), condition) == expected


@pytest.mark.parametrize(
    ("values", "condition", "message"),
    [
        ([1], "x = 'a'", "int64 cannot be compared with the text 'a'"),
        (["a"], "x > 5", "string cannot be compared with the number 5; text stands in"),
        (["a"], "x > 2026-01-01", "the date 2026-01-01"),
        ([1.5], "x = true", "the truth value true"),
        ([True], "x = 1", "bool cannot be compared"),
        ([NEW_YEAR], "x > 5", "cannot be compared with the number 5"),
        ([NEW_YEAR], "x > 'yesterday'", "'yesterday', which is no date or time"),
        ([b"a"], "x = 'a'", "binary cannot be compared"),
        ([[1]], "x = 1", "cannot be compared"),
        ([dt.time(1)], "x = '01:00'", "time64"),
        ([1], "x like 'a%'", "like is for text"),
    ],
)
def test_types_that_cannot_be_compared_are_named(values, condition, message):
    with pytest.raises(CannotCompare) as error:
        rows_of(pa.table({"x": values}), condition)
    assert message in str(error.value)
    assert error.value.column == "x"


@pytest.mark.parametrize(
    ("folder", "condition", "holds_there"),
    [
        ("07", "h = 7", True),
        ("07", "h = '7'", False),
        ("20260131", "h >= 2026-01-31", True),
        ("2026-01-31 05:00:00", "h > 2026-01-31", True),
        ("-1.5e1", "h in (2, -15)", True),
        ("True", "h", True),
        ("ab\nc", "h like 'a%c'", True),
        (None, "h = 7", None),
        (None, "h is null", True),
        (None, "not h like '%'", None),
    ],
)
def test_folders_are_read_as_what_they_are_compared_with(folder, condition, holds_there):
    (batch,) = pa.table({"x": [1], "h": ["a column of the file"]}).to_batches()
    assert holds(parse_where(condition), batch, {"h": folder}).to_pylist() == [holds_there]


def test_folder_of_another_kind_is_named():
    (batch,) = pa.table({"x": [1]}).to_batches()
    with pytest.raises(CannotCompare, match="h=late is compared with the number 7"):
        holds(parse_where("h < 7"), batch, {"h": "late"})
