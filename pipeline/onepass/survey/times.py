"""Decide how dates, timestamps, times of day and numbers that count time become features."""

from __future__ import annotations

import pyarrow as pa

from onepass.encode.columns import floats
from onepass.encode.scalar_kinds import Time
from onepass.encode.schema import Column, family
from onepass.encode.times import moments, shown_zone
from onepass.errors import JobError
from onepass.survey.naming import assigning
from onepass.survey.text_columns import TextForm, times_by_choice
from onepass.survey.uses import SampledColumn, time
from onepass.time_words import EPOCHS, find_zone, has_zone, is_clock, is_utc
from onepass.wording import spoken


def typed_time(column: SampledColumn, timezone: str | None) -> tuple[Column, str, str | None]:
    """Describe dates or timestamps by their type, with the reason and perhaps a warning.

    Parameters
    ----------
    timezone
        The job's time zone, which wins over the one that the column has.
    """
    own = shown_zone(column.values.type)
    if own is None:
        # Other files may have timestamps with a zone.
        reason = "date or timestamp" + (", without a zone" if timezone is not None else "")
        return with_local_cycles(column, timezone), reason, None
    zone, warning = timezone, None
    if zone is None and not is_utc(own):
        zone, warning = _own_zone(column.name, own)
    if zone is None or is_utc(zone):
        return time(column), spoken("timestamp by UTC (--timezone for local hours)"), warning
    return with_local_cycles(column, zone), f"timestamp by the clocks of {zone}", warning


def with_local_cycles(column: SampledColumn, zone: str | None) -> Time:
    """Describe times whose cycles follow the clocks of a zone, unless that is UTC."""
    return time(column, None if zone is None or is_utc(zone) else zone)


def _own_zone(name: str, zone: str) -> tuple[str | None, str | None]:
    try:
        find_zone(zone)
    except ValueError:
        warning = (
            f"{name}: this machine does not know the time zone {zone!r} of the column; its hours "
            "are read by UTC (--timezone names another zone)"
        )
        return None, warning
    return zone, None


def time_of_day(column: SampledColumn) -> Time:
    """Describe times of day as a cycle."""
    clock = Time(name=column.name, center=0, scale=1, parts=["hour"], missing=False, clock=True)
    seconds = moments(clock, column.values).seconds
    form = TextForm("time", pa.array(seconds, from_pandas=True), [], 0.0, clock=True)
    return time(column.read_as(form))


def by_format(column: SampledColumn, form: str, timezone: str | None) -> tuple[TextForm, Time]:
    """Describe a column that the job reads as times in a format.

    Returns
    -------
    How its values were read, and the description.

    Raises
    ------
    JobError
        If the type of the column, or none of its values, can be read in the format.
    """
    kind, option = family(column.values.type), assigning("time_format", column.name, form)
    is_unit = form in EPOCHS
    if kind not in {"text", "integer", "real"} or (kind == "text" and is_unit):
        expected = "numbers" if is_unit else "text or whole numbers"
        raise JobError(f"{option} reads {expected}, but the type is {column.values.type}")
    found = (
        times_by_choice(column.values, column.words.all, form)
        if kind == "text"
        else _in_numbers(column, form)
    )
    if found is None:
        shown = ", ".join(map(repr, column.values.drop_null().unique().slice(0, 3).to_pylist()))
        raise JobError(f"{option} reads none of the values; they are such as {shown}")
    read = column.read_as(found)
    zone = timezone if is_unit or has_zone(form) else None
    return found, with_local_cycles(read, zone)


def _in_numbers(column: SampledColumn, form: str) -> TextForm | None:
    """Read times from numbers; None if none of them is one."""
    if form in EPOCHS:
        values = pa.array(floats(column.values) / EPOCHS[form], from_pandas=True)
        return TextForm("time", values, [], 0.0, form, has_zone=True)
    like = Time(name=column.name, center=0, scale=1, parts=["trend"], missing=False, format=form)
    found = moments(like, column.values)
    values = pa.array(found.seconds, from_pandas=True)
    n_present, n_read = int((~found.is_null).sum()), len(values) - values.null_count
    if not n_read:
        return None
    odd = column.values.filter(pa.array(~found.is_null)).filter(
        values.filter(pa.array(~found.is_null)).is_null()
    )
    shown = odd.unique().slice(0, 3).cast(pa.string()).to_pylist()
    return TextForm("time", values, shown, 1 - n_read / n_present, form, clock=is_clock(form))
