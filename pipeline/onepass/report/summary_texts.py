"""A summary as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from onepass.actions.coefficient import Coefficient
from onepass.actions.summary import Summary
from onepass.report import summary_tables
from onepass.report.summary_tables import Wanted
from onepass.report.tables import Table
from onepass.text import printable


def markdown(found: Summary, wanted: Wanted) -> str:
    """Return a summary in GitHub's Markdown."""
    lines = [f"# Summary of {_cell(found.model)}", ""]
    lines += [part for line in summary_tables.facts(found) for part in (_cell(line), "")]
    lines += [part for line in found.warnings for part in (f"> {_cell(line)}", "")]
    for title, table in _titled(found, wanted):
        lines += [f"## {_cell(title)}", "", *_rows(table), ""]
    return "\n".join(lines)


def _titled(found: Summary, wanted: Wanted) -> Iterator[tuple[str, Table]]:
    for profile in found.profiles:
        title = summary_tables.profile_title(profile)
        yield title, summary_tables.profile_table(profile, wanted, found.ratio)
    table = summary_tables.coefficient_table(found, wanted)
    levels = ", ".join(f"{column} = {level}" for column, level in found.references.items())
    yield "Coefficients" + (f" (reference levels: {levels})" if levels else ""), table
    further = {
        "Tests of whole columns": summary_tables.test_table(found, wanted),
        "Contrasts": summary_tables.contrast_table(found, wanted),
        "Frequent values of hashed columns": summary_tables.hashed_table(found, wanted),
    }
    yield from ((title, one) for title, one in further.items() if one is not None)


def _rows(table: Table) -> Iterator[str]:
    yield _row(table.header)
    yield _row(["---:" if i in table.right else "---" for i in range(len(table.header))])
    yield from map(_row, table.rows)
    if table.note:
        yield ""
        yield table.note


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_cell(one) if one != "---:" else one for one in cells) + " |"


def _cell(text: str) -> str:
    """Return a text that neither ends a cell nor begins a tag or an emphasis."""
    safe = printable(text).replace("\\", "\\\\")
    for character in "|*_`<[":
        safe = safe.replace(character, f"\\{character}")
    return safe


def csv_text(found: Summary, wanted: Wanted) -> str:
    """Return one table as CSV: profiles if there are any, tests if asked for, or coefficients."""
    rows: Iterable[Mapping[str, Any]] = _coefficients(found, wanted)
    if found.profiles:
        rows = (
            {"column": one.column, "output": one.output, "kind": one.kind, **point.model_dump()}
            for one in found.profiles
            for point in one.points
        )
    elif wanted.tests:
        rows = (one.model_dump() for one in found.tests)
    return _csv(rows)


def _coefficients(found: Summary, wanted: Wanted) -> Iterator[dict[str, Any]]:
    for one in found.intercepts:
        yield _of("intercept", one)
    for one in found.coefficients[: wanted.top]:
        yield _of("coefficient", one)
    for contrast in found.contrasts:
        values = contrast.model_dump(exclude={"value", "against", "difference"})
        feature = f"{contrast.column}: {contrast.value} against {contrast.against}"
        yield {"kind": "contrast", "feature": feature, "coefficient": contrast.difference, **values}
    for value in found.hashed_values[: wanted.top]:
        values = value.model_dump(exclude={"value", "weight"})
        feature = f"{value.column} = {value.value}"
        yield {"kind": "hashed", "feature": feature, "coefficient": value.weight, **values}


def _of(kind: str, one: Coefficient) -> dict[str, Any]:
    return {"kind": kind, **one.model_dump(), "rows": None}


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    stream, writer = io.StringIO(), None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(stream, list(row), lineterminator="\n", extrasaction="raise")
            writer.writeheader()
        safe = {k: printable(v) if isinstance(v, str) else v for k, v in row.items()}
        writer.writerow(safe)
    return stream.getvalue()
