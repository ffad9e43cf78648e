"""`onepass train`."""

from __future__ import annotations

import os
from typing import Any

import click

from pipeline.cli.display import Display, megabytes
from pipeline.cli.options import given_job, job_options, json_option, print_json
from pipeline.evaluation import EvaluateReport, evaluate
from pipeline.training import TrainReport, train


@click.command("train")
@job_options
@json_option
def command(lake: tuple[str, ...], config: str | None, as_json: bool, **flags: Any) -> None:
    """Create a model, or train it on what is new in its lake.

    The first run needs LAKE, --label and --model. The job is remembered: later runs need only
    --model, train only what the model has not seen, and refuse a job that differs.
    """
    given = given_job(lake, config, flags)
    with Display("trained") as display:
        try:
            report = train(given, progress=display)
        except KeyboardInterrupt:
            _say_what_is_kept(given, display.version)
            raise
    if as_json:
        print_json(report)
    else:
        click.echo(describe(report))
        if given.get("holdout"):
            click.echo(describe_holdout(evaluate(given["holdout"], report.model)))


def describe(report: TrainReport) -> str:
    """A run in a few lines."""
    lines = []
    if report.partitions:
        lines.append(
            f"trained {report.partitions} partitions, {report.rows:,} rows in "
            f"{report.seconds:.1f} s ({report.rows_per_second:,.0f} rows/s), "
            f"peak memory {megabytes(report.peak_rss_bytes)}"
        )
        lines.append(f"progressive {_losses(report.loss, report.metrics)}")
    else:
        lines.append("nothing to train: the model has seen every partition of its lake")
    if report.skipped:
        lines.append(f"left out {report.skipped} partitions: onepass log {report.model}")
    lines.append(f"model {_short(report.model)}, version {report.version}")
    return "\n".join(lines)


def describe_holdout(report: EvaluateReport) -> str:
    """An evaluation in one line."""
    return f"on {report.rows:,} holdout rows: {_losses(report.loss, report.metrics)}"


def _losses(loss: float | None, metrics: dict[str, float | None]) -> str:
    constant = metrics.get("constant_loss")
    shown = {k: v for k, v in metrics.items() if k in {"rmse", "r2", "auc", "accuracy"}}
    rest = "".join(f", {k} {v:.4g}" for k, v in shown.items() if v is not None)
    loss_text = "-" if loss is None else f"{loss:.5g}"
    constant_text = "-" if constant is None else f"{constant:.5g}"
    return f"loss {loss_text} (best constant: {constant_text}){rest}"


def _say_what_is_kept(given: dict[str, Any], version: int) -> None:
    kept = f"version {version} is kept" if version else "what was committed before is kept"
    model = given.get("model", "DIR")
    click.echo(f"interrupted: {kept}; go on with: onepass train --model {model}", err=True)


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
