"""`onepass path`."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from onepass.actions.path import PathReport, PathStep, choose_penalty, penalty_path
from onepass.terminal.options import dask_option, json_option, version_option
from onepass.terminal.printing import print_json, print_table, say
from onepass.terminal.progress import Display
from onepass.text import counted, printable

_SHOWN_STEPS, _SHOWN_FEATURES, _WIDTH = 16, 20, 50
"""Rows of the table, features of the plot, and its width in characters."""

_BARS = " ▁▂▃▄▅▆▇█"


@click.command("path")
@click.argument("model", metavar="DIR")
@click.option(
    "--lake", multiple=True, metavar="HOLDOUT", help="Rows with labels, to compare penalties by."
)
@click.option(
    "--alpha", default=1.0, show_default=True, help="Share of l1 in each penalty; the rest is l2."
)
@click.option("--by-column", is_flag=True, help="Columns enter with all their levels, or not.")
@click.option("--penalties", default=100, show_default=True, help="Number of penalties.")
@click.option(
    "--ratio", default=1e-4, show_default=True, help="Smallest penalty as a share of the largest."
)
@click.option(
    "--choose",
    "chosen",
    metavar="PENALTY|holdout|aic|bic",
    help="Commit the weights at this penalty, which later training keeps.",
)
@click.option("--out", metavar="FILE", help="Write the path as a page of HTML, too.")
@version_option
@dask_option
@json_option
def command(
    model: str,
    lake: tuple[str, ...],
    alpha: float,
    by_column: bool,
    penalties: int,
    ratio: float,
    chosen: str | None,
    out: str | None,
    version: str | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Show the coefficients of the model in DIR at each of many penalties.

    One pass of newton keeps what all of them need, so the lake of the model is not read again.
    """
    with Display("evaluated") as display:
        found = penalty_path(
            model,
            lake=_lake(lake),
            alpha=alpha,
            by_column=by_column,
            n_penalties=penalties,
            ratio=ratio,
            version=version if version or not chosen else "newest",
            dask=dask,
            progress=display,
        )
    if out:
        # Imported here: the libraries of the extra `report` need not be installed.
        from onepass.report.path_page import write_path

        write_path(found, out)
    if chosen:
        found = choose_penalty(found, _choice(chosen))
    if as_json:
        print_json(found)
        return
    _print(found)


def _lake(given: tuple[str, ...]) -> str | list[str] | None:
    return None if not given else given[0] if len(given) == 1 else list(given)


def _choice(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _print(report: PathReport) -> None:
    judged = "holdout" in report.best
    header = ["penalty", "features", "columns", "AIC", "BIC", *(["holdout"] if judged else []), ""]
    print_table([_row(report, k) for k in _shown(report)], header, right=range(len(header) - 1))
    say("")
    for line in _plot(report):
        say(line)
    say("")
    if not report.is_exact:
        say(
            f"This is the path of the quadratic model of {report.loss} loss at the weights of the "
            "version. Commit a choice (--choose), and check it with onepass evaluate."
        )
    for text in report.warnings:
        say(f"warning: {text}")
    best = report.steps[report.best[report.criterion]]
    say(
        f"best by {report.criterion}: penalty {best.penalty:.4g}, "
        f"{counted(best.features, 'feature')}"
    )
    if report.chosen is not None:
        say(
            f"committed penalty {report.chosen:.4g}: model {report.model}, version {report.version}"
        )


def _shown(report: PathReport) -> list[int]:
    """Return the steps of the table: evenly spaced ones, and the best."""
    spaced = np.linspace(0, len(report.steps) - 1, min(_SHOWN_STEPS, len(report.steps)))
    return sorted({*spaced.round().astype(int).tolist(), *report.best.values()})


def _row(report: PathReport, k: int) -> list[str]:
    step: PathStep = report.steps[k]
    loss = [] if step.holdout_loss is None else [f"{step.holdout_loss:.6g}"]
    marks = [name for name, at in report.best.items() if at == k]
    return [
        f"{step.penalty:.4g}",
        str(step.features),
        str(step.columns),
        f"{step.aic - report.steps[report.best['aic']].aic:.2f}",
        f"{step.bic - report.steps[report.best['bic']].bic:.2f}",
        *loss,
        f"best by {', '.join(marks)}" if marks else "",
    ]


def _plot(report: PathReport) -> list[str]:
    """Return a line for each of the features that enter first, strongest penalty on the left."""
    effects = np.array([step.effects for step in report.steps])
    places = np.linspace(0, len(effects) - 1, min(_WIDTH, len(effects))).round().astype(int)
    drawn = np.abs(effects[places])
    most = drawn.max(initial=0.0)
    entered = (effects != 0).argmax(axis=0)
    used = np.flatnonzero((effects != 0).any(axis=0))
    order = sorted(used, key=lambda j: (entered[j], -abs(effects[-1, j])))[:_SHOWN_FEATURES]
    names = [printable(report.features[j]) for j in order]
    wide = max(map(len, names), default=0)
    lines = [f"{'effect, from the largest penalty to the smallest':>{wide}}"] if order else []
    for name, j in zip(names, order, strict=True):
        heights = np.ceil(8 * drawn[:, j] / most).astype(int)
        line = "".join(_BARS[height] for height in heights)
        lines.append(f"{name:<{wide}}  {line}  {effects[-1, j]:+.3g}")
    if len(used) > len(order):
        lines.append(f"and {len(used) - len(order)} more features, which enter later")
    return lines
