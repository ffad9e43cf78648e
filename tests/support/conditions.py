"""Random tables, conditions on their rows, and duckdb as the oracle of what these mean."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa

WORDS = ["", "a", "ab", "abc", "b", "IS", "it's", "50%", "a_c", "é", "ü\n", "\\x", "zz"]
_CONNECTION = duckdb.connect(config={"threads": 1})
_FIRST = dt.datetime(2026, 1, 1)


def random_table(rng: np.random.Generator, n_rows: int) -> pa.Table:
    """Return a table with nulls, NaN, infinity and a column of each kind that can be compared."""

    def with_nulls(values: list[object], dtype: pa.DataType) -> pa.Array:
        share = rng.choice([0.0, 0.2, 1.0], p=[0.4, 0.5, 0.1])
        return pa.array([None if rng.random() < share else one for one in values], dtype)

    hours = rng.integers(-50, 50, n_rows).tolist()
    floats = rng.choice([-1.5, -0.0, 0.0, 0.1, 2.0, np.nan, np.inf, -np.inf], n_rows).tolist()
    words = rng.choice(WORDS, n_rows).tolist()
    columns = {
        "i": with_nulls(rng.integers(-5, 6, n_rows).tolist(), pa.int64()),
        "small": with_nulls(rng.integers(-128, 128, n_rows).tolist(), pa.int8()),
        "u": with_nulls(rng.integers(0, 2**32, n_rows).tolist(), pa.uint32()),
        "f": with_nulls(floats, pa.float64()),
        "g": with_nulls(floats, pa.float32()),
        "t": with_nulls(words, pa.string()),
        "c": with_nulls(words, pa.string()).dictionary_encode(),
        "b": with_nulls((rng.random(n_rows) < 0.5).tolist(), pa.bool_()),
        "d": with_nulls([(_FIRST + dt.timedelta(h)).date() for h in hours], pa.date32()),
        "m": with_nulls([_FIRST + dt.timedelta(0, 1800 * h) for h in hours], pa.timestamp("us")),
        "p": with_nulls([Decimal(h).scaleb(-1) for h in hours], pa.decimal128(9, 2)),
    }
    return pa.table(columns)


def random_condition(rng: np.random.Generator, depth: int = 3) -> str:
    """Return a condition on a table of `random_table`, which duckdb reads as well."""
    if depth and rng.random() < 0.6:
        one, other = (random_condition(rng, depth - 1) for _ in range(2))
        return str(rng.choice([f"({one} and {other})", f"({one} or {other})", f"not ({one})"]))
    return _test(rng)


def _test(rng: np.random.Generator) -> str:
    column = str(rng.choice(["i", "small", "u", "f", "g", "t", "c", "b", "d", "m", "p"]))
    if rng.random() < 0.15:
        return f"{column} is {rng.choice(['', 'not '])}null"
    values = [_value(rng, column) for _ in range(3)]
    negated = rng.choice(["", "not "])
    operator = rng.choice(["=", "<>", "<", "<=", ">", ">=", "!="])
    tests = [f"{column} {operator} {values[0]}", f"{column} {operator} {values[0]}"]
    if column == "b":
        return str(rng.choice([f"b {rng.choice(['=', '<>'])} {values[0]}", "b", "not b"]))
    tests += [f"{values[0]} {operator} {column}"]
    tests += [f"{column} {negated}between {values[0]} and {values[1]}"]
    if column != "g":
        tests += [f"{column} {negated}in ({', '.join(values)})"]
    if column in "tc":
        pattern = str(rng.choice(["a%", "%c", "_", "%", "a_c", "50%", "%\\x", "", "%'%", "_%_"]))
        tests += [f"{column} {negated}like '{pattern.replace(chr(39), chr(39) * 2)}'"]
    return str(rng.choice(tests))


def _value(rng: np.random.Generator, column: str) -> str:
    day = (_FIRST + dt.timedelta(int(rng.integers(-50, 50)))).date()
    match column:
        case "i" | "small":
            return str(rng.choice(["-3", "0", "2", "2.5", "-0.5", "200", "-1e3"]))
        case "u":
            return str(rng.choice(["0", "2147483648", "-1", "4294967296", "1e9"]))
        case "f" | "g":
            return str(rng.choice(["-1.5", "0", "0.1", "2", "1e30", "-3"]))
        case "t" | "c":
            return "'" + str(rng.choice(WORDS)).replace("'", "''") + "'"
        case "b":
            return str(rng.choice(["true", "false"]))
        case "p":
            return str(rng.choice(["0", "-1.25", "1.999", "3.1", "-4.9", "1000000"]))
    clock = rng.choice(["", " 00:30:00", " 12:00:00.25"]) if column == "m" else ""
    kind = "timestamp" if clock or column == "m" else "date"
    return f"{kind} '{day}{clock}'"


def rows_by_duckdb(table: pa.Table, condition: str) -> list[int]:
    """Return the numbers of the rows that meet a condition; NaN is null."""
    table = table.append_column("n", pa.array(range(len(table))))
    no_nan = ", ".join(
        f"case when isnan({name}) then null else {name} end as {name}" for name in "fg"
    )
    connection = _CONNECTION
    connection.register("given", table)
    query = f"select n from (select * replace ({no_nan}) from given) where {condition} order by n"
    return [n for (n,) in connection.execute(query).fetchall()]
