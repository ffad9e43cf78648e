"""A summary as one self-contained HTML page, which loads and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from onepass.actions.inference.profiles import Profile
from onepass.actions.summary import Summary
from onepass.report import summary_tables
from onepass.report.summary_tables import Wanted
from onepass.report.tables import Table
from onepass.text import printable

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_WIDTH, _HEIGHT, _EDGE = 640, 220, 8


def summary_page(found: Summary, wanted: Wanted) -> str:
    """Return the page. Names that come from the data are escaped."""
    style = files("onepass.report").joinpath("page.css").read_text(encoding="utf-8")
    title = f"Summary of {_text(found.model)}"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<style>{style}</style></head><body>",
        f"<header><h1>{title}</h1>",
        *(f'<p class="sub">{_text(line)}</p>' for line in summary_tables.facts(found)),
        "</header><main>",
        *_sections(found, wanted),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _sections(found: Summary, wanted: Wanted) -> Iterator[str]:
    if found.warnings:
        yield "<h2>To look at</h2><ul class='plain'>"
        yield from (f"<li>{_text(one)}</li>" for one in found.warnings)
        yield "</ul>"
    for profile in found.profiles:
        table = summary_tables.profile_table(profile, wanted, found.ratio)
        yield f"<h2>{_text(summary_tables.profile_title(profile))}</h2>"
        yield _drawing(profile)
        yield from _table(_without_plot(table))
    yield "<h2>Coefficients</h2>"
    yield from _table(summary_tables.coefficient_table(found, wanted))
    if found.references:
        levels = ", ".join(f"{column} = {level}" for column, level in found.references.items())
        yield f'<p class="note">Reference levels: {_text(levels)}</p>'
    further = {
        "Tests of whole columns": summary_tables.test_table(found, wanted),
        "Contrasts": summary_tables.contrast_table(found, wanted),
        "Frequent values of hashed columns": summary_tables.hashed_table(found, wanted),
    }
    for title, one in further.items():
        if one is not None:
            yield f"<h2>{title}</h2>"
            yield from _table(one)


def _table(table: Table) -> Iterator[str]:
    yield '<div class="scroll"><table><thead><tr>'
    yield _cells("th", table.header, table.right)
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield f"<tr>{_cells('td', row, table.right)}</tr>"
    yield "</tbody></table></div>"
    if table.note:
        yield f'<p class="note">{_text(table.note)}</p>'


def _cells(tag: str, texts: Iterable[str], right: frozenset[int]) -> str:
    return "".join(
        f'<{tag} class="right">{_text(one)}</{tag}>'
        if i in right
        else f'<{tag} class="wide">{_text(one)}</{tag}>'
        for i, one in enumerate(texts)
    )


def _without_plot(table: Table) -> Table:
    rows = [row[:-1] for row in table.rows]
    return Table(table.header[:-1], rows, right=table.right, note=table.note)


def _drawing(profile: Profile) -> str:
    """Return a drawing of a profile of numbers; nothing for levels."""
    points = [(p.number, p.effect, p.low, p.high) for p in profile.points if p.number is not None]
    if len(points) < 2:
        return ""
    numbers = [x for x, *_ in points]
    ends = [0.0, *(end for _, *three in points for end in three if end is not None)]
    (first, last), (least, most) = (min(numbers), max(numbers)), (min(ends), max(ends))

    def at(x: float, y: float) -> str:
        across = (x - first) / ((last - first) or 1.0) * (_WIDTH - 2 * _EDGE) + _EDGE
        down = (most - y) / ((most - least) or 1.0) * (_HEIGHT - 2 * _EDGE) + _EDGE
        return f"{across:.1f},{down:.1f}"

    line = " ".join(at(x, y) for x, y, *_ in points)
    upper = [at(x, high) for x, _, _, high in points if high is not None]
    lower = [at(x, low) for x, _, low, _ in points if low is not None]
    band = " ".join([*upper, *lower[::-1]])
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" width="100%">'
        f'<polyline points="{at(first, 0.0)} {at(last, 0.0)}" stroke="#9aa0a6" fill="none"/>'
        f'<polygon points="{band}" fill="#0072b2" fill-opacity="0.15"/>'
        f'<polyline points="{line}" stroke="#0072b2" stroke-width="2" fill="none"/></svg>'
    )


def _text(text: str) -> str:
    return escape(printable(text))
