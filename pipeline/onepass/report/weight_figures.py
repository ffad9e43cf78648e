"""Figures of the weights of a model."""

from __future__ import annotations

import altair as alt

from onepass.report.drawing import (
    BLUE,
    GREY,
    HEIGHT,
    STEP,
    Rows,
    Spec,
    inline,
    layered,
    level_rule,
    tooltip,
    upright_rule,
)


def coefficients(rows: Rows, unit: str) -> Spec:
    """Draw effects with their intervals, the largest first; those that may be 0 in grey."""
    y = alt.Y("feature:N", title=None, sort=None, axis=alt.Axis(grid=True))
    colour = alt.Color(
        "sure:N", legend=None, scale=alt.Scale(domain=[True, False], range=[BLUE, GREY])
    )
    formats = dict.fromkeys(("effect", "low", "high", "per unit"), ",.4~g")
    base = alt.Chart(inline(rows)).encode(y=y, color=colour)
    # An effect that nothing bounds has a giant interval, which ends at the edge.
    widest = max(abs(row["effect"] or 0.0) for row in rows)
    ends = [row[key] for row in rows for key in ("low", "high", "effect") if row[key] is not None]
    low, high = (max(-2 * widest, min(ends, default=0.0)), min(2 * widest, max(ends, default=0.0)))
    scale = alt.Scale(domain=[min(low, 0.0), max(high, 0.0)], clamp=True)
    x, start = (alt.X(f"{key}:Q", title=unit, scale=scale) for key in ("effect", "low"))
    hover = tooltip(feature="", **formats)
    layers = [
        upright_rule(unit),
        base.mark_rule(strokeWidth=2).encode(x=start, x2="high:Q"),
        base.mark_circle(size=55, opacity=1).encode(x=x, tooltip=hover),
    ]
    return layered(layers, STEP * len(rows))


def curve(line: Rows, knots: Rows, unit: str) -> Spec:
    """Draw the curve of a column, with intervals at its knots."""
    x, y = alt.X("value:Q", title="value"), alt.Y("effect:Q", title=unit)
    base = alt.Chart(inline(knots)).encode(x=x)
    hover = tooltip(**dict.fromkeys(("value", "effect", "low", "high"), ",.4~g"))
    layers = [
        level_rule(0.0, unit),
        alt.Chart(inline(line)).mark_line(color=BLUE).encode(x=x, y=y),
        base.mark_rule(color=BLUE).encode(y=alt.Y("low:Q", title=unit), y2="high:Q"),
        base.mark_circle(color=BLUE, size=40, opacity=1).encode(y=y, tooltip=hover),
    ]
    return layered(layers, HEIGHT)


def categories(rows: Rows, unit: str) -> Spec:
    """Draw the weights of values of hashed columns, the largest first."""
    bars = (
        alt.Chart(inline(rows))
        .mark_bar(color=BLUE, height=9)
        .encode(
            x=alt.X("weight:Q", title=unit),
            y=alt.Y("value:N", title=None, sort=None),
            tooltip=tooltip(value="", weight=",.4~g", rows=","),
        )
    )
    return layered([upright_rule(unit), bars], STEP * len(rows))
