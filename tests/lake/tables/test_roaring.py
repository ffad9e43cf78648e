"""Bitmaps of row numbers are decoded as pyroaring wrote them, and damaged ones are refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from pyroaring import BitMap, BitMap64

from onepass.lake.tables.roaring import decoded_64, decoded_native

NUMBERS = {
    "none": [],
    "one": [7],
    "array": [0, 5, 65_535, 65_536, 200_000],
    "full array": list(range(0, 8_192, 2)),
    "bits": list(range(0, 60_000, 3)),
    "runs": [*range(100, 5_000), *range(70_000, 140_000)],
    "whole container": list(range(65_536)),
    "many runs": [at + 65_536 * part for part in range(6) for at in range(10, 50)],
    "beyond 32 bits": [3, (1 << 32) + 1, (1 << 32) + 70_000, 5 << 32],
}


def portable(numbers: list[int], *, runs: bool) -> bytes:
    bitmap = BitMap64(numbers)
    if runs:
        bitmap.run_optimize()
    return bitmap.serialize()


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("numbers", NUMBERS.values(), ids=NUMBERS)
def test_a_bitmap_is_decoded_to_its_numbers(numbers, runs):
    found = decoded_64(portable(numbers, runs=runs), len(numbers))
    assert found.dtype == np.int64
    assert found.tolist() == numbers


def test_a_bitmap_of_the_older_format_is_decoded_to_its_numbers():
    parts = [BitMap([1, 2, 70_000]), BitMap(), BitMap([9])]
    framed = b"".join(struct.pack("<I", len(b := one.serialize())) + b for one in parts)
    found = decoded_native(struct.pack("<i", 3) + framed, 4)
    assert found.tolist() == [1, 2, 70_000, (2 << 32) + 9]


@pytest.mark.parametrize("count", [0, 4, 6, 1 << 39])
def test_another_count_than_the_log_tells_is_refused(count):
    with pytest.raises(ValueError, match="number"):
        decoded_64(portable([1, 2, 3, 4, 5], runs=False), count)


def test_damaged_bitmaps_are_refused_or_still_are_sets_of_that_many_numbers():
    rng = np.random.default_rng(3)
    n_refused = 0
    for numbers in NUMBERS.values():
        for runs in (False, True):
            whole = portable(numbers, runs=runs)
            for _ in range(60):
                data = bytearray(whole)
                for at in rng.integers(0, len(data), 1 + int(rng.integers(3))):
                    data[at] = rng.integers(256)
                cut = bytes(data[: rng.integers(len(data) + 1)]) if rng.random() < 0.3 else data
                try:
                    found = decoded_64(bytes(cut), len(numbers))
                except ValueError:
                    n_refused += 1
                    continue
                assert len(found) == len(numbers)
                assert (np.diff(found) > 0).all()
                assert (found >= 0).all()
    assert n_refused > 300


def test_a_small_bitmap_that_claims_very_many_numbers_takes_no_memory_for_them():
    containers = 65_536
    cookie = struct.pack("<I", 12_347 | (containers - 1) << 16)
    header = b"".join(struct.pack("<HH", key, 65_535) for key in range(containers))
    offsets = bytes(4 * containers)
    runs = struct.pack("<HHH", 1, 0, 65_535) * containers
    bitmap = cookie + b"\xff" * (containers // 8) + header + offsets + runs
    with pytest.raises(ValueError, match="more numbers"):
        decoded_64(struct.pack("<qI", 1, 0) + bitmap, 1_000)
