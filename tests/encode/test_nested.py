"""Lists and maps: vectors, bags, weights by key and pairs, against numpy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils import murmurhash3_32

from onepass.block import Linear
from onepass.encode.encoder import Encoder, Part
from onepass.encode.nested_kinds import Bag, HashedBag, Pairs, Vector, WeightMap
from onepass.encode.schema import Label, Schema
from onepass.errors import BadColumn

BITS = 12
NAN = float("nan")


def schema_of(*columns) -> Schema:
    return Schema(
        columns=list(columns), label=Label(name="y"), weight=None, hash_bits=BITS, hive={}
    )


def encoded(column, values, **options):
    """Encode one column, or a table."""
    table = values if isinstance(values, pa.Table) else pa.table({"x": values})
    return Encoder(schema_of(column)).encode(table, {}, label=False, **options)


def slot(value: str, name: str = "x") -> int:
    """The slot of a value, by scikit-learn's MurmurHash3."""
    seed = murmurhash3_32(name, positive=True)
    return murmurhash3_32(value, seed=seed, positive=True) % (1 << BITS)


def dense_rows(block) -> np.ndarray:
    """Sparse rows as a matrix with a column for each slot."""
    rows = np.zeros((block.n_rows, 1 << BITS))
    start = block.entries.start
    for i in range(block.n_rows):
        own = slice(start[i], start[i + 1])
        np.add.at(rows[i], block.entries.slot[own], block.entries.value[own])
    return rows


def expected_rows(rows: list[dict[str, float]], name: str = "x") -> np.ndarray:
    found = np.zeros((len(rows), 1 << BITS))
    for i, row in enumerate(rows):
        for value, number in row.items():
            found[i, slot(value, name)] += number
    return found


def vector(length: int, *, missing: bool = True) -> Vector:
    rng = np.random.default_rng(length)
    center, scale = rng.normal(size=length), rng.uniform(0.5, 2, length)
    return Vector(name="x", center=center.tolist(), scale=scale.tolist(), missing=missing)


def scaled(column: Vector, rows: list[list[float] | None]) -> np.ndarray:
    """The features of a vector, row by row."""
    found = np.zeros((len(rows), column.length + 1), np.float32)
    for i, row in enumerate(rows):
        if row is None:
            found[i, -1] = 1
            continue
        values = np.array([NAN if one is None else one for one in row], np.float64)
        values = (values - column.center) / np.array(column.scale)
        found[i, :-1] = np.where(np.isfinite(values), values, 0)
    return found


ROWS = [[1.0, 2.0, -3.0], None, [0.5, None, 4.0], [2.0, 1.0, 0.0], [7.0, -1.0, 2.5]]
INTEGERS = [None if row is None else [None if v is None else int(v) for v in row] for row in ROWS]


@pytest.mark.parametrize(
    "dtype",
    [
        *(pa.list_(pa.float64()), pa.list_(pa.float32()), pa.list_(pa.float16())),
        *(pa.large_list(pa.float32()), pa.list_(pa.float32(), 3), pa.list_(pa.float64(), 3)),
        *(pa.list_view(pa.float32()), pa.large_list_view(pa.float64())),
        *(pa.list_(pa.int8()), pa.list_(pa.int64()), pa.list_(pa.uint16(), 3)),
        pa.list_(pa.decimal128(6, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("cut", [(0, 5), (1, 3), (2, 3), (4, 1), (3, 0)], ids=str)
def test_a_vector_is_centred_and_scaled_by_element_from_every_type_of_list(dtype, cut):
    integers = pa.types.is_integer(dtype.value_type)
    rows = INTEGERS if integers else ROWS
    if pa.types.is_unsigned_integer(dtype.value_type):
        rows = [
            None if row is None else [None if v is None else abs(v) for v in row] for row in rows
        ]
    column, (first, n) = vector(3), cut
    is_decimal = pa.types.is_decimal(dtype.value_type)
    lists = (
        pa.array(rows, pa.list_(pa.float64())).cast(dtype) if is_decimal else pa.array(rows, dtype)
    )
    found = encoded(column, lists.slice(first, n)).block.dense
    np.testing.assert_allclose(found, scaled(column, rows)[first : first + n], rtol=1e-6, atol=1e-7)


def test_elements_that_cannot_be_used_are_imputed_and_count():
    column = vector(3, missing=False)
    rows = [[NAN, 1.0, 2.0], [np.inf, None, 1.0], None, [1e300, 0.0, 0.0]]
    found = encoded(column, pa.array(rows, pa.list_(pa.float64())))
    expected = scaled(column, rows[:3])[:, :-1]
    assert np.array_equal(found.block.dense[:3], expected)
    assert found.block.dense[3, 0] == 0
    assert found.counts == {"non_finite": 3, "null_element": 1, "unexpected_null": 1}


def test_a_list_of_another_length_is_an_error_and_not_a_shift_of_all_rows_behind_it():
    lists = pa.array([[1.0, 2.0, 3.0], [1.0, 2.0], [1.0]])
    with pytest.raises(BadColumn, match=r"expected lists of 3 numbers, found 2 .* 2 of 3 rows"):
        encoded(vector(3), lists)


def test_elements_behind_a_null_list_are_not_read():
    values = pa.array([9.0, 9.0, 1.0, 2.0])
    lists = pa.ListArray.from_arrays(
        pa.array([0, 2, 4], pa.int32()), values, mask=pa.array([True, False])
    )
    column = vector(2)
    assert np.array_equal(encoded(column, lists).block.dense, scaled(column, [None, [1.0, 2.0]]))
    bag = HashedBag(name="x", family="integers", per_row=2)
    integers = lists.cast(pa.list_(pa.int64()))
    expected = expected_rows([{"\0null": 1}, {"1": 1, "2": 1}])
    assert np.array_equal(dense_rows(encoded(bag, integers).block), expected)


TAGS = [["a", "b", "a"], None, [], ["c", None, "a", " "], ["zz"], ["b", "b", "b"]]


def forms(rows, kind=None):
    """The same lists in the types in which writers store them."""
    plain = pa.array(rows, pa.list_(kind or pa.string()))
    if kind is not None:
        return {"list": plain, "large": plain.cast(pa.large_list(pa.int32()))}
    coded = pa.list_(pa.dictionary(pa.int32(), pa.string()))
    return {
        "list": plain,
        "large": plain.cast(pa.large_list(pa.large_string())),
        "codes": plain.cast(coded),
        "views": pa.array(rows, pa.list_(pa.string_view())),
    }


@pytest.mark.parametrize("form", list(forms(TAGS)))
@pytest.mark.parametrize("counted", [False, True])
def test_a_bag_has_a_feature_for_each_value_as_count_vectorizer_counts_them(form, counted):
    column = Bag(
        name="x", family="texts", levels=["a", "b", "c"], missing=True, counted=counted, per_row=2
    )
    found = encoded(column, forms(TAGS)[form])
    words = CountVectorizer(
        analyzer=lambda row: row, binary=not counted, vocabulary=["a", "b", "c"]
    )
    texts = [[one for one in row or [] if one] for row in TAGS]
    assert np.array_equal(found.block.dense[:, :3], words.transform(texts).toarray())
    assert found.block.dense[:, 3].tolist() == [0, 1, 0, 0, 0, 0]
    assert found.block.dense[:, 4].tolist() == [0, 0, 0, 0, 1, 0]
    assert found.counts == {"unknown_level": 1, "null_element": 2}


@pytest.mark.parametrize("form", list(forms(TAGS)))
@pytest.mark.parametrize("counted", [False, True])
def test_a_hashed_bag_has_an_entry_for_each_value(form, counted):
    column = HashedBag(name="x", family="texts", counted=counted, per_row=2)
    block = encoded(column, forms(TAGS)[form]).block
    rows = [
        {one: row.count(one) if counted else 1 for one in row if one and one != " "}
        for row in ([] if row is None else row for row in TAGS)
    ]
    expected = expected_rows(rows)
    expected[1, slot("\0null")] = 1
    assert np.array_equal(dense_rows(block), expected)
    # The value decides its slot, so the order of a list changes nothing but the order of entries.
    turned = pa.array([None if row is None else row[::-1] for row in TAGS], pa.list_(pa.string()))
    assert np.array_equal(dense_rows(encoded(column, turned).block), expected)


@pytest.mark.parametrize("form", ["list", "large"])
def test_a_bag_of_integers_has_the_slots_of_their_texts(form):
    rows = [[3, 3, 40], [], None, [7, None]]
    column = HashedBag(name="x", family="integers", per_row=2)
    expected = expected_rows([{"3": 1, "40": 1}, {}, {"\0null": 1}, {"7": 1}])
    assert np.array_equal(
        dense_rows(encoded(column, forms(rows, pa.int32())[form]).block), expected
    )


MAPS = [[("a", 2.0), ("b", -1.0)], None, [], [("c", None), ("a", 0.0)], [("b", NAN), ("d", 8.0)]]


@pytest.mark.parametrize("key", [pa.string(), pa.dictionary(pa.int8(), pa.string())], ids=str)
@pytest.mark.parametrize("cut", [(0, 5), (1, 4), (3, 2)], ids=str)
def test_a_map_gives_each_key_its_number_over_the_frozen_scale(key, cut):
    first, n = cut
    maps = pa.array(MAPS, pa.map_(pa.string(), pa.float32())).cast(pa.map_(key, pa.float32()))
    found = encoded(WeightMap(name="x", scale=4.0, per_row=1), maps.slice(first, n))
    expected = [{"a": 0.5, "b": -0.25}, {"\0null": 1}, {}, {}, {"d": 2.0}]
    assert np.array_equal(dense_rows(found.block), expected_rows(expected)[first : first + n])
    assert found.counts == {"null_element": 1, "non_finite": 1}


def test_a_map_to_text_is_a_bag_of_its_entries():
    maps = pa.array(
        [[("k", "u"), ("l", "v")], [("k", None)], None], pa.map_(pa.string(), pa.string())
    )
    column = HashedBag(name="x", family="entries", per_row=1)
    expected = expected_rows([{"k=u": 1, "l=v": 1}, {}, {"\0null": 1}])
    assert np.array_equal(dense_rows(encoded(column, maps).block), expected)


def pair_table(index, value):
    columns = {
        "i": pa.array(index, pa.list_(pa.int32())),
        "v": pa.array(value, pa.list_(pa.float64())),
    }
    return pa.table(columns)


PAIRS = Pairs(name="i:v", index="i", value="v", scale=2.0, per_row=2)


def test_pairs_are_sparse_rows_and_numbers_without_indices_count_up():
    index = [[3, 50], None, [], None, [7, 7], [None, 2]]
    value = [[1.0, -2.0], None, [], [4.0, 0.0, 6.0], [1.0, 2.0], [5.0, 6.0]]
    found = encoded(PAIRS, pair_table(index, value))
    expected = [
        *({"3": 0.5, "50": -1.0}, {"\0null": 1}, {}, {"0": 2.0, "2": 3.0}, {"7": 1.5}),
        {"2": 3.0},
    ]
    assert np.array_equal(dense_rows(found.block), expected_rows(expected, "i:v"))
    assert found.counts == {"null_element": 1}


def test_a_row_with_other_numbers_than_indices_is_an_error():
    table = pair_table([[1], [1, 2], [3]], [[1.0], [1.0], None])
    with pytest.raises(BadColumn, match=r"found 1 of 2 in one row \(different in 2 of 3 rows\)"):
        encoded(PAIRS, table)


EVERY = {
    "vector": (vector(3), pa.array(ROWS * 200, pa.list_(pa.float32()))),
    "bag": (
        Bag(name="x", family="texts", levels=["a", "b"], missing=True, per_row=2),
        pa.array(TAGS * 200, pa.list_(pa.string())),
    ),
    "hashed bag": (
        HashedBag(name="x", family="texts", per_row=2),
        pa.array(TAGS * 200, pa.list_(pa.string())),
    ),
    "map": (
        WeightMap(name="x", scale=3.0, per_row=2),
        pa.array(MAPS * 200, pa.map_(pa.string(), pa.float64())),
    ),
}


@pytest.mark.parametrize("kind", EVERY)
def test_margins_are_those_of_the_features(kind):
    column, values = EVERY[kind]
    rng, schema = np.random.default_rng(1), schema_of(column)
    linear = Linear(
        np.array([0.5, -1.0]),
        rng.normal(size=(2, schema.n_dense)),
        rng.normal(size=(schema.n_slots, 2)),
    )
    found = encoded(column, values, linear=linear)
    block = encoded(column, values).block
    expected = linear.intercept[:, None] + linear.dense @ block.dense.T.astype(np.float64)
    if block.entries is not None:
        expected += linear.hashed.T @ dense_rows(block).T
    np.testing.assert_allclose(found.margins, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", EVERY)
def test_the_order_of_a_block_only_moves_its_rows(kind):
    column, values = EVERY[kind]
    table = pa.table({"x": values})
    order = np.random.default_rng(2).permutation(len(values))
    draft = Encoder(schema_of(column)).draft(len(values), order, label=False)
    # Slices, as a large row group is read.
    for start in range(0, len(values), 170):
        draft.write(
            Part(
                pa.RecordBatch.from_struct_array(
                    table.slice(start, 170).to_struct_array().combine_chunks()
                )
            )
        )
    found, whole = draft.finish().block, encoded(column, values).block.take(order)
    assert np.array_equal(found.dense, whole.dense)
    if whole.entries is not None:
        for name in ("start", "slot", "value"):
            assert np.array_equal(getattr(found.entries, name), getattr(whole.entries, name))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    # A writer of maps never makes lists.
    [(kind, pa.null()) for kind in EVERY]
    + [(kind, pa.list_(pa.null())) for kind in EVERY if kind != "map"],
    ids=str,
)
def test_a_file_without_a_value_has_null_rows(kind, dtype):
    column, values = EVERY[kind]
    null = encoded(column, pa.nulls(3, values.type)).block
    found = encoded(column, pa.nulls(3, dtype)).block
    assert np.array_equal(found.dense, null.dense)
    if null.entries is not None:
        assert np.array_equal(found.entries.slot, null.entries.slot)


@pytest.mark.parametrize("kind", EVERY)
def test_a_column_of_another_type_is_refused(kind):
    column, _ = EVERY[kind]
    for other in (pa.array([1.5, 2.5]), pa.array(["a", "b"]), pa.array([[True], [False]])):
        with pytest.raises(BadColumn, match=r"expected (lists|maps)"):
            encoded(column, other)


WORDS = ["na", "-9"]


@pytest.mark.parametrize("kind", ["texts", "integers", "entries"])
@pytest.mark.parametrize("hashed", [False, True])
def test_words_for_a_missing_value_are_left_out_of_bags_as_null_is(kind, hashed):
    rows, dtype = [["a", "NA "], [" na"], ["b", "a"]], pa.list_(pa.string())
    if kind == "integers":
        rows, dtype = [[1, -9], [-9], [2, 1]], pa.list_(pa.int64())
    elif kind == "entries":
        rows = [[("k", "a"), ("l", "NA")], [("k", "na")], [("k", "b"), ("l", "-9")]]
        dtype = pa.map_(pa.string(), pa.string())
    named = {"name": "x", "family": kind, "per_row": 1.0, "missing_texts": WORDS}
    levels = {"texts": ["a", "b"], "integers": ["1", "2"], "entries": ["k=a", "k=b"]}[kind]
    column = HashedBag(**named) if hashed else Bag(**named, levels=levels, missing=False)
    expected = [[levels[0]], [], [levels[1]] if kind == "entries" else levels[::-1]]
    found = encoded(column, pa.array(rows, dtype))
    assert found.counts["null_element"] == (3 if kind == "entries" else 2)
    assert found.counts["unknown_level"] == 0
    if hashed:
        rows = expected_rows([dict.fromkeys(row, 1.0) for row in expected])
        assert np.array_equal(dense_rows(found.block), rows)
    else:
        own = [[float(level in row) for level in levels] + [0.0] for row in expected]
        assert np.array_equal(found.block.dense, own)


def test_numbers_for_a_missing_value_are_missing_in_vectors_maps_and_pairs():
    column = vector(2).model_copy(update={"missing_texts": WORDS})
    for dtype in (pa.list_(pa.float64()), pa.list_(pa.int32(), 2), pa.list_(pa.float16())):
        found = encoded(column, pa.array([[1, -9], None, [-9, 3]], dtype))
        expected = scaled(column, [[1.0, None], None, [None, 3.0]])
        assert np.array_equal(found.block.dense, expected)
        assert found.counts["null_element"] == 2
    weights = WeightMap(name="x", scale=1.0, per_row=1, missing_texts=WORDS)
    maps = pa.array([[("a", -9), ("b", 2)], [("a", 1)]], pa.map_(pa.string(), pa.float64()))
    found = encoded(weights, maps)
    assert np.array_equal(dense_rows(found.block), expected_rows([{"b": 2.0}, {"a": 1.0}]))
    pairs = PAIRS.model_copy(update={"missing_texts": WORDS, "scale": 1.0})
    table = pair_table([[4, 5]], [[-9.0, 2.0]])
    found = encoded(pairs, table)
    assert np.array_equal(dense_rows(found.block), expected_rows([{"5": 2.0}], pairs.name))
    assert found.counts["null_element"] == 1
