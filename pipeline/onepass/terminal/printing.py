"""Print texts, JSON and aligned tables; control characters in texts are escaped."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from pydantic import BaseModel

from onepass.text import printable
from onepass.training.report import of_no_use

_SKETCH_ERROR = 1e-4
"""Relative error of the best constant's huber loss, which is estimated from a sketch of labels."""


def say(text: str, *, err: bool = False) -> None:
    """Print a text to stdout or stderr.

    Newlines of the text stay. A name that is put into a text goes through `printable` first, which
    escapes the newlines that the name may hold.
    """
    click.echo(printable(text, lines=True), err=err)


def print_json(report: BaseModel, **further: Any) -> None:
    """Print a report, and further fields, as one line of JSON."""
    click.echo(json.dumps(report.model_dump(mode="json") | further))


def print_table(
    rows: Sequence[Sequence[str]], header: Sequence[str], *, right: Sequence[int] = ()
) -> None:
    """Print aligned columns to stdout.

    Parameters
    ----------
    right
        Numbers of the columns that are aligned to the right.
    """
    # Imported here: rich takes a tenth of a second, which `onepass --help` does not need.
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    # A pipe has no width. Long names must stay whole, so that grep finds them.
    width = None if sys.stdout.isatty() else _width([header, *rows])
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Return a number of columns in which no cell of a table is folded."""
    longest = (max(map(len, map(printable, cells))) for cells in zip(*rows, strict=True))
    # Wide characters take two columns.
    return max(220, sum(2 * length + 2 for length in longest))


def loss_text(loss: float, metrics: Mapping[str, float | None], digits: int) -> str:
    """Return a loss, with its power or overdispersion if the version has another one."""
    shapes = {name: metrics.get(f"loss_{name}") for name in ("power", "overdispersion")}
    at = "".join(f" at {name} {value:.4g}" for name, value in shapes.items() if value is not None)
    return f"loss {loss:.{digits}g}{at}"


def warn_if_worse(
    loss: float | None,
    metrics: Mapping[str, float | None],
    label: str = "",
    *,
    rows: str = "these rows",
) -> None:
    """Print a warning, which begins with `label`, if a best constant would predict better.

    Parameters
    ----------
    rows
        The rows of the loss, in words.
    """
    constant = metrics.get("constant_loss")
    # Rows of one label, of which the constant knows all, tell nothing about a model.
    if loss is not None and constant and loss > constant * (1 + _SKETCH_ERROR):
        say(
            f"warning: {label}the loss {loss:.5g} is worse than {constant:.5g}, that of the best "
            f"constant prediction: on {rows} {of_no_use(metrics)}",
            err=True,
        )
