"""`onepass summary`."""

from __future__ import annotations

import click

from pipeline.cli.display import print_table
from pipeline.cli.options import json_option, print_json
from pipeline.model import Model
from pipeline.summary import summarise


@click.command("summary")
@click.argument("model", metavar="DIR")
@click.option("--top", default=30, show_default=True, help="Features to show, by effect.")
@json_option
def command(model: str, top: int, as_json: bool) -> None:
    """Coefficients of a model, with standard errors where the solver has them."""
    found = summarise(Model.load(model))
    if as_json:
        print_json(found)
        return
    click.echo(
        f"{found.solver}, {found.loss} loss of {found.label}, version {found.version}, "
        f"{found.rows:,} rows\nintercept {found.intercept:.6g}\n"
    )
    shown = found.coefficients[:top]
    print_table(
        [
            [c.feature, f"{c.coefficient:.5g}", _number(c.std_error), f"{c.effect:.4g}"]
            for c in shown
        ],
        ["feature", "per unit", "std error", "effect"],
        right=(1, 2, 3),
    )
    if len(found.coefficients) > top:
        click.echo(f"... and {len(found.coefficients) - top} more (--top)")
    for name, slots in found.hashed.items():
        click.echo(f"{name}: hashed into {slots:,} shared slots")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
