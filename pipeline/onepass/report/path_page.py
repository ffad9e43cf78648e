"""Write the path of penalties as one page: figures as SVG, without any script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import vl_convert
from markupsafe import Markup, escape

from onepass.actions.path import PathReport
from onepass.report.drawing import BLUE, CONFIG, GREY, RED, Rows, Spec, inline

_MOST_LINES, _WIDTH, _HEIGHT = 30, 720, 300


def write_path(report: PathReport, out: str | Path) -> None:
    """Write the page of a path to a file, replacing what was there."""
    Path(out).write_text(_page(report), encoding="utf-8")


def _page(report: PathReport) -> str:
    figures = [("Effects by penalty", _effects(report)), ("Criteria by penalty", _criteria(report))]
    title = escape(f"Path of penalties of version {report.version}")
    parts = [
        Markup("<h2>{}</h2>{}").format(name, Markup(vl_convert.vegalite_to_svg(spec)))
        for name, spec in figures
    ]
    note = (
        "The path is that of the rows."
        if report.is_exact
        else f"The path is that of the quadratic model of {report.loss} loss at the weights."
    )
    return Markup(
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; "
        "style-src 'unsafe-inline'\">"
        "<style>body{{font-family:system-ui,sans-serif;max-width:60rem;margin:2rem auto}}"
        "svg{{max-width:100%}}</style></head><body><h1>{title}</h1><p>{model}. {note}</p>"
        "{parts}</body></html>\n"
    ).format(title=title, model=report.model, note=note, parts=Markup("").join(parts))


def _effects(report: PathReport) -> Spec:
    effects = np.array([step.effects for step in report.steps])
    shown = np.argsort(-np.abs(effects).max(axis=0), kind="stable")[:_MOST_LINES]
    rows = [
        {"penalty": step.penalty, "feature": report.features[j], "effect": step.effects[j]}
        for j in shown
        for step in report.steps
    ]
    line = alt.Chart(inline(rows)).mark_line(strokeWidth=1.5)
    y = alt.Y("effect:Q", title="effect per standard deviation")
    colour = alt.Color("feature:N", sort=None, legend=alt.Legend(columns=4))
    return _drawn([line.encode(x=_penalty(), y=y, color=colour)])


def _criteria(report: PathReport) -> Spec:
    key = "holdout_loss" if "holdout" in report.best else "bic"
    rows = [{"penalty": step.penalty, "value": getattr(step, key)} for step in report.steps]
    best = [rows[report.best[report.criterion]]]
    y = alt.Y("value:Q", title=key.replace("_", " "), scale=alt.Scale(zero=False))
    line = alt.Chart(inline(rows)).mark_line(color=BLUE).encode(x=_penalty(), y=y)
    mark = alt.Chart(inline(best)).mark_circle(color=RED, size=70, opacity=1)
    return _drawn([line, _rule(best), mark.encode(x=_penalty(), y=y)])


def _rule(best: Rows) -> Any:
    rule = alt.Chart(inline(best)).mark_rule(color=GREY, strokeDash=[4, 3])
    return rule.encode(x=_penalty())


def _penalty() -> alt.X:
    scale = alt.Scale(type="log", reverse=True, nice=False)
    # The scale is reversed: a title at either end would stand outside of the figure.
    axis = alt.Axis(titleAnchor="middle")
    return alt.X("penalty:Q", title="penalty, strongest on the left", scale=scale, axis=axis)


def _drawn(layers: list[Any]) -> Spec:
    found: Spec = alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT).to_dict()
    return found | {"config": CONFIG}
