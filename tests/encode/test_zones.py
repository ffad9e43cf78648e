"""Local time of moments in a zone, compared with Arrow and with Python's `zoneinfo`."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from onepass.encode.zones import local_seconds
from onepass.errors import JobError
from onepass.time_words import find_zone, is_utc

ZONES = ["Europe/Berlin", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe",
         "Asia/Kolkata", "Pacific/Apia", "Asia/Tehran", "+05:30", "-0800"]  # fmt: skip
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def by_python(seconds: int, zone: str) -> float:
    shown = (EPOCH + dt.timedelta(seconds=seconds)).astimezone(find_zone(zone))
    return (shown.replace(tzinfo=dt.UTC) - EPOCH).total_seconds()


@pytest.mark.parametrize("zone", ZONES)
def test_clocks_of_all_times_are_those_of_the_tz_database(zone):
    low, high = (int((dt.datetime(year, 1, 1, tzinfo=dt.UTC) - EPOCH).total_seconds())
                 for year in (1860, 2399))  # fmt: skip
    seconds = np.random.default_rng(0).integers(low, high, 3000)
    found = local_seconds(seconds.astype(float), zone)
    np.testing.assert_array_equal(found, [by_python(int(s), zone) for s in seconds])


@pytest.mark.parametrize("zone", ZONES[:4])
def test_clocks_change_in_the_same_second_as_those_of_arrow(zone):
    hours = np.arange(1_577_836_800, 1_767_225_600, 1800)
    seconds = np.concatenate([hours - 1, hours, hours + 1]).astype(np.int64)
    local = pc.local_timestamp(pa.array(seconds).cast(pa.timestamp("s", zone)))
    wanted = local.cast(pa.int64()).to_numpy()
    np.testing.assert_array_equal(local_seconds(seconds.astype(float), zone), wanted)


def test_daylight_saving_goes_on_behind_the_table():
    summer = dt.datetime(2800, 7, 1, tzinfo=dt.UTC)
    winter = dt.datetime(2800, 1, 1, tzinfo=dt.UTC)
    seconds = np.array([(day - EPOCH).total_seconds() for day in (summer, winter)])
    found = local_seconds(seconds, "Europe/Berlin") - seconds
    assert found.tolist() == [7200, 3600]
    assert summer.astimezone(ZoneInfo("Europe/Berlin")).utcoffset() == dt.timedelta(hours=2)


@pytest.mark.parametrize(
    "name", ["Berlin", "Europe/Nowhere", "", "../../etc/passwd", "+5", "x" * 300]
)
def test_unknown_zone_is_refused_with_the_way_out(name):
    with pytest.raises(ValueError, match=r"expected a time zone such as Europe/Berlin, .*tzdata"):
        find_zone(name)


def test_names_of_utc_are_known():
    assert is_utc("UTC")
    assert is_utc("Etc/UTC")
    assert is_utc("+00:00")
    assert not is_utc("Europe/London")


def test_zone_of_a_model_that_this_machine_does_not_know_is_no_fault_of_the_data():
    with pytest.raises(JobError, match="the model reads times by the zone 'Mars/Olympus'"):
        local_seconds(np.zeros(2), "Mars/Olympus")
