"""`onepass summary`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import click

from onepass.actions.curves import CurveOf
from onepass.actions.inference.ratios import named_ratio
from onepass.actions.summary import LEVEL, Summary, summarise
from onepass.errors import JobError
from onepass.model.covariance import Errors
from onepass.model.cross_validated import told
from onepass.model.model import Model
from onepass.report import summary_tables
from onepass.report.summary_page import summary_page
from onepass.report.summary_tables import Wanted
from onepass.report.summary_texts import csv_text, markdown
from onepass.report.tables import Table
from onepass.report.write import put_file
from onepass.terminal.options import json_option, version_option
from onepass.terminal.printing import print_json, print_table, say
from onepass.text import printable, shown

_TOP = 30
"""Features of a table on the terminal, by default."""


@click.command("summary")
@click.argument("model", metavar="DIR")
@version_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "csv", "json", "html"]),
    default="table",
    show_default=True,
    help="Form of the output.",
)
@click.option("--out", metavar="FILE", help="File or URL to write to; default: stdout.")
@click.option("--top", type=int, help="Features to show; unset: 30 in a table, else all.")
@click.option(
    "--sort",
    type=click.Choice(["effect", "column"]),
    default="effect",
    show_default=True,
    help="Order of the features: largest effect first, or column by column.",
)
@click.option(
    "--errors",
    type=click.Choice(["model", "robust"]),
    help="Standard errors by the likelihood of the model, or robust ones; unset: robust if the "
    "job asks for robust or cluster, else model.",
)
@click.option("--level", default=LEVEL, show_default=True, help="Coverage of the intervals.")
@click.option("--ratios", is_flag=True, help="Show odds or rate ratios.")
@click.option("--tests", is_flag=True, help="Test every column, not only those of many features.")
@click.option(
    "--reference",
    multiple=True,
    metavar="COLUMN=LEVEL",
    help="Another reference level of a category, of bins or a spline, or class of the label.",
)
@click.option(
    "--contrast", multiple=True, metavar="COLUMN=A:B", help="Difference between two values."
)
@click.option(
    "--curve", multiple=True, metavar="COLUMN", help="Show a column as a curve with its interval."
)
@json_option
def command(
    model: str,
    version: str | None,
    form: Literal["table", "markdown", "csv", "json", "html"],
    out: str | None,
    top: int | None,
    sort: str,
    errors: Errors | None,
    level: float,
    ratios: bool,
    tests: bool,
    reference: tuple[str, ...],
    contrast: tuple[str, ...],
    curve: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the coefficients of a model in the units of its columns, with their uncertainty.

    Standard errors, p-values, intervals and tests need the curvature, which only newton keeps. The
    frequent values of hashed columns are shown as well.

    As csv it is one table with all columns: of the curves with --curve, of the tests with --tests,
    else of the coefficients.
    """
    loaded = Model.load(model, version)
    if ratios:
        named_ratio(loaded.file.job.loss)
    found = summarise(
        loaded,
        errors=errors,
        level=level,
        references=_references(reference),
        contrast=contrast,
        curve=curve,
        by_column=sort == "column",
    )
    if as_json or form == "json":
        if out is None:
            print_json(found)
        else:
            put_file(out, found.model_dump_json())
        return
    if form == "table":
        if out is not None:
            raise JobError("--out: expected --format markdown, csv, json or html beside it")
        _print(found, Wanted(_TOP if top is None else top, tests, ratios))
    else:
        wanted = Wanted(top, tests, ratios)
        text = {"markdown": markdown, "csv": csv_text, "html": summary_page}[form](found, wanted)
        click.echo(text, nl=False) if out is None else put_file(out, text)
    for line in found.warnings:
        say(f"warning: {line}", err=True)


def _references(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        column, equals, level = text.partition("=")
        if not equals:
            raise JobError(
                f"--reference: expected COLUMN=LEVEL, such as vehicle=car, found {shown(text)}"
            )
        found[column] = level
    return found


def _print(found: Summary, wanted: Wanted) -> None:
    for line in summary_tables.facts(found):
        say(printable(line))
    if found.profiles:
        for profile in found.profiles:
            say(f"\n{printable(summary_tables.profile_title(profile))}")
            _print_table(summary_tables.profile_table(profile, wanted, found.ratio))
        # Tests and contrasts are shown too if they were asked for; coefficients are left out.
        _print_tables(
            summary_tables.test_table(found, wanted) if wanted.tests else None,
            summary_tables.contrast_table(found, wanted),
        )
        return
    say("")
    _print_table(summary_tables.coefficient_table(found, wanted))
    if found.references:
        levels = ", ".join(f"{column} = {level}" for column, level in found.references.items())
        say(f"\nreference levels: {printable(levels)}")
    _print_tables(
        summary_tables.test_table(found, wanted), summary_tables.contrast_table(found, wanted)
    )
    for curve in found.curves:
        say(f"\n{printable(_curve(curve, found.references[curve.column]))}")
    hashed = summary_tables.hashed_table(found, wanted)
    if hashed is not None:
        names = ", ".join(map(printable, found.hashed))
        slots = next(iter(found.hashed.values()))
        say(f"\nhashed: {names} share {slots:,} weights; frequent values:")
        _print_table(hashed)
    for number, line in enumerate(told(found.cross_validation)):
        say(f"{'' if number else chr(10)}{printable(line)}")


def _print_tables(*tables: Table | None) -> None:
    for one in tables:
        if one is not None:
            say("")
            _print_table(one)


def _print_table(table: Table) -> None:
    print_table(table.rows, table.header, right=tuple(table.right))
    if table.note:
        say(table.note)


def _curve(curve: CurveOf, reference: str) -> str:
    of = "" if curve.output is None else f" for {curve.output}"
    others = [point for point in curve.knots if point.effect]
    points = ", ".join(f"{point.value:.4g}: {point.effect:+.4g}" for point in others)
    return f"curve of {curve.column}{of}, change from {reference} to {points}"
