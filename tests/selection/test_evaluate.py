"""Conditions take the rows that duckdb takes."""

import numpy as np
import pytest

from conditions import random_condition, random_table, rows_by_duckdb
from onepass.selection.evaluate import holds
from onepass.selection.parse import parse_where


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
