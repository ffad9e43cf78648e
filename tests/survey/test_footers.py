"""Glance: what is kept of a footer is small, true, and shared by files that are alike."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from lakes import number_table, write_files
from onepass.lake.discover import discover
from onepass.lake.footer import read_footer
from onepass.stream.check_columns import empty_columns, kinds
from onepass.survey.footers import Glances


def test_files_that_are_alike_share_what_they_agree_in(tmp_path):
    write_files(tmp_path, {f"{i}.parquet": number_table(20, seed=i) for i in range(3)})
    pq.write_table(number_table(20, seed=9).select(["y", "a"]), tmp_path / "9.parquet")
    glances = Glances()
    *alike, other = [glances.at(file) for file in discover(str(tmp_path))]
    for one in alike:
        assert one.schema is alike[0].schema
        assert one.kinds is alike[0].kinds
        assert one.paths is alike[0].paths
    assert other.schema.names == ["y", "a"]
    assert other.schema is not alike[0].schema


def test_a_glance_tells_what_the_footer_does(tmp_path):
    table = pa.table({"x": [1, None, None, 4, 5], "none": pa.nulls(5, pa.int8()), "t": [*"abcde"]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=2, write_statistics=["x"])
    pq.write_table(table.slice(0, 0), tmp_path / "c.parquet")
    found = {file.key: Glances().at(file) for file in discover(str(tmp_path))}
    for file in discover(str(tmp_path)):
        footer = read_footer(file)
        assert found[file.key].fingerprint == footer.fingerprint
        assert found[file.key].schema.equals(footer.schema)
        assert found[file.key].kinds == kinds(
            footer.schema, empty_columns(footer, footer.schema.names)
        )
    assert found["a.parquet"].paths == ["x", "none", "t"]
    assert found["a.parquet"].nulls.tolist() == [2, 5, 0]
    assert found["b.parquet"].nulls.tolist() == [2, -1, -1]
    assert [found["a.parquet"].is_empty(name) for name in table.column_names] == [
        False,
        True,
        False,
    ]
    assert not found["b.parquet"].is_empty("none")
