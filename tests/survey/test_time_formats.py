"""Formats of dates in text and in numbers, as the sample shows them or the job names them."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from onepass.encode.scalar_kinds import Numeric, OneHot, Time
from onepass.errors import JobError
from onepass.survey.choice import Choice
from onepass.survey.profile import profile_columns

DAYS = [dt.datetime(2024, 1, 1, 7, 30) + dt.timedelta(days=i, minutes=7 * i) for i in range(400)]


def profile(values, name="x", **choice):
    (found,) = profile_columns(pa.table({name: values}), {}, Choice(**choice), set())
    return found


def written(form, days=DAYS, **others):
    return pa.array([day.strftime(form) for day in days], **others)


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        *((form, ["trend", "weekday", "year"]) for form in (
            "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y%m%d", "%Y/%m/%d", "%d %b %Y",
            "%b %d, %Y", "%d %B %Y", "%d-%b-%Y")),
        *((form, ["trend", "hour", "weekday", "year"]) for form in (
            "%m/%d/%Y %I:%M %p", "%d.%m.%Y %H:%M", "%d.%m.%Y, %H:%M:%S", "%Y%m%d%H%M%S",
            "%Y/%m/%d %H:%M:%S", "%d %b %Y %H:%M:%S")),
    ],
)  # fmt: skip
def test_format_that_all_texts_share_is_found(form, parts):
    for values in (written(form), written(form).dictionary_encode()):
        found = profile(values)
        assert isinstance(found.use, Time)
        assert (found.use.format, found.use.parts, found.use.text) == (form, parts, True)
        assert form in found.reason
        assert found.warning is None
    typed = profile(pa.array([dt.datetime.strptime(day.strftime(form), form) for day in DAYS]))
    assert (found.use.center, found.use.scale) == (typed.use.center, typed.use.scale)


def test_times_of_day_in_text_are_a_cycle():
    found = profile(written("%H:%M"))
    assert (found.use.clock, found.use.parts, found.use.format) == (True, ["hour"], "%H:%M")
    assert found.reason == "times of day in text (%H:%M)"


@pytest.mark.parametrize("mark", ["/", ".", "-"])
def test_day_and_month_that_can_be_exchanged_are_left_to_the_user(mark):
    form = f"%d{mark}%m{mark}%Y"
    early = [day for day in DAYS if day.day <= 12]
    found = profile(written(form, early))
    assert not isinstance(found.use, Time)
    assert f"--time-format x={form} or --time-format x=%m{mark}%d{mark}%Y" in found.warning
    named = profile(written(form, early), time_format={"x": form})
    assert (named.use.format, named.warning) == (form, None)


def test_words_for_nothing_and_a_few_odd_texts_do_not_hide_the_format():
    values = [*written("%d.%m.%Y").to_pylist(), "NA", "?", None, "unknown", "soon"]
    found = profile(pa.array(values), missing=("Unknown",))
    assert found.use.format == "%d.%m.%Y"
    assert found.use.missing
    assert found.reason.endswith("'?', 'NA', 'unknown' for missing (0.74%)")
    assert "0.25% of the texts cannot be read ('soon')" in found.warning


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["20260301", "20260302"] * 50),
        pa.array([str(10_000_000 + 7919 * i) for i in range(400)]),
        pa.array(["1.2.3", "1.10.3", "2.0.1"] * 50),
        pa.array(["10/12", "3/4", "1/2"] * 50),
        pa.array(["May 5", "Jun 7", "Jul 1"] * 50),
        pa.array(["192.168.0.1", "10.0.0.7"] * 50),
        pa.array(["555-12-3456", "100-45-6789"] * 50),
    ],
)
def test_codes_and_versions_are_no_dates(values):
    assert not isinstance(profile(values).use, Time)


def test_years_of_two_digits_are_left_to_the_user():
    found = profile(written("%d/%m/%y"))
    assert "looks like dates with years of two digits; --time-format x=%d/%m/%y" in found.warning
    assert profile(written("%d/%m/%y"), time_format={"x": "%d/%m/%y"}).use.parts[0] == "trend"


@pytest.mark.parametrize(
    "form", ["%m-%d-%y", "%m/%d/%y %H:%M", "%d.%m.%y, %H:%M:%S", "%m-%d-%y %I:%M:%S %p"]
)
def test_the_advised_format_of_short_years_reads_the_texts(form):
    found = profile(written(form))
    options = re.findall(r"--time-format x=(.+?)(?= or --| reads)", found.warning.replace("'", ""))
    assert form in options
    assert profile(written(form), time_format={"x": form}).use.parts[0] == "trend"


SECONDS = np.array([int(day.replace(tzinfo=dt.UTC).timestamp()) for day in DAYS])


@pytest.mark.parametrize(
    ("values", "name", "form"),
    [
        (pa.array([int(day.strftime("%Y%m%d")) for day in DAYS]), "x", "%Y%m%d"),
        (pa.array(SECONDS), "created", "seconds"),
        (pa.array(SECONDS * 1000), "event_time", "milliseconds"),
        (pa.array(SECONDS * 10**9), "ts", "nanoseconds"),
    ],
)
def test_numbers_that_look_like_times_are_numbers_with_advice_that_works(values, name, form):
    found = profile(values, name)
    assert isinstance(found.use, Numeric)
    option = f"--time-format {name}={form}"
    assert option in found.warning
    named = profile(values, name, time_format={name: form})
    assert named.use.format == form
    assert "weekday" in named.use.parts
    assert named.warning is None


def test_other_numbers_need_no_advice():
    for name, values in {"created": np.arange(400), "x": SECONDS, "day": DAYS_OF_YEAR}.items():
        assert profile(pa.array(values), name).warning is None


DAYS_OF_YEAR = np.arange(400) % 366


@pytest.mark.parametrize(
    ("values", "form", "says"),
    [
        (pa.array(["a", "b"]), "%d.%m.%Y", "--time-format x=%d.%m.%Y reads none of the values"),
        (pa.array(["a", "b"]), "seconds", "reads numbers, but the type is string"),
        (pa.array([True, False]), "%d.%m.%Y", "reads text or whole numbers, but the type is bool"),
        (pa.array([1, 2]), "%Y%m%d", "reads none of the values; they are such as 1, 2"),
    ],
)
def test_format_that_reads_nothing_is_a_job_error(values, form, says):
    with pytest.raises(JobError, match=says):
        profile(values, time_format={"x": form})


UTC = pa.array(DAYS).cast(pa.timestamp("us", "UTC"))


@pytest.mark.parametrize(
    ("values", "timezone", "zone", "reason"),
    [
        (UTC, None, None, "timestamp by UTC (--timezone for local hours)"),
        (UTC, "Asia/Tokyo", "Asia/Tokyo", "timestamp by the clocks of Asia/Tokyo"),
        (
            UTC.cast(pa.timestamp("us", "America/New_York")),
            None,
            "America/New_York",
            "timestamp by",
        ),
        (UTC.cast(pa.timestamp("us", "America/New_York")), "UTC", None, "timestamp by UTC"),
        (pa.array(DAYS), None, None, "date or timestamp"),
        (pa.array(DAYS), "Asia/Tokyo", "Asia/Tokyo", "date or timestamp, without a zone"),
        (written("%Y-%m-%dT%H:%M:%SZ"), "Asia/Tokyo", "Asia/Tokyo", "dates and times in text"),
        (written("%Y-%m-%d %H:%M:%S"), "Asia/Tokyo", None, "dates and times in text"),
        (written("%Y-%m-%d"), "Asia/Tokyo", None, "dates and times in text"),
        (written("%d %b %Y %H:%M:%S +0100"), "Asia/Tokyo", "Asia/Tokyo", "dates and times in text"),
    ],
)
def test_zone_of_the_job_wins_over_that_of_the_column(values, timezone, zone, reason):
    found = profile(values, timezone=timezone)
    assert found.use.zone == zone
    assert found.reason.startswith(reason)
    assert found.warning is None


def test_zone_that_this_machine_does_not_know_is_read_by_utc_with_a_warning():
    found = profile(UTC.cast(pa.timestamp("us", "Mars/Olympus")))
    assert found.use.zone is None
    assert "does not know the time zone 'Mars/Olympus'" in found.warning


def test_number_that_stands_for_nothing_is_missing_only_if_the_job_names_it():
    values = pa.array([1.5, -999.0, 2.5, 3.25])
    assert not profile(values).use.missing
    found = profile(values, missing=("-999",))
    assert (found.use.missing, found.null_share) == (True, 0.25)
    assert found.use.center == pytest.approx(7.25 / 3)
    assert found.reason == "number; '-999' for missing (25.00%)"
    whole = profile(pa.array([7, -999, 8, 9]), missing=("-999",), categorical=("x",))
    assert isinstance(whole.use, OneHot)
    assert (whole.use.levels, whole.use.missing) == (["7", "8", "9"], True)
    days = pa.array([*[day.date() for day in DAYS], dt.date(9999, 12, 31)])
    dated = profile(days, missing=("9999-12-31",))
    assert (dated.use.missing, dated.use.center) == (True, profile(days[:-1]).use.center)


def test_midnights_of_a_zone_have_no_hours():
    local = pa.array([day.replace(hour=0, minute=0) for day in DAYS])
    midnights = pc.assume_timezone(local, "Asia/Tokyo")
    assert profile(midnights).use.parts == ["trend", "weekday", "year"]
    utc = midnights.cast(pa.timestamp("us", "UTC"))
    assert "hour" in profile(utc).use.parts
    assert "hour" not in profile(utc, timezone="Asia/Tokyo").use.parts
