"""`onepass compare`."""

from __future__ import annotations

from typing import Any

import click

from onepass.actions.compare import compare
from onepass.actions.comparison import LEVEL, CompareReport, Difference
from onepass.terminal.options import as_lake, dask_option, json_option, table_options
from onepass.terminal.printing import print_json, print_table, say
from onepass.terminal.progress import Display
from onepass.text import printable


@click.command("compare")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--lake", multiple=True, required=True, metavar="LAKE", help="Rows that neither has learnt."
)
@click.option("--by", metavar="COLUMN", help="Compare for each value of this column as well.")
@table_options
@dask_option
@json_option
def command(
    first: str,
    second: str,
    lake: tuple[str, ...],
    by: str | None,
    dask: str | None,
    as_json: bool,
    **table: Any,
) -> None:
    """Compare the losses of models A and B on the same rows of LAKE.

    A and B are model directories, or DIR@VERSION, where VERSION is a number, a tag or newest. The
    standard error is that of the paired difference, for independent rows.
    """
    (one, version), (other, its_version) = map(_version_of, (first, second))
    with Display("compared") as display:
        report = compare(
            one,
            other,
            as_lake(lake),
            versions=(version, its_version),
            by=by,
            dask=dask,
            progress=display,
            **table,
        )
    if as_json:
        print_json(report)
    else:
        _print(report)


def _version_of(name: str) -> tuple[str, str | None]:
    """Return the directory and the version in ``DIR@VERSION``."""
    path, at, version = name.rpartition("@")
    return (path, version) if at and "/" not in version else (name, None)


def _print(report: CompareReport) -> None:
    for letter, path, version in zip(
        "AB", (report.first, report.second), report.versions, strict=True
    ):
        say(f"{letter}: {printable(path)}, version {version}")
    left = f"; {report.left_out:,} rows were left out" if report.left_out else ""
    say(f"{report.total.rows:,} rows, {report.loss} loss{left}")
    rows = [_row("all rows", report.total)]
    rows += [_row(f"{report.by} = {one.segment}", one) for one in report.segments]
    header = ("", "rows", "A", "B", "A - B", "std error", "p value", f"{LEVEL:.0%} interval")
    print_table(rows, header, right=(1, 2, 3, 4, 5, 6, 7))
    for text in report.warnings:
        say(f"warning: {text}")
    say(_verdict(report.total))


def _row(name: str, one: Difference) -> list[str]:
    numbers = (one.first, one.second, one.difference, one.std_error)
    low, high = one.low, one.high
    interval = "-" if low is None or high is None else f"{low:.3g} to {high:.3g}"
    p_value = "-" if one.p_value is None else f"{one.p_value:.3g}"
    return [name, f"{one.rows:,}", *map(_cell, numbers), p_value, interval]


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def _verdict(one: Difference) -> str:
    if one.low is None or one.high is None or one.difference is None or one.second is None:
        return "the rows tell no difference"
    if one.low <= 0 <= one.high:
        return "no difference beyond chance: the interval contains 0"
    better, worse = ("A", "B") if one.difference < 0 else ("B", "A")
    share = abs(one.difference) / abs(one.second) if one.second else float("inf")
    return f"{better} is better than {worse}: the difference is {share:.2%} of the loss of B"
