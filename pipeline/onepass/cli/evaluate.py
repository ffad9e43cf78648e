"""`onepass evaluate`."""

from __future__ import annotations

from typing import Any

import click

from onepass.actions.evaluate import evaluate
from onepass.terminal.options import (
    as_lake,
    dask_option,
    json_option,
    model_option,
    table_options,
    version_option,
)
from onepass.terminal.printing import loss_text, print_json, print_table, say, warn_if_worse
from onepass.terminal.progress import Display


@click.command("evaluate")
@click.argument("lake", nargs=-1, required=True)
@model_option
@version_option
@click.option("--record", is_flag=True, help="Keep the result in the model directory.")
@table_options
@dask_option
@json_option
def command(
    lake: tuple[str, ...],
    model: str,
    version: str | None,
    record: bool,
    dask: str | None,
    as_json: bool,
    **table: Any,
) -> None:
    """Compute the metrics of a model on LAKE, which must have the label."""
    with Display("evaluated") as display:
        report = evaluate(
            as_lake(lake),
            model,
            version=version,
            record=record,
            dask=dask,
            progress=display,
            **table,
        )
    warn_if_worse(report.loss, report.metrics)
    if as_json:
        print_json(report)
        return
    loss = loss_text(report.loss, report.metrics, 6)
    say(f"{report.rows:,} rows, version {report.version}, {loss}")
    for name, value in report.metrics.items():
        say(f"  {name:<18} {'-' if value is None else f'{value:.6g}'}")
    for kind, n in report.counts.items():
        say(f"  {kind:<18} {n:,} rows")
    for name, rows in report.tables.items():
        say(f"\n{name}")
        _print_metrics(rows)


def _print_metrics(rows: list[dict[str, float | str | None]]) -> None:
    if rows:
        names = list(rows[0])
        numbers = [i for i, name in enumerate(names) if name != "class"]
        cells = [[_cell(row[name]) for name in names] for row in rows]
        print_table(cells, names, right=numbers)


def _cell(value: float | str | None) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.5g}"
