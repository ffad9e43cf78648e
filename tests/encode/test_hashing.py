"""Hashing: MurmurHash3 of the value, whatever Arrow wraps it in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.hashing import hash_slots, hash_strings, murmur3_32


def texts(n, seed=0):
    """Texts of every length from nothing to 40 characters, in many scripts."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcxyz 019._-=\0éßñ漢字😀"))
    return ["".join(rng.choice(letters, length % 41)) for length in range(n)]


def test_hash_is_the_murmur3_of_scikit_learn():
    murmurhash3_32 = pytest.importorskip("sklearn.utils").murmurhash3_32
    values = texts(300)
    for seed in (0, 1, 2**31, 2**32 - 1):
        expected = [murmurhash3_32(value, seed, positive=True) for value in values]
        assert hash_strings(pa.array(values), seed).tolist() == expected
        later = pa.array(["before", *values], pa.large_string()).slice(1)
        assert hash_strings(later, seed).tolist() == expected
        assert [murmur3_32(value, seed) for value in values[:50]] == expected[:50]


def test_published_vectors_of_murmur3():
    assert murmur3_32("") == 0
    assert murmur3_32("", 1) == 0x514E28B7
    assert murmur3_32("test") == 0xBA6BD213
    assert murmur3_32("aaaa", 0x9747B28C) == 0x5A97808A


def test_slot_is_the_hash_seeded_by_the_column_name_cut_to_its_low_bits():
    murmurhash3_32 = pytest.importorskip("sklearn.utils").murmurhash3_32
    values = texts(200)
    seed = murmurhash3_32("städte.x", 0, positive=True)
    for bits in (1, 8, 26):
        expected = [murmurhash3_32(value, seed, positive=True) % 2**bits for value in values]
        slots = hash_slots(pa.array(values), "städte.x", bits)
        assert slots.dtype == np.int32
        assert slots.tolist() == expected


@pytest.mark.parametrize(
    "wrap",
    [
        lambda values: values.cast(pa.large_string()),
        lambda values: values.dictionary_encode(),
        lambda values: values.dictionary_encode().cast(pa.dictionary(pa.int16(), pa.string())),
        lambda values: pa.concat_arrays([pa.array(["before"]), values]).slice(1),
        lambda values: pa.concat_arrays([pa.array(["before"]), values]).dictionary_encode()[1:],
        lambda values: pa.DictionaryArray.from_arrays(
            pa.array(range(len(values) - 1, -1, -1)), values[::-1]
        ),
    ],
    ids=["large", "dictionary", "int16 codes", "slice", "dictionary slice", "null in dictionary"],
)
def test_same_slots_however_the_text_is_stored(wrap):
    values = pa.array([*texts(100), None, "x", None, "x", ""])
    assert np.array_equal(hash_slots(wrap(values), "c", 20), hash_slots(values, "c", 20))


def test_null_has_a_slot_that_no_text_of_the_column_shares():
    slots = hash_slots(pa.array([None, "", "null", "None", "a"]), "c", 26)
    assert len(set(slots.tolist())) == 5
    assert hash_slots(pa.nulls(3, pa.string()), "c", 26).tolist() == [slots[0]] * 3


def test_equal_values_of_two_columns_differ():
    values = pa.array(texts(100))
    assert (hash_slots(values, "a", 26) != hash_slots(values, "b", 26)).mean() > 0.95


def test_slots_are_spread_evenly():
    slots = hash_slots(pa.array([f"user-{i}" for i in range(64_000)]), "user", 6)
    counts = np.bincount(slots, minlength=64)
    assert ((counts - 1000) ** 2 / 1000).sum() < 120


def test_no_rows_have_no_slots():
    assert hash_slots(pa.array([], pa.string()), "c", 8).shape == (0,)
