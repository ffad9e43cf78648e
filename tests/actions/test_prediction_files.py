"""Prediction files are read back by pyarrow, DuckDB and Spark, with folders and copied columns."""

from __future__ import annotations

import datetime
import decimal
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from onepass import score
from onepass.actions.manifest import MANIFEST
from small import train

N = 40

KEEP = ["id", "big", "small", "cents", "when", "zoned", "day_of", "name", "tags", "place", "flag"]


def kept_columns(seed: int) -> dict[str, pa.Array]:
    """Columns of the types that readers are known to differ in; the last row of each is null."""
    rng = np.random.default_rng(seed)
    number = rng.integers(0, 1000, N)
    valid = [i < N - 1 for i in range(N)]
    start = datetime.datetime(2026, 3, 1, 12, 30, 15, 123456)
    times = [start + datetime.timedelta(hours=int(one)) for one in number]

    def array(values: list[Any], kind: pa.DataType) -> pa.Array:
        return pa.array([one if ok else None for one, ok in zip(values, valid, strict=True)], kind)

    return {
        "id": pa.array(range(N), pa.int64()),
        "big": array([2**63 + int(one) for one in number], pa.uint64()),
        "small": array([int(one % 200) for one in number], pa.uint8()),
        "cents": array([decimal.Decimal(int(one)) / 100 for one in number], pa.decimal128(12, 2)),
        "when": array(times, pa.timestamp("us")),
        "zoned": array(times, pa.timestamp("us", "UTC")),
        "day_of": array([one.date() for one in times], pa.date32()),
        "name": array([f"n{one % 3}" for one in number], pa.string()).dictionary_encode(),
        "tags": array([[f"t{one % 2}", "x"] for one in number], pa.list_(pa.string())),
        "place": array(
            [{"lat": 0.5, "of": {"city": f"c{one}"}} for one in number],
            pa.struct({"lat": pa.float64(), "of": pa.struct({"city": pa.string()})}),
        ),
        "flag": array([bool(one % 2) for one in number], pa.bool_()),
    }


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> tuple[Path, pa.Table]:
    """An output with a folder a day, one of them of null, and its rows as they were in the lake."""
    root = tmp_path_factory.mktemp("scored")
    tables = []
    for i, day in enumerate(["2026-03-01", "2026-03-02", "__HIVE_DEFAULT_PARTITION__"]):
        rng = np.random.default_rng(i)
        x = rng.normal(size=N)
        kept = kept_columns(i)
        table = pa.table({"x": x, "y": 2 * x + rng.normal(size=N), **kept})
        for region in ("a b", "c%2Fd"):
            folder = root / "lake" / f"day={day}" / f"region={region}"
            folder.mkdir(parents=True)
            pq.write_table(table, folder / "part-0.parquet")
            place = [None if day.startswith("__") else day, region.replace("%2F", "/")]
            for key, value in zip(("day", "region"), place, strict=True):
                kept |= {key: pa.array([value] * N, pa.string())}
            tables.append(pa.table(kept))
    model = str(root / "model")
    features = {"lake": str(root / "lake"), "label": "y", "model": model, "features": ["x"]}
    train(features | {"solver": "sgd"})
    score(str(root / "lake"), model, root / "out", keep=KEEP, version_column="version")
    return root / "out", pa.concat_tables(tables)


def test_pyarrow_reads_the_output_with_its_folders(scored):
    out, expected = scored
    found = ds.dataset(out, partitioning=ds.partitioning(flavor="hive")).to_table()
    assert found.num_rows == expected.num_rows
    for name in KEEP:
        assert found[name].combine_chunks().equals(expected[name].combine_chunks()), name
    assert found["version"].null_count == found["prediction"].null_count == 0
    assert set(found["region"].to_pylist()) == {"a b", "c/d"}


def test_duckdb_reads_the_output_with_its_folders(scored):
    duckdb = pytest.importorskip("duckdb")
    out, expected = scored
    with duckdb.connect() as session:
        session.sql("set timezone = 'UTC'")
        rows = session.sql(
            f"select * from read_parquet('{out}/**/*.parquet', hive_partitioning = true, "
            "hive_types = {'day': date, 'region': varchar}) order by day nulls last, region, id"
        )
        found = rows.to_arrow_table()
        manifest = session.sql(f"select complete, version from read_json('{out}/{MANIFEST}')")
        assert manifest.fetchall() == [(True, found["version"][0].as_py())]
    assert found.num_rows == expected.num_rows
    plain = expected.to_pylist()
    for row, wanted in zip(found.to_pylist(), plain, strict=True):
        assert row["prediction"] is not None
        assert str(row["day"]) == str(wanted["day"])
        assert {name: row[name] for name in (*KEEP, "region")} == {
            name: wanted[name] for name in (*KEEP, "region")
        }


_SPARK = """
import json, sys
from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.master("local[1]").appName("onepass")
    .config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
    .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    .getOrCreate()
)
rows = spark.read.parquet(sys.argv[1])
names = sys.argv[2].split(",")
found = rows.orderBy(rows.day.asc_nulls_last(), "region", "id").select(
    "region", "version", "prediction", *(rows[name].cast("string") for name in names)
)
print(json.dumps([rows.dtypes, [row.asDict() for row in found.collect()]]))
spark.stop()
"""


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_spark_reads_the_output_with_its_folders(scored):
    python = os.environ.get("ONEPASS_SPARK_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import pyspark"], capture_output=True).returncode:
        pytest.skip("pyspark is not installed; ONEPASS_SPARK_PYTHON may name a Python that has it")
    out, expected = scored
    names = ["id", "big", "small", "cents", "when", "zoned", "day_of", "name", "flag", "place"]
    command = [python, "-c", _SPARK, str(out), ",".join(names)]
    done = subprocess.run(command, capture_output=True, text=True, env=_without_paths())
    assert done.returncode == 0, done.stderr[-3000:]
    types, found = json.loads(done.stdout)
    kinds = dict(types)
    assert len(found) == expected.num_rows
    assert (kinds["day"], kinds["region"]) == ("date", "string")
    assert (kinds["prediction"], kinds["version"]) == ("double", "bigint")
    assert kinds["tags"] == "array<string>"
    assert kinds["place"] == "struct<lat:double,of:struct<city:string>>"
    for row, wanted in zip(found, expected.to_pylist(), strict=True):
        assert row["prediction"] is not None
        assert row["region"] == wanted["region"]
        for name in ("id", "big", "small", "cents", "day_of", "name"):
            assert row[name] == (None if wanted[name] is None else str(wanted[name])), name
        for name in ("when", "zoned"):
            time = wanted[name]
            assert row[name] == (None if time is None else f"{time:%Y-%m-%d %H:%M:%S.%f}"), name
        assert row["flag"] == (None if wanted["flag"] is None else str(wanted["flag"]).lower())


def _without_paths() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
