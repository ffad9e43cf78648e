"""Figures of the course of training, and of the holdout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import altair as alt

from onepass.report.drawing import (
    BLUE,
    GREY,
    HEIGHT,
    LOW,
    RED,
    SKY,
    Rows,
    Spec,
    inline,
    layered,
    level_rule,
    tooltip,
    whole_numbers,
)
from onepass.report.points import Course

_CONSTANT = 1.0
"""Relative loss of the best constant."""

_GIANT = 2.5
"""Multiple of the 90 % quantile of losses beyond which a figure does not reach."""

_FEW = 60
"""Points that are drawn as dots as well; more of them would hide the line."""


def loss_by_partition(course: Course) -> Spec:
    """Draw the relative loss of each point in its band, with those that left it."""
    rows = course.rows()
    own = [row for row in rows if row["relative"] is not None]
    drifted = [point.as_json() for point in course.drifted if point.relative is not None]
    scale = _scale([row["relative"] for row in own], shown=_CONSTANT)
    x = alt.X("place:Q", title=_groups(course), scale=alt.Scale(nice=False), axis=whole_numbers())
    title = "loss, as a share of the best constant's"
    y = alt.Y("relative:Q", title=title, scale=scale, axis=alt.Axis(format="%"))
    low = alt.Y("low:Q", title=title, scale=scale)
    band = alt.Chart(inline(rows)).mark_area(color=SKY, opacity=0.35)
    line = alt.Chart(inline(rows)).mark_line(color=BLUE, strokeWidth=1.5).encode(x=x, y=y)
    marks = alt.Chart(inline(drifted)).mark_point(shape="diamond", filled=True, color=RED)
    layers = [level_rule(_CONSTANT, title), line, _dots(rows, x, y)]
    if any(row["low"] is not None for row in rows):
        layers.insert(0, band.encode(x=x, y=low, y2="high:Q"))
    if drifted:
        over = marks.encode(x=x, y=y, size=alt.value(70), opacity=alt.value(1), tooltip=_of_point())
        layers.append(over)
    return layered(layers, HEIGHT)


def loss_by_time(course: Course) -> Spec:
    """Draw loss, loss of the last rows and loss of the best constant over the time of commits."""
    rows = course.rows()
    colours = {"loss": BLUE, "last_tenth": SKY, "constant": GREY}
    drawn: list[Any] = [key for key in colours if any(row[key] is not None for row in rows)]
    times = [row["time"] for row in rows if row["time"] is not None]
    axis = alt.Axis(format=_clock(times), labelOverlap=True, tickCount=6)
    title = "time of commit, UTC"
    x = alt.X("time:T", title=title, scale=alt.Scale(type="utc"), axis=axis)
    losses = _scale([row[key] for key in drawn for row in rows if row[key] is not None])
    y = alt.Y("value:Q", title="loss, mean per row", scale=losses)
    scale = alt.Scale(domain=drawn, range=[colours[key] for key in drawn])
    legend = alt.Legend(labelExpr="replace(datum.label, '_', ' ')")
    long = alt.Chart(inline(rows)).transform_fold(drawn, as_=["kind", "value"])
    base = long.encode(x=x, y=y, color=alt.Color("kind:N", scale=scale, legend=legend))
    over = base.mark_circle(**_size(rows)).encode(tooltip=_of_point())
    return layered([base.mark_line(strokeWidth=1.5), over], HEIGHT)


def _scale(losses: Sequence[float], *, shown: float | None = None) -> alt.Scale:
    """Return a scale of losses on which one giant does not flatten all others.

    What lies beyond is drawn at the edge: a giant loss, or the wide band of a small partition.

    Parameters
    ----------
    shown
        A further loss, which must be within the figure at its place.
    """
    places = [min(losses), min(max(losses), _reach(losses)), *([] if shown is None else [shown])]
    low, high = min(places), max(places)
    room = 0.12 * (high - low)
    return alt.Scale(domain=[max(0.0, low - room), high + room], clamp=True, nice=False)


def _reach(losses: Sequence[float]) -> float:
    ascending = sorted(losses)
    return _GIANT * ascending[int(0.9 * (len(ascending) - 1))]


def has_giants(course: Course) -> bool:
    """Return whether some relative loss lies beyond the figure, at whose edge it is drawn."""
    losses = [point.relative for point in course.points if point.relative is not None]
    return max(losses) > max(_CONSTANT, _reach(losses))


def _clock(times: Sequence[str]) -> str:
    """Return the format of times on an axis: dates, or the time of day within few days."""
    ends = [datetime.fromisoformat(text) for text in (min(times), max(times))]
    hours = (ends[1] - ends[0]).total_seconds() / 3600
    return "%H:%M:%S" if hours < 0.2 else "%H:%M" if hours < 36 else "%Y-%m-%d"


def holdout_by_version(rows: Rows) -> Spec:
    """Draw the loss of versions on holdout lakes, a line for each lake."""
    x = alt.X(
        "version:Q", title="version", scale=alt.Scale(nice=False, padding=12), axis=whole_numbers()
    )
    title = "holdout loss, mean per row"
    y = alt.Y("loss:Q", title=title, scale=alt.Scale(zero=False))
    lakes = list(dict.fromkeys(row["lake"] for row in rows))
    legend = alt.Legend() if len(lakes) > 1 else None
    palette = [BLUE, RED, "#009e73", "#cc79a7", "#e69f00"]
    scale = alt.Scale(domain=lakes, range=palette[: len(lakes)])
    colour = alt.Color("lake:N", legend=legend, scale=scale)
    hover = tooltip(version=",", loss=",.5~g", constant=",.5~g", rows=",", lake="", when="")
    base = alt.Chart(inline(rows)).encode(x=x, color=colour)
    constants = base.mark_line(color=GREY, strokeDash=[4, 3]).encode(
        y=alt.Y("constant:Q", title=title), color=alt.value(GREY), detail="lake:N"
    )
    layers = [constants, base.mark_line().encode(y=y)]
    over = base.mark_circle(size=50, opacity=1).encode(y=y, tooltip=hover)
    return layered([*layers, over], HEIGHT)


def over_training(course: Course, field: str, title: str) -> Spec:
    """Draw one measurement of the runs: rows, rows per second or memory."""
    rows = course.rows()
    x = alt.X("place:Q", title=None, scale=alt.Scale(nice=False), axis=whole_numbers())
    y = alt.Y(f"{field}:Q", title=title, axis=alt.Axis(format="~s", tickCount=3))
    line = alt.Chart(inline(rows)).mark_line(color=BLUE, strokeWidth=1.5).encode(x=x, y=y)
    return layered([line, _dots(rows, x, y)], LOW)


def _dots(rows: Rows, x: alt.X, y: alt.Y) -> Any:
    """Return dots with values on hover."""
    chart = alt.Chart(inline(rows)).mark_circle(color=BLUE, **_size(rows))
    return chart.encode(x=x, y=y, tooltip=_of_point())


def _size(rows: Rows) -> dict[str, Any]:
    """Return the size of dots; they are invisible on a line of many, and larger to be found."""
    return {"size": 26, "opacity": 1} if len(rows) <= _FEW else {"size": 90, "opacity": 0}


def _of_point() -> list[alt.Tooltip]:
    return tooltip(
        **{"name": "", "version": ",", "when": "", "rows": ","},
        **{"loss": ",.5~g", "constant": ",.5~g", "relative": ".2%", "drift": ""},
        **{"rows_per_second": ",.0f", "memory": ",.0f"},
    )


def _groups(course: Course) -> str:
    several = f", {course.per_point:,} to a point" if course.per_point > 1 else ""
    return f"partition or round, in the order of training{several}"
