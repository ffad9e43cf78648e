"""Widths: estimates from footers and few rows, and the bounds of decoding that follow from them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import write_files
from onepass.lake.discover import discover
from onepass.lake.footer import read_footer
from onepass.survey.widths import Widths

N_ROWS = 5000


def widths_of(folder, table, **options):
    (path,) = write_files(folder, {"a.parquet": table}, **options).iterdir()
    (file,) = discover(str(path))
    widths, footer = Widths(table.schema.names), read_footer(file)
    for group in range(footer.metadata.num_row_groups):
        widths.note(file, footer, group)
    return widths


@pytest.mark.parametrize("length", [3, 500])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_width_of_a_column_is_about_that_of_its_values_however_they_are_stored(
    tmp_path, length, use_dictionary
):
    rng = np.random.default_rng(0)
    distinct = [f"{'x' * length}{i}" for i in rng.integers(0, 10**6, N_ROWS)]
    table = pa.table(
        {
            "number": rng.normal(size=N_ROWS),
            "small": rng.normal(size=N_ROWS).astype(np.float32),
            "yes": rng.random(N_ROWS) < 0.5,
            "few": np.array(distinct[:5])[rng.integers(0, 5, N_ROWS)],
            "many": distinct,
        }
    )
    found = widths_of(tmp_path, table, row_group_size=2000, use_dictionary=use_dictionary)
    for name in table.schema.names:
        true = table[name].nbytes / N_ROWS
        assert 0.9 * true <= found.bytes[name] < 2 * true + 1, name
    assert found.row_bytes == pytest.approx(sum(found.bytes.values()))


def test_columns_are_decoded_in_shares_and_long_texts_in_slices_of_few_rows(tmp_path):
    numbers = {f"x{i}": np.arange(N_ROWS) for i in range(200)}
    table = pa.table(numbers | {"text": ["y" * 2000 + str(i) for i in range(N_ROWS)]})
    found = widths_of(tmp_path, table)
    rows = found.slice_rows(1 << 20, most=16_384)
    assert 200 < rows < 600
    shares = found.shares(4 << 20, rows)
    assert [name for share in shares for name in share] == table.schema.names
    assert 5 < len(shares) < 50
    assert found.shares(1 << 40, rows) == [table.schema.names]
    assert found.shares(1, rows) == [[name] for name in table.schema.names]
    narrow = widths_of(tmp_path, table.select(["x0", "x1"]))
    assert narrow.slice_rows(1 << 20, most=16_384) == 16_384


def test_width_of_a_list_is_that_of_a_row(tmp_path):
    rows = pa.table(
        {"x": pa.array([[0.5] * 100] * 500), "m": [[("a", 1.0)] * 20] * 500},
        pa.schema({"x": pa.list_(pa.float32()), "m": pa.map_(pa.string(), pa.float64())}),
    )
    pq.write_table(rows, tmp_path / "a.parquet")
    (file,) = discover(str(tmp_path))
    widths = Widths(["x", "m"])
    widths.note(file, read_footer(file), 0)
    assert 100 * 4 <= widths.bytes["x"] <= 100 * 13
    assert 20 * 8 <= widths.bytes["m"] <= 20 * 40
