"""The slot of a combination depends on its levels alone, and slots are used evenly."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from sklearn.utils.murmurhash import murmurhash3_bytes_u32

from onepass.encode.crosses import slots_of_texts
from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Hashed, Numeric
from onepass.encode.schema import Label, Schema
from onepass.encode.shapes import Bins, Cross

SITE, DEVICE = (
    Hashed(name="site", family="text"),
    Hashed(name="device", family="integer", whole=True),
)
CROSS = Cross(name="site*device", parts=[SITE, DEVICE])


def encoded(columns, table, hive=None, folders=None, bits=26):
    schema = Schema(
        columns=columns, label=Label(name="y"), weight=None, hash_bits=bits, hive=hive or {}
    )
    table = table.append_column("y", pa.array(np.zeros(len(table))))
    return Encoder(schema).encode(table, folders or {})


def slots(table, column=CROSS, **options):
    return encoded([column], table, **options).block.slots[:, 0]


def rows(sites=("a", "b", None, "b"), devices=(1, 2, 3, None), **types):
    return pa.table(
        {
            "site": pa.array(sites, types.get("site", pa.string())),
            "device": pa.array(devices, types.get("device", pa.int64())),
        }
    )


def test_hash_is_murmur_of_the_hashes_of_the_levels():
    seeds = {name: murmurhash3_bytes_u32(name.encode(), 0) for name in ("site", "device")}
    for site, device in product(["a", "", "ein ort", "\0null"], ["1", "-7"]):
        parts = [
            murmurhash3_bytes_u32(site.encode(), seeds["site"]),
            murmurhash3_bytes_u32(device.encode(), seeds["device"]),
        ]
        whole = np.array(parts, "<u4").tobytes()
        expected = murmurhash3_bytes_u32(whole, murmurhash3_bytes_u32(b"site*device", 0))
        found = slots(rows([None if site == "\0null" else site], [int(device)]))
        assert found[0] == expected & (2**26 - 1)


def test_type_and_dictionary_of_a_file_do_not_matter():
    expected = slots(rows())
    for site in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        for device in (pa.int8(), pa.uint64(), pa.float32(), pa.float64()):
            np.testing.assert_array_equal(slots(rows(site=site, device=device)), expected)
    codes = pa.array([1, 0, None, 0], pa.int32())
    turned = pa.DictionaryArray.from_arrays(codes, pa.array(["b", "a", "unused"]))
    table = rows().set_column(0, "site", turned)
    np.testing.assert_array_equal(slots(table), expected)
    # A null may lie in the dictionary as well.
    nulls = pa.DictionaryArray.from_arrays(pa.array([1, 2, 0, 2]), pa.array([None, "a", "b"]))
    np.testing.assert_array_equal(slots(rows().set_column(0, "site", nulls)), expected)


def test_key_value_folder_is_a_part_like_a_column():
    expected = slots(rows(["a"] * 3, [1, 2, None]))
    table = rows(["x"] * 3, [1, 2, None]).drop_columns("site")
    found = slots(table, hive={"site": "text"}, folders={"site": "a"})
    np.testing.assert_array_equal(found, expected)


def test_combinations_differ_also_where_levels_are_swapped_or_null():
    names = [f"v{i}" for i in range(60)] + [None]
    pairs = list(product(names, names))
    table = pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
    parts = [Hashed(name="a", family="text"), Hashed(name="b", family="text")]
    found = slots(table, Cross(name="a*b", parts=parts))
    # Birthdays: of 3,721 in 2**26 slots, about 0.1 pairs meet by chance.
    assert len(set(found.tolist())) >= len(pairs) - 2
    turned = slots(table, Cross(name="b*a", parts=parts[::-1]))
    assert (turned != found).all()


@pytest.mark.parametrize("kind", ["short", "alike"])
def test_slots_are_used_as_evenly_as_by_chance(kind):
    n, bits = 300, 12
    names = [str(i) if kind == "short" else f"https://site.example/{i:08d}" for i in range(n)]
    table = pa.table({"a": np.repeat(names, n), "b": np.tile(names, n)})
    parts = [Hashed(name="a", family="text"), Hashed(name="b", family="text")]
    found = slots(table, Cross(name="a*b", parts=parts), bits=bits)
    counts = np.bincount(found, minlength=2**bits)
    mean = n * n / 2**bits
    chi2 = ((counts - mean) ** 2 / mean).sum()
    # Its standard deviation is that of chi-squared with 4,095 degrees of freedom.
    assert abs(chi2 - 4095) < 5 * np.sqrt(2 * 4095)


def test_bins_and_truth_values_are_levels():
    number = Numeric(name="age", center=0, scale=1, missing=False)
    parts = [Bins(number=number, edges=[10, 20]), Hashed(name="flag", family="bool")]
    cross = Cross(name="age*flag", parts=parts)
    table = pa.table({"age": [1.0, 9.9, 10.0, None, 50.0], "flag": [True] * 5})
    one, two, three, null, four = slots(table, cross).tolist()
    assert one == two
    assert len({one, three, null, four}) == 4
    texts = ["< 10\x1ftrue", "[10, 20)\x1ftrue", "\0null\x1ftrue", ">= 20\x1ftrue"]
    assert slots_of_texts(cross, texts, 26).tolist() == [one, three, null, four]


def test_number_is_the_factor_of_the_weight_of_its_level():
    number = Numeric(name="x", center=2.0, scale=4.0, missing=True)
    cross = Cross(name="site*x", parts=[SITE], numbers=[number])
    table = pa.table({"site": ["a", "b", "a", None], "x": [10.0, None, np.inf, 0.0]})
    found = encoded([cross], table).block
    assert found.slots.shape == (4, 0)
    entries = found.entries
    values = [entries.value[entries.start[i] : entries.start[i + 1]].tolist() for i in range(4)]
    # A missing number adds nothing: it is at its mean.
    assert [sum(one) for one in values] == [2.0, 0.0, 0.0, -0.5]
    alone = slots_of_texts(cross, ["a", "b", "\0null"], 26)
    assert entries.slot[entries.start[0]] == alone[0]
    assert entries.slot[entries.start[4] - 1] == alone[2]


@pytest.mark.parametrize("n", [500, 30_000])
def test_commonest_combinations_are_counted_with_their_slots(n):
    rng = np.random.default_rng(0)
    site = np.where(rng.random(n) < 0.5, "often", rng.integers(0, 2000, n).astype(str))
    device = np.where(rng.random(n) < 0.8, 7, rng.integers(0, 2000, n))
    table = rows(site, device)
    found = encoded([CROSS], table)
    counted = found.frequent["site*device"]
    truth = Counter(zip(site.tolist(), device.tolist(), strict=True))
    (text, count), *_ = counted.most_common(1)
    assert text == "often\x1f7"
    assert abs(count / truth["often", 7] - 1) < (0.3 if n > 8192 else 1e-9)
    slot = slots_of_texts(CROSS, [text], 26)[0]
    assert (found.block.slots[:, 0] == slot).sum() == truth["often", 7]
