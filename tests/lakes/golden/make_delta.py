"""Make the golden Delta table: ``python tests/lakes/golden/make_delta.py``.

Spark writes the Parquet files: the folders of its partitions, its escapes, its timestamps of 96
bits. The log and the deletion vector are written by hand, because Delta for Spark is not on PyPI.
Run once with pyspark and Java, and with tests/support in PYTHONPATH; commit what it wrote.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyspark.sql import SparkSession

from delta_tables import HandWritten, column, removed

HERE = Path(__file__).parent / "delta-spark"

WORDS = ["plain", "a b", "50%", "x=1", "a/b", "Ω:?#", None, "p%41q", "tab\tand 'quote'"]
DELETED = 4
"""Number, within its file, of the row that the deletion vector deletes."""


def main() -> None:
    """Write the table and the rows that it must have."""
    shutil.rmtree(HERE, ignore_errors=True)
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.files.maxRecordsPerFile", "50")
        .getOrCreate()
    )
    table = HandWritten(
        HERE,
        [
            column("id", pa.int32()),
            column("x", pa.float64()),
            column("word", pa.string()),
            column("at", pa.timestamp("us", "UTC")),
        ],
        ["word"],
        ["deletionVectors", "columnMapping", "typeWidening", "v2Checkpoint"],
    )
    first = [
        {"id": at, "x": at / 4, "word": WORDS[at % 9], "at": datetime(2026, 1, 1, 0, 0, at % 60)}
        for at in range(72)
    ]
    adds = written(session, table, first, "id int, x double, word string, at timestamp")
    table.commit("WRITE", *adds)
    at = next(i for i, one in enumerate(adds) if one["add"]["partitionValues"]["word"] == "a b")
    fewer = table.without(adds[at], [DELETED], "u", "Zk")
    table.commit("DELETE", removed(adds[at]), fewer)
    adds[at] = fewer
    rename(table)
    table.checkpoint(adds, sidecars="parquet")
    second = [{"id": 2**40 + at, "col-late": at % 2 == 0, "word": None} for at in range(3)]
    late = written(session, table, second, "id long, `col-late` boolean, word string")
    table.commit("WRITE", *late)
    session.stop()
    rows = [
        {"id": one["id"], "price": one["x"], "word": one["word"], "at": one["at"].isoformat()}
        for one in first
        if not (one["word"] == "a b" and one["id"] // 9 == DELETED)
    ]
    rows += [{"id": one["id"], "word": None, "late": one["col-late"]} for one in second]
    (HERE / "rows.json").write_text("".join(json.dumps(one) + "\n" for one in rows))
    for one in HERE.rglob(".*.crc"):
        one.unlink()


def rename(table: HandWritten) -> None:
    """Turn column mapping on, as Spark does on a table: stored names are those of before."""
    table.configuration = {
        "delta.columnMapping.mode": "name",
        "delta.columnMapping.maxColumnId": "5",
    }
    table.columns = [
        column("id", pa.int64(), 1, "id"),
        column("price", pa.float64(), 2, "x"),
        column("word", pa.string(), 3, "word"),
        column("at", pa.timestamp("us", "UTC"), 4, "at"),
        column("late", pa.bool_(), 5, "col-late"),
    ]
    table.commit("RENAME COLUMN", table.metadata)


def written(session: Any, table: HandWritten, rows: list[dict[str, Any]], schema: str) -> list[Any]:
    """Let Spark write rows below the table; return the actions that add the files."""
    with tempfile.TemporaryDirectory() as folder:
        frame = session.createDataFrame(rows, schema).coalesce(1)
        frame.write.mode("overwrite").partitionBy("word").parquet(folder)
        adds = []
        for file in sorted(Path(folder).rglob("*.parquet")):
            path = str(file.relative_to(folder))
            (HERE / path).parent.mkdir(exist_ok=True)
            shutil.copy(file, HERE / path)
            words = {folder_of(row["word"]): row["word"] for row in rows}
            adds.append(
                {
                    "add": {
                        "path": quote(path, safe="/=:@!$&'()*+,;~-._"),
                        "partitionValues": {"word": words[path.split("/")[0]]},
                        "size": file.stat().st_size,
                        "modificationTime": 1_700_000_000_000,
                        "dataChange": True,
                        "stats": None,
                    }
                }
            )
        return adds


def folder_of(word: str | None) -> str:
    """Return the folder that Spark gives to a value of `word`."""
    if word is None:
        return "word=__HIVE_DEFAULT_PARTITION__"
    escaped = {letter: f"%{ord(letter):02X}" for letter in "\"#%'*/:=?\\\x7f{[]^\t"}
    return "word=" + "".join(escaped.get(letter, letter) for letter in word)


if __name__ == "__main__":
    main()
