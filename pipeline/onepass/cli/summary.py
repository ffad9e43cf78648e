"""`onepass summary`."""

from __future__ import annotations

import click

from onepass.actions.coefficient import Coefficient
from onepass.actions.curves import CurveOf
from onepass.actions.summary import HashedValue, Summary, summarise
from onepass.model.cross_validated import told
from onepass.model.model import Model
from onepass.terminal.options import json_option, version_option
from onepass.terminal.printing import print_json, print_table, say
from onepass.text import printable


@click.command("summary")
@click.argument("model", metavar="DIR")
@version_option
@click.option("--top", default=30, show_default=True, help="Features to show, by effect.")
@json_option
def command(model: str, version: str | None, top: int, as_json: bool) -> None:
    """Show the coefficients of a model in the units of its columns, with their uncertainty.

    Standard errors, p-values and 95 % intervals need the curvature, which only newton keeps. The
    frequent values of hashed columns are shown as well.
    """
    found = summarise(Model.load(model, version))
    if as_json:
        print_json(found)
        return
    say(
        f"{found.solver}, {found.loss} loss of {printable(found.label)}, version {found.version}, "
        f"{found.rows:,} rows{_taken(found)}\n"
    )
    _print_coefficients(found, top)
    if found.references:
        levels = ", ".join(f"{column} = {level}" for column, level in found.references.items())
        say(f"\nreference levels: {printable(levels)}")
    for curve in found.curves:
        say(f"\n{printable(_curve(curve))}")
    if found.hashed:
        _print_hashed(found, top)
    for number, line in enumerate(told(found.cross_validation)):
        say(f"{'' if number else chr(10)}{printable(line)}")
    for text in found.warnings:
        say(f"warning: {text}", err=True)


def _taken(found: Summary) -> str:
    """Return which rows the model learns, as the end of a phrase."""
    sample = "" if found.sample is None else f", a sample of {found.sample:g}"
    return sample + ("" if found.where is None else f", where {printable(found.where)}")


def _print_coefficients(found: Summary, top: int) -> None:
    shown = [*found.intercepts, *found.coefficients[:top]]
    header = ["feature", "per unit", "std error", "z", "p", "low", "high", "effect"]
    has_outputs = any(c.output is not None for c in shown)
    rows = [[*([c.output or ""] if has_outputs else []), *_coefficient(c)] for c in shown]
    first = 2 if has_outputs else 1
    print_table(
        rows,
        [*(["of"] if has_outputs else []), *header],
        right=tuple(range(first, first + len(header) - 1)),
    )
    if len(found.coefficients) > top:
        say(f"... and {len(found.coefficients) - top} more (--top)")


def _coefficient(c: Coefficient) -> list[str]:
    p_value = "-" if c.p_value is None else "<1e-4" if c.p_value < 1e-4 else f"{c.p_value:.4f}"
    return [
        c.feature if c.read_as is None else f"{c.feature} ({c.read_as})",
        "aliased" if c.aliased else f"{c.coefficient:.5g}",
        _number(c.std_error),
        _number(c.z),
        p_value,
        _number(c.low),
        _number(c.high),
        f"{c.effect:.4g}",
    ]


def _curve(curve: CurveOf) -> str:
    of = "" if curve.output is None else f" for {curve.output}"
    points = ", ".join(f"{point.value:.4g}: {point.effect:+.4g}" for point in curve.knots[1:])
    return f"curve of {curve.column}{of}, change from {curve.knots[0].value:.4g} to {points}"


def _print_hashed(found: Summary, top: int) -> None:
    names = ", ".join(map(printable, found.hashed))
    slots = next(iter(found.hashed.values()))
    say(f"\nhashed: {names} share {slots:,} weights; frequent values:")
    has_outputs = any(v.output is not None for v in found.hashed_values)
    rows = [_value(v, has_outputs) for v in found.hashed_values[:top]]
    header = [*(["of"] if has_outputs else []), "column", "value", "weight", "rows, about"]
    print_table(rows, header, right=(len(header) - 2, len(header) - 1))


def _value(v: HashedValue, has_outputs: bool) -> list[str]:
    head = [v.output or ""] if has_outputs else []
    return [*head, v.column, v.value, f"{v.weight:.4g}", f"{v.rows:,}"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
