"""Order: permutations depend on seed and place alone, in any process and version."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from onepass.lake.order import permutation


@pytest.mark.parametrize("n", [0, 1, 2, 17, 10_000])
def test_permutation_has_every_number_once(n):
    assert np.array_equal(np.sort(permutation(n, 3, "rows", "a.parquet", 0)), np.arange(n))


def test_permutation_is_a_pure_function_of_its_arguments_in_any_process():
    here = permutation(50, 7, "rows", "ü.parquet", 2, 0)
    np.random.default_rng(0).random(1000)
    assert np.array_equal(permutation(50, 7, "rows", "ü.parquet", 2, 0), here)
    code = (
        "from onepass.lake.order import permutation\n"
        "print(*permutation(50, 7, 'rows', 'ü.parquet', 2, 0))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert there.stdout.split() == [str(i) for i in here]


def test_permutations_differ_by_seed_and_by_every_part_of_the_place():
    places = [(0,), (1,), (0, "rows"), (0, "rows", 1), (0, "rows", 11), (0, "rows", 1, 1)]
    drawn = {tuple(permutation(100, *place)) for place in places}
    assert len(drawn) == len(places)


def test_every_place_is_equally_likely():
    """Each of 5 items in each of 5 positions, over 2000 places: chi-squared, 16 degrees."""
    counts = np.zeros((5, 5))
    for place in range(2000):
        counts[np.arange(5), permutation(5, 0, place)] += 1
    assert ((counts - 400) ** 2 / 400).sum() < 45
