"""What a run publishes in Prefect: a markdown report, a table, a progress bar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from onepass.actions.evaluate import EvaluateReport
from onepass.job import Job
from onepass.model.directory import open_model
from onepass.text import counted
from onepass.training.report import TrainReport, nothing_to_train


def artifact_key(kind: str, model: str) -> str:
    """Key under which the artifacts of one model form a history: lowercase, digits, dashes."""
    name = re.sub(r"[^a-z0-9]+", "-", PurePath(model).name.lower()).strip("-")
    return f"onepass-{kind}-{name or 'model'}"


def start_progress(job: Job) -> UUID:
    """A progress bar at zero."""
    artifact = create_progress_artifact(
        0.0, key=artifact_key("progress", job.model), description=f"training {job.model}"
    )
    # Outside an async flow the call has finished when it returns.
    assert isinstance(artifact, UUID)
    return artifact


def move_progress(artifact: UUID, done: int, total: int) -> None:
    """Set the bar to the share of partitions done."""
    update_progress_artifact(artifact, 100.0 if not total else 100.0 * done / total)


def publish(job: Job, groups: Sequence[TrainReport], holdout: EvaluateReport | None) -> None:
    """The report of a run, and a table with a row per group of partitions."""
    create_markdown_artifact(
        describe_run(job, groups, holdout), key=artifact_key("report", job.model)
    )
    rows = [_row(group) for group in groups]
    create_table_artifact(rows, key=artifact_key("groups", job.model))


def describe_run(job: Job, groups: Sequence[TrainReport], holdout: EvaluateReport | None) -> str:
    """A run as markdown."""
    lines, ledger = [f"# {PurePath(job.model).name}: {job.label}", ""], open_model(job.model).ledger
    partitions, rows = sum(g.partitions for g in groups), sum(g.rows for g in groups)
    if partitions:
        loss, constant = progressive(groups)
        seconds = sum(group.seconds for group in groups)
        peak = max(group.peak_rss_bytes for group in groups)
        lines += [
            f"Trained {counted(partitions, 'partition')}, {rows:,} rows, "
            f"{rows / seconds:,.0f} rows/s, peak memory {peak / 1e6:,.0f} MB.",
            "",
            "| rows | loss | best constant |",
            "|---|---|---|",
            f"| progressive | {loss:.6g} | {constant:.6g} |",
        ]
    else:
        text = nothing_to_train(
            ledger.history.n_left_out(), has_trained=bool(ledger.history.learnt())
        )
        lines += [f"{text.capitalize()}."]
    if holdout is not None:
        lines += [] if partitions else ["", "| rows | loss | best constant |", "|---|---|---|"]
        constant_loss = holdout.metrics["constant_loss"]
        lines.append(f"| holdout ({holdout.rows:,}) | {holdout.loss:.6g} | {constant_loss:.6g} |")
    lines += ["", f"Model `{job.model}`, version {ledger.version}."]
    return "\n".join(lines)


def progressive(groups: Sequence[TrainReport]) -> tuple[float, float]:
    """Progressive loss over all groups, and that of the best constant of each, mean per row."""
    trained = [group for group in groups if group.loss is not None and group.rows]
    rows = sum(group.rows for group in trained)
    loss = sum(group.rows * (group.loss or 0.0) for group in trained) / rows
    constant = sum(group.rows * (group.metrics["constant_loss"] or 0.0) for group in trained) / rows
    return loss, constant


def _row(group: TrainReport) -> dict[str, Any]:
    return {
        "version": group.version,
        "partitions": group.partitions,
        "rows": group.rows,
        "loss": group.loss,
        "rows_per_second": round(group.rows_per_second),
        "peak_rss_bytes": group.peak_rss_bytes,
    }
