"""Frequent values: bounded, deterministic, and right about the common values."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.frequent import KEPT, PER_BATCH, Frequent, commonest


def zipf(n_rows: int, seed: int, n_levels: int = 20_000) -> list[str]:
    rng = np.random.default_rng(seed)
    return [f"level-{int(n_levels**u)}" for u in rng.random(n_rows)]


def test_commonest_values_come_with_their_rows():
    values = ["a"] * 5 + ["b"] * 3 + [None] * 9 + ["c"]
    found = commonest(pa.array(values).dictionary_encode())
    assert found == {"a": 5, "b": 3, "c": 1}
    assert commonest(pa.array(values[:1]).dictionary_encode(), 40) == {"a": 40}
    assert commonest(pa.array([], pa.string()).dictionary_encode()) == {}
    assert len(commonest(pa.array(zipf(8000, 0)).dictionary_encode())) == PER_BATCH


def test_long_batch_gives_estimates_of_common_values_and_leaves_out_rare_ones():
    is_common = np.random.default_rng(3).random(40_000) < 0.75
    values = ["often" if common else f"rare {i}" for i, common in enumerate(is_common)]
    for column in (pa.array(values), pa.array(values).dictionary_encode()):
        found = commonest(column)
        assert set(found) == {"often"}
        assert found["often"] == pytest.approx(30_000, rel=0.2)


def test_sketch_finds_the_frequent_values_of_a_stream():
    frequent, exact = Frequent(["column"]), Counter()
    for seed in range(40):
        batch = zipf(3000, seed)
        exact.update(batch)
        frequent.add({"column": commonest(pa.array(batch).dictionary_encode())})
    found = frequent.values("column")
    assert len(found) <= 2 * KEPT
    top = [name for name, _ in exact.most_common(30)]
    assert [name for name, _ in found[:10]] == top[:10]
    assert set(top) <= {name for name, _ in found[:60]}
    assert all(n <= exact[name] for name, n in found)


def test_dump_and_load_give_the_same_bytes_and_go_on_alike():
    one, other = Frequent(["a", "b"]), Frequent(["a", "b"])
    one.add({"a": {"x": 3, "y": 3}, "b": {"ü": 1}})
    other.load(one.dump())
    assert bytes(other.dump()) == bytes(one.dump())
    for sketch in (one, other):
        sketch.add({"a": {f"v{i}": 1 for i in range(3 * KEPT)}})
    assert bytes(other.dump()) == bytes(one.dump())


def test_counts_of_other_columns_are_refused():
    with pytest.raises(ValueError, match="expected values of"):
        Frequent(["a"]).load(Frequent(["b"]).dump())


def test_shares_count_from_zero_and_add_up():
    base = Frequent(["a", "b"])
    base.add({"a": {"x": 5, "y": 1}})
    whole = Frequent(["a", "b"])
    whole.load(base.dump())
    found = []
    for counts in ({"a": {"x": 2}}, {"a": {"z": 7}, "b": {"u": 1}}, {}):
        share = Frequent(["a", "b"])
        share.load(base.dump())
        share.hold()
        share.add(counts)
        whole.add(counts)
        found.append(share.difference())
    one, two, three = found
    for total in (one.then(two).then(three), one.then(two.then(three))):
        merged = Frequent(["a", "b"])
        merged.load(base.dump())
        merged.add(total.counts)
        np.testing.assert_array_equal(merged.dump(), whole.dump())


def test_a_merge_of_many_values_keeps_the_most_frequent():
    base = Frequent(["a"])
    base.add({"a": {f"v{i}": i + 1 for i in range(2 * KEPT)}})
    share = Frequent(["a"])
    share.add({"a": {f"w{i}": 10_000 + i for i in range(10)}})
    base.add(share.difference().counts)
    assert len(base.values("a")) == KEPT
    assert base.values("a")[0] == ("w9", 10_009)
