"""Footer summaries agree with the footers, and files that are alike share what they agree in."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import number_table, write_files
from onepass.errors import BadPartition
from onepass.lake.discover import discover
from onepass.lake.footer import read_footer
from onepass.stream.check_columns import kinds
from onepass.stream.workers import Workers
from onepass.survey.bad_files import BadFiles
from onepass.survey.footers import null_shares, read_summaries


def summaries(folder, *, skip=False):
    with Workers() as workers:
        return read_summaries(discover(str(folder)), BadFiles(skip=skip), workers)


def test_files_that_are_alike_share_schema_kinds_and_paths(tmp_path):
    write_files(tmp_path, {f"{i}.parquet": number_table(20, seed=i) for i in range(3)})
    pq.write_table(number_table(20, seed=9).select(["y", "a"]), tmp_path / "9.parquet")
    *alike, other = summaries(tmp_path)
    for one in alike:
        assert one.schema is alike[0].schema
        assert one.kinds is alike[0].kinds
        assert one.paths is alike[0].paths
    assert other.schema.names == ["y", "a"]
    assert other.schema is not alike[0].schema


@pytest.fixture
def lake_with_nulls(tmp_path):
    """A file with statistics, one with few of them, and one without rows."""
    table = pa.table({"x": [1, None, None, 4, 5], "none": pa.nulls(5, pa.int8()), "t": [*"abcde"]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=2, write_statistics=["x"])
    pq.write_table(table.slice(0, 0), tmp_path / "c.parquet")
    return tmp_path


def test_summary_agrees_with_the_footer(lake_with_nulls):
    for one in summaries(lake_with_nulls):
        footer = read_footer(one.file)
        assert one.fingerprint == footer.fingerprint
        assert one.schema.equals(footer.schema)
        assert one.kinds == kinds(footer.schema, footer.empty(footer.schema.names))


def test_nulls_are_counted_where_the_statistics_tell_them(lake_with_nulls):
    known, unknown, _ = summaries(lake_with_nulls)
    assert known.paths == ["x", "none", "t"]
    assert known.nulls.tolist() == [2, 5, 0]
    assert unknown.nulls.tolist() == [2, -1, -1]
    assert [known.is_empty(name) for name in known.paths] == [False, True, False]
    assert not unknown.is_empty("none")
    assert null_shares([known]) == {"x": 0.4, "none": 1.0, "t": 0.0}
    assert null_shares([known, unknown]) == {"x": 0.4}


def test_unreadable_footer_is_an_error_or_left_out(lake_with_nulls):
    (lake_with_nulls / "b.parquet").write_bytes(b"no Parquet file")
    with pytest.raises(BadPartition, match=r"b\.parquet"):
        summaries(lake_with_nulls)
    found = summaries(lake_with_nulls, skip=True)
    assert [one.file.key for one in found] == ["a.parquet", "c.parquet"]
