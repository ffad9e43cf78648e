"""`onepass evaluate`."""

from __future__ import annotations

import click

from pipeline.cli.display import Display
from pipeline.cli.options import as_lake, dask_option, json_option, model_option, print_json
from pipeline.evaluation import evaluate


@click.command("evaluate")
@click.argument("lake", nargs=-1, required=True)
@model_option
@dask_option
@json_option
def command(lake: tuple[str, ...], model: str, dask: str | None, as_json: bool) -> None:
    """Metrics of a model on LAKE, which must have the label."""
    with Display("evaluated") as display:
        report = evaluate(as_lake(lake)["lake"], model, dask=dask, progress=display)
    if as_json:
        print_json(report)
        return
    click.echo(f"{report.rows:,} rows, version {report.version}, loss {report.loss:.6g}")
    for name, value in report.metrics.items():
        click.echo(f"  {name:<14} {'-' if value is None else f'{value:.6g}'}")
    for kind, n in report.counts.items():
        click.echo(f"  {kind:<14} {n:,} rows")
