"""Encoder: each kind of column against a computation row by row in plain Python."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.encoder import Encoder
from onepass.encode.hashing import hash_slots
from onepass.encode.scalar_kinds import Bool, Hashed, Numeric, OneHot, Time
from onepass.encode.schema import Label, Schema
from onepass.errors import BadColumn

NAN, INF = float("nan"), float("inf")
UTC = dt.UTC


def encode(columns, table, *, hive=None, folders=None, label=False, **options):
    """Encode a table (or one column ``x``) by a schema of these columns."""
    schema = Schema(
        columns=columns if isinstance(columns, list) else [columns],
        label=label if isinstance(label, Label) else Label(name="y"),
        weight=options.pop("weight", None),
        hash_bits=16,
        hive=hive or {},
    )
    if isinstance(table, pa.Array | pa.ChunkedArray):
        table = pa.table({"x": table})
    return Encoder(schema, **options).encode(table, folders or {}, label=bool(label))


def numeric(missing=True, center=2.0, scale=4.0, name="x"):
    return Numeric(name=name, center=center, scale=scale, missing=missing)


def one_hot(levels, family="text", missing=True, name="x"):
    return OneHot(name=name, family=family, levels=levels, missing=missing)


NUMBERS = [1, None, 7, 0, 100]


@pytest.mark.parametrize(
    "dtype",
    [
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float16(), pa.float32(), pa.float64()),
        *(pa.decimal32(5, 1), pa.decimal64(12, 2), pa.decimal128(20, 3), pa.decimal256(50, 4)),
        *(pa.dictionary(pa.int8(), pa.int64()), pa.dictionary(pa.int32(), pa.float64())),
    ],
    ids=str,
)
def test_numbers_of_every_type_are_centred_scaled_and_imputed(dtype):
    value_type = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    values = pa.array(
        [Decimal(v) if pa.types.is_decimal(dtype) and v is not None else v for v in NUMBERS],
        value_type,
    )
    if pa.types.is_dictionary(dtype):
        values = values.dictionary_encode()
    encoded = encode(numeric(), pa.chunked_array([values[:2], values[2:]]))
    expected = [[0 if v is None else (v - 2) / 4, v is None] for v in NUMBERS]
    np.testing.assert_array_equal(encoded.block.dense, np.array(expected, np.float32))
    assert encoded.block.dense.flags.c_contiguous
    assert not encoded.counts


def test_large_numbers_are_centred_before_they_are_rounded():
    values = np.float64(1_700_000_000) + np.arange(5)
    dense = encode(numeric(False, center=1.7e9, scale=1.0), pa.array(values)).block.dense
    assert dense.ravel().tolist() == [0, 1, 2, 3, 4]


def test_numbers_that_are_not_finite_are_imputed_and_counted():
    values = [1.0, NAN, INF, -INF, 1e300, -1.7e308, None, 2.0]
    encoded = encode(numeric(scale=1e-3), pa.array(values))
    assert encoded.block.dense[:, 0].tolist() == [-1000, 0, 0, 0, 0, 0, 0, 0]
    assert encoded.block.dense[:, 1].tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    assert encoded.counts == {"non_finite": 5}
    unexpected = encode(numeric(False, scale=1e-3), pa.array(values))
    assert unexpected.block.dense[:, 0].tolist() == encoded.block.dense[:, 0].tolist()
    assert unexpected.counts == {"non_finite": 5, "unexpected_null": 1}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (numeric(False), [None, 2.0]),
        (Bool(name="x", missing=False), [None, False]),
        (
            Time(name="x", center=0, scale=1, parts=["trend"], missing=False),
            [None, dt.date(1970, 1, 1)],
        ),
        (one_hot(["a", "b"], missing=False), [None, "a"]),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_unexpected_nulls_are_imputed_and_counted(column, values):
    encoded = encode(column, pa.array(values))
    assert not encoded.block.dense.any()
    assert encoded.counts == {"unexpected_null": 1}


def test_truth_values_are_zero_and_one():
    encoded = encode(Bool(name="x", missing=True), pa.array([True, None, False]))
    assert encoded.block.dense.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert not encoded.counts


INSTANTS = [
    *(dt.datetime(2026, 3, 1, 13, 45, 30), None, dt.datetime(1970, 1, 1), dt.datetime(2024, 2, 29)),
    *(dt.datetime(1969, 12, 31, 23, 59, 59), dt.datetime(2200, 7, 4, 0, 0, 1)),
]


def time_features(instant, center, scale):
    """Trend, hour, weekday and year of an instant in UTC, by the calendar."""
    if instant is None:
        return [0.0] * 11 + [1.0]
    seconds = (instant - dt.datetime(1970, 1, 1)).total_seconds()
    hour = 2 * math.pi * (instant - instant.replace(hour=0, minute=0, second=0)).seconds / 86400
    year = 2 * math.pi * seconds / (365.2425 * 86400)
    return [
        (seconds - center) / scale,
        *(math.sin(hour), math.cos(hour)),
        *(float(instant.weekday() == day) for day in range(1, 7)),
        *(math.sin(year), math.cos(year)),
        0.0,
    ]


@pytest.mark.parametrize(
    "dtype",
    [
        *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
        *(pa.timestamp("ns", "UTC"), pa.timestamp("s", "America/New_York")),
        *(pa.date32(), pa.date64(), pa.dictionary(pa.int32(), pa.timestamp("us"))),
    ],
    ids=str,
)
def test_times_of_every_type_become_trend_and_cycles_in_utc(dtype):
    instants, center, scale = INSTANTS, 1.77e9, 1e6
    if pa.types.is_date(dtype):
        instants = [v and dt.datetime.combine(v.date(), dt.time()) for v in instants]
    if getattr(dtype, "tz", None):
        aware = [v and v.replace(tzinfo=UTC) for v in instants]
        values = pa.array(aware, pa.timestamp("us", "UTC")).cast(dtype)
    elif pa.types.is_dictionary(dtype):
        values = pa.array(instants, dtype.value_type).dictionary_encode()
    else:
        values = pa.array(instants, pa.timestamp("us")).cast(dtype)
    parts = ["trend", "hour", "weekday", "year"]
    column = Time(name="x", center=center, scale=scale, parts=parts, missing=True)
    assert len(column.feature_names()) == 12
    expected = [time_features(instant, center, scale) for instant in instants]
    encoded = encode(column, values)
    np.testing.assert_allclose(encoded.block.dense, expected, rtol=1e-6, atol=1e-6)
    assert not encoded.counts


def test_far_future_of_coarse_timestamps_does_not_wrap_around():
    values = pa.array([2**62], pa.timestamp("s"))
    column = Time(name="x", center=0, scale=2.0**62, parts=["trend"], missing=False)
    assert encode(column, values).block.dense.tolist() == [[1.0]]


TEXTS = ["a", None, "c", "b", "new", "c", "", "a"]
FORMS = {
    "string": lambda values: values,
    "large_string": lambda values: values.cast(pa.large_string()),
    "string_view": lambda values: values.cast(pa.string_view()),
    "dictionary": lambda values: values.dictionary_encode(),
    "small codes": lambda values: values.dictionary_encode().cast(
        pa.dictionary(pa.uint8(), pa.large_string())
    ),
    "dictionaries that differ": lambda values: pa.chunked_array(
        [part.dictionary_encode() for part in (values[:3], values[3:5], values[5:])]
    ),
    "views in a dictionary": lambda values: pa.DictionaryArray.from_arrays(
        pa.array(range(len(values))), values.cast(pa.string_view())
    ),
    "null in a dictionary": lambda values: pa.DictionaryArray.from_arrays(
        pa.array(range(len(values))), values
    ),
    "no rows between": lambda values: pa.chunked_array(
        [values[:0], values[:4], values[:0], values[4:]]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_levels_are_zero_or_one_and_unknown_ones_have_their_own_feature(form):
    column = one_hot(["a", "b", "c"])
    assert column.feature_names() == ["x = b", "x = c", "x is null", "x is unknown"]
    encoded = encode(column, FORMS[form](pa.array(TEXTS)))
    expected = [[t == "b", t == "c", t is None, t in ("new", "")] for t in TEXTS]
    np.testing.assert_array_equal(encoded.block.dense, np.array(expected, np.float32))
    assert encoded.counts == {"unknown_level": 2}


@pytest.mark.parametrize("form", FORMS)
def test_hashed_slots_depend_on_the_text_alone(form):
    values = pa.array(TEXTS)
    encoded = encode(Hashed(name="x", family="text"), FORMS[form](values))
    assert encoded.block.slots[:, 0].tolist() == hash_slots(values, "x", 16).tolist()
    assert encoded.block.dense.shape == (len(TEXTS), 0)


@pytest.mark.parametrize("form", ["int8", "int64", "uint64", "dictionary"])
def test_integers_as_categories_are_their_digits(form):
    values = pa.array([7, None, 0, 101, 7], pa.int64() if form == "dictionary" else form)
    values = values.dictionary_encode() if form == "dictionary" else values
    dense = encode(one_hot(["0", "7"], "integer"), values).block.dense
    assert dense.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]]
    slots = encode(Hashed(name="x", family="integer"), values).block.slots[:, 0]
    assert slots.tolist() == hash_slots(pa.array(["7", None, "0", "101", "7"]), "x", 16).tolist()


def test_truth_values_as_categories():
    dense = encode(one_hot(["true", "false"], "bool"), pa.array([True, None, False])).block.dense
    assert dense.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


KINDS = [
    *(numeric(), Bool(name="x", missing=True), one_hot(["a"]), one_hot(["1"], "integer")),
    *(Hashed(name="x", family="text"), Hashed(name="x", family="integer")),
    Time(name="x", center=0, scale=1, parts=["trend", "hour", "weekday", "year"], missing=True),
]


@pytest.mark.parametrize("column", KINDS, ids=lambda column: column.kind)
@pytest.mark.parametrize("dictionary", [False, True])
def test_column_of_type_null_is_read_as_nulls(column, dictionary):
    nulls = pa.nulls(3).dictionary_encode() if dictionary else pa.nulls(3)
    block = encode(column, nulls).block
    at_null = column.feature_names().index("x is null") if column.feature_names() else None
    for row in block.dense.tolist():
        assert [i for i, value in enumerate(row) if value] == ([] if at_null is None else [at_null])
    if isinstance(column, Hashed):
        assert set(block.slots.ravel()) == set(hash_slots(pa.nulls(1, pa.string()), "x", 16))


@pytest.mark.parametrize("column", KINDS, ids=lambda column: column.kind)
def test_table_without_rows_gives_a_block_without_rows(column):
    encoded = encode(column, pa.nulls(0))
    assert encoded.block.dense.shape == (0, len(column.feature_names()))
    assert encoded.block.n_rows == 0


@pytest.mark.parametrize(
    ("column", "values"),
    [
        *(
            (numeric(), v)
            for v in (["1"], [True], [dt.date(2026, 1, 1)], [[1.0]], [{"x": 1}], [b"1"])
        ),
        *((Bool(name="x", missing=True), v) for v in ([1], ["true"])),
        *((one_hot(["1"]), v) for v in ([1], [b"1"], [["1"]])),
        *((one_hot(["1"], "integer"), v) for v in (["1"], [1.0])),
        *((Hashed(name="x", family="text"), v) for v in ([1], [["1"]])),
        *((Hashed(name="x", family="integer"), v) for v in (["1"], [1.0])),
        *((KINDS[-1], v) for v in ([1], ["2026-01-01"], [dt.time(1)], [dt.timedelta(1)])),
    ],
)
def test_column_of_another_type_is_refused_by_name_and_type(column, values):
    values = pa.array(values)
    with pytest.raises(BadColumn, match=r"(?s)^column 'x': expected .*found type") as caught:
        encode(column, values)
    assert str(values.type) in str(caught.value)


def test_missing_column_is_refused_by_name():
    for column in KINDS:
        with pytest.raises(BadColumn, match="column 'x': the column is missing"):
            encode(column, pa.table({"z": [1]}))
    with pytest.raises(BadColumn, match="column 'y': the column is missing"):
        encode([], pa.table({"z": [1]}), label=True)


MANY = [
    *(numeric(name="n"), one_hot(["u", "v"], name="c"), Hashed(name="h.é", family="text")),
    *(Bool(name="b", missing=False), Hashed(name="i", family="integer")),
]


def many_rows(n_rows=50):
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "n": rng.normal(size=n_rows),
            "c": pa.array(rng.choice(["u", "v", "w"], n_rows)).dictionary_encode(),
            "h.é": rng.integers(0, 1000, n_rows).astype(str),
            "b": rng.random(n_rows) < 0.5,
            "i": rng.integers(0, 1000, n_rows),
            "y": rng.normal(size=n_rows),
            "w": rng.random(n_rows),
        }
    )


def test_features_lie_in_the_order_of_the_schema():
    table = many_rows()
    block = encode(MANY, table).block
    alone = [encode(column, table).block for column in MANY]
    np.testing.assert_array_equal(block.dense, np.hstack([one.dense for one in alone]))
    np.testing.assert_array_equal(block.slots, np.hstack([one.slots for one in alone]))


def test_order_of_columns_in_the_file_and_further_ones_do_not_matter():
    table = many_rows()
    other = table.append_column("other", [["x"] * 50]).append_column("n.x", [[[1]] * 50])
    other = other.select(sorted(other.column_names, reverse=True))
    one, two = (encode(MANY, t, label=True, weight="w") for t in (table, other))
    for field in ("dense", "slots", "label", "weight"):
        np.testing.assert_array_equal(getattr(one.block, field), getattr(two.block, field))
    assert one.counts == two.counts


def test_rows_are_encoded_alike_however_they_are_cut():
    table = many_rows()
    whole = encode(MANY, table, label=True).block
    for at in range(0, 50, 7):
        part = encode(MANY, table.slice(at, 7), label=True).block
        np.testing.assert_array_equal(part.dense, whole.dense[at : at + 7])
        np.testing.assert_array_equal(part.slots, whole.slots[at : at + 7])
        np.testing.assert_array_equal(part.label, whole.label[at : at + 7])


@pytest.mark.parametrize("value", ["3", "7", "12", None])
def test_folders_are_spread_over_the_rows_as_if_they_were_columns(value):
    column = pa.array([value] * 4).cast(pa.int64())
    for use in (numeric(), one_hot(["7", "3"], "integer"), Hashed(name="x", family="integer")):
        table = pa.table({"z": range(4)})
        spread = encode(use, table, hive={"x": "integer"}, folders={"x": value})
        as_column = encode(use, column)
        np.testing.assert_array_equal(spread.block.dense, as_column.block.dense)
        np.testing.assert_array_equal(spread.block.slots, as_column.block.slots)
        assert spread.counts == as_column.counts


def test_folder_of_dates_and_of_text_are_typed():
    table = pa.table({"z": range(3)})
    day = Time(name="x", center=0, scale=86400.0, parts=["trend"], missing=False)
    dense = encode(day, table, hive={"x": "date"}, folders={"x": "1970-01-11"}).block.dense
    assert dense.tolist() == [[10], [10], [10]]
    dense = encode(one_hot(["a", "01"]), table, hive={"x": "text"}, folders={"x": "01"}).block.dense
    assert dense.tolist() == [[1, 0, 0]] * 3


def test_folder_that_is_missing_or_of_another_type_is_refused_by_name():
    table = pa.table({"z": [1]})
    with pytest.raises(BadColumn, match=r"'x': expected in the path as a key=value folder"):
        encode(numeric(), table, hive={"x": "integer"})
    with pytest.raises(BadColumn, match=r"'x': expected integer in the path, found 'abc'"):
        encode(numeric(), table, hive={"x": "integer"}, folders={"x": "abc"})


@pytest.mark.parametrize("missing", [None, NAN])
def test_rows_without_label_are_an_error_or_dropped_and_counted(missing):
    table = pa.table(
        {"x": [1.0, 2.0, 3.0, 4.0], "y": pa.array([5.0, missing, 7.0, missing], from_pandas=False)}
    )
    with pytest.raises(BadColumn, match=r"'y': 2 of 4 labels are null or NaN\n.*--on-null-label"):
        encode(numeric(), table, label=True)
    dropped = encode(numeric(center=0, scale=1), table, label=True, drop_null_label=True)
    assert dropped.block.label.tolist() == [5, 7]
    assert dropped.block.dense[:, 0].tolist() == [1, 3]
    assert dropped.block.weight.tolist() == [1, 1]
    assert dropped.counts == {"null_label": 2}
    all_null = pa.table({"x": [1.0], "y": pa.nulls(1)})
    assert encode(numeric(), all_null, label=True, drop_null_label=True).block.n_rows == 0


def test_rows_are_scored_without_label_and_weight():
    block = encode(numeric(), pa.table({"x": [1.0, 2.0]}), label=False, weight="w").block
    assert np.isnan(block.label).all()
    assert block.weight.tolist() == [1, 1]


def test_labels_of_classes_become_their_indices():
    table = pa.table({"y": ["b", "c", None, "a", "c"], "x": [1.0, 2.0, 3.0, 4.0, 5.0]})
    label = Label(name="y", family="text", classes=["a", "b", "c"])
    encoded = encode(numeric(center=0, scale=1), table, label=label, drop_null_label=True)
    assert encoded.block.label.tolist() == [1, 2, 0, 2]
    assert encoded.block.dense[:, 0].tolist() == [1, 2, 4, 5]
    assert encoded.counts == {"null_label": 1}
    with pytest.raises(BadColumn, match=r"'y': .*one of the 3 classes, found d\n.*--classes"):
        encode([], pa.table({"y": ["a", "d"]}), label=label)


def test_weights_are_read_from_their_column():
    table = pa.table({"y": [1.0, None, 3.0], "w": pa.array([0, 2, 3], pa.uint8())})
    block = encode([], table, label=True, weight="w", drop_null_label=True).block
    assert block.weight.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        *(([1.0, -0.5], "-0.5"), ([NAN, 1.0], "nan"), ([None, 1.0], "nan"), ([INF, 1.0], "inf")),
        (["1", "2"], "string"),
    ],
)
def test_unusable_weights_are_refused_by_name(weights, found):
    with pytest.raises(BadColumn, match=rf"column 'w': .*found.*{found}"):
        encode([], pa.table({"y": [1.0, 2.0], "w": weights}), label=True, weight="w")
