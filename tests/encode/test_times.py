"""Times of every type: the same moment has the same features, local ones in the zone's clocks."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Numeric, Time
from onepass.encode.schema import Label, Schema
from onepass.errors import BadColumn

SECONDS = np.random.default_rng(0).integers(1_600_000_000, 1_770_000_000, 400)
FROZEN = {"name": "x", "center": 1.7e9, "scale": 1e6, "missing": True}
PARTS = ["trend", "hour", "weekday", "year"]


def encode(column, values):
    schema = Schema(columns=[column], label=Label(name="y"), weight=None, hash_bits=8, hive={})
    found = Encoder(schema).encode(pa.table({"x": values}), {}, label=False)
    assert found.counts == {}
    return found.block.dense


def stamps(unit="us", zone=None, seconds=SECONDS):
    return pa.array(seconds).cast(pa.timestamp("s")).cast(pa.timestamp(unit, zone))


ZONED = [
    *(stamps(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in ("UTC", "Asia/Tokyo")),
    stamps("us", "UTC").dictionary_encode(),
    pa.array(pd.to_datetime(SECONDS, unit="s", utc=True).strftime("%Y-%m-%dT%H:%M:%SZ").tolist()),
]


@pytest.mark.parametrize("values", ZONED, ids=lambda values: str(values.type))
def test_cycles_follow_the_clocks_of_the_zone_and_the_trend_follows_the_moment(values):
    column = Time(**FROZEN, parts=PARTS, zone="Europe/Berlin", text=True)
    found = encode(column, values)
    local = pd.to_datetime(SECONDS, unit="s", utc=True).tz_convert("Europe/Berlin")
    naive = Time(**FROZEN, parts=PARTS)
    by_clock = encode(naive, pa.array(local.tz_localize(None)))
    np.testing.assert_array_equal(found[:, 1:], by_clock[:, 1:])
    np.testing.assert_array_equal(found[:, 0], encode(naive, stamps())[:, 0])
    hour = local.hour + local.minute / 60 + local.second / 3600
    np.testing.assert_allclose(found[:, 1], np.sin(hour * np.pi / 12), atol=1e-6)
    weekday = np.where(found[:, 3:9].any(axis=1), found[:, 3:9].argmax(axis=1) + 1, 0)
    np.testing.assert_array_equal(weekday, local.day_of_week)


@pytest.mark.parametrize(
    "values", [stamps(), stamps("ns"), stamps().cast(pa.date32())], ids=lambda v: str(v.type)
)
def test_times_without_a_zone_are_taken_as_they_are(values):
    zoned, plain = (Time(**FROZEN, parts=PARTS, zone=zone) for zone in ("Europe/Berlin", None))
    np.testing.assert_array_equal(encode(zoned, values), encode(plain, values))


def test_models_of_earlier_versions_read_zones_by_utc():
    old = Time(**FROZEN, parts=PARTS)
    np.testing.assert_array_equal(encode(old, stamps("us", "Europe/Berlin")), encode(old, stamps()))


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (pa.array(SECONDS), "seconds"),
        (pa.array(SECONDS * 1000), "milliseconds"),
        (pa.array(SECONDS * 10**6), "microseconds"),
        (pa.array(SECONDS.astype(float)), "seconds"),
        (pa.array(SECONDS).dictionary_encode(), "seconds"),
        (stamps("us", "UTC"), "seconds"),
        (pa.array([f"{when:%d.%m.%Y %H:%M:%S}" for when in pd.to_datetime(SECONDS, unit="s")]),
         "%d.%m.%Y %H:%M:%S"),
        (pa.array([int(f"{when:%Y%m%d%H%M%S}") for when in pd.to_datetime(SECONDS, unit="s")]),
         "%Y%m%d%H%M%S"),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_and_texts_in_a_format_are_the_times_that_they_hold(values, form):
    column = Time(**FROZEN, parts=PARTS, format=form, text=True)
    np.testing.assert_array_equal(encode(column, values), encode(column, stamps()))


def test_whole_floats_hold_dates_in_their_digits_and_nan_is_null():
    column = Time(**FROZEN, parts=["trend"], format="%Y%m%d")
    days = pa.array([dt.date(2026, 1, 2), None])
    wanted = encode(column, days)
    for values in ([20260102.0, None], [20260102.0, np.nan], [20260102, None]):
        np.testing.assert_array_equal(encode(column, pa.array(values)), wanted)


@pytest.mark.parametrize("year", [1, 1500, 1677, 2263, 9999, 100_000])
def test_years_that_nanoseconds_cannot_hold_are_right_in_coarser_units(year):
    days = int((np.datetime64(f"{year:04}-07-01") - np.datetime64("1970-01-01")).astype(int))
    column = Time(
        name="x", center=0, scale=86_400, parts=["trend"], missing=False, zone="Asia/Tokyo"
    )
    values = [pa.array([days], pa.int32()).cast(pa.date32())]
    for unit, per_second in (("s", 1), ("ms", 1000), ("us", 10**6)):
        for zone in (None, "UTC"):
            stamp = pa.array([days * 86_400 * per_second]).cast(pa.timestamp(unit, zone))
            values.append(stamp)
    for one in values:
        assert encode(column, one)[0, 0] == np.float32(days)


CLOCK = [np.arange(0, 86_400, 617)]


@pytest.mark.parametrize(
    ("dtype", "per_second"),
    [("time32[s]", 1), ("time32[ms]", 10**3), ("time64[us]", 10**6), ("time64[ns]", 10**9)],
)
def test_time_of_day_is_one_cycle_in_every_unit(dtype, per_second):
    seconds = CLOCK[0]
    kinds = {"time32[s]": pa.time32("s"), "time32[ms]": pa.time32("ms"),
             "time64[us]": pa.time64("us"), "time64[ns]": pa.time64("ns")}  # fmt: skip
    width = pa.int32() if dtype.startswith("time32") else pa.int64()
    values = pa.array(seconds * per_second, width).cast(kinds[dtype])
    column = Time(name="x", center=0, scale=1, parts=["hour"], missing=False, clock=True)
    angle = seconds * 2 * np.pi / 86_400
    for one in (values, values.dictionary_encode()):
        np.testing.assert_allclose(
            encode(column, one), np.column_stack([np.sin(angle), np.cos(angle)]), atol=1e-6
        )


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_duration_is_a_number_of_seconds_in_every_unit(unit):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    values = pa.array([0, 90, None, -3600]).cast(pa.int64())
    values = pa.array([None if v is None else v * per_second for v in values.to_pylist()])
    values = values.cast(pa.duration(unit))
    column = Numeric(name="x", center=30, scale=60, missing=True, duration=True)
    wanted = [[-0.5, 0], [1, 0], [0, 1], [-60.5, 0]]
    for one in (values, values.dictionary_encode()):
        assert encode(column, one).tolist() == wanted


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        (Time(**FROZEN, parts=["hour"], clock=True), stamps(), "a time of day, found type timest"),
        (Time(**FROZEN, parts=PARTS), pa.array([1, 2]), "a date or a timestamp, found type int64"),
        (
            Time(**FROZEN, parts=PARTS),
            pa.array([dt.time(1)]),
            "a date or a timestamp, found type time64",
        ),
        (Numeric(**FROZEN, duration=True), pa.array([1.0]), "a duration, found type double"),
        (Numeric(**FROZEN), pa.array([dt.timedelta(1)]), "a number .*, found type duration"),
    ],
)
def test_types_with_another_meaning_are_refused(column, values, says):
    with pytest.raises(BadColumn, match=f"expected {says}"):
        encode(column, values)
