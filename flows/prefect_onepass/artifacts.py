"""Publish a run in Prefect: a markdown report, a table, a progress bar."""

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
from onepass.learn.metrics.stretches import LEAST_ROWS, SHARE
from onepass.text import counted
from onepass.training.report import PlanReport, TrainReport, in_rounds, nothing_to_train


def artifact_key(kind: str, model: str) -> str:
    """Return the key that all artifacts of one kind and model share, so that they form a history.

    Prefect allows lowercase letters, digits and dashes.
    """
    name = re.sub(r"[^a-z0-9]+", "-", PurePath(model).name.lower()).strip("-")
    return f"onepass-{kind}-{name or 'model'}"


def start_progress(job: Job) -> UUID:
    """Create a progress bar at zero."""
    artifact = create_progress_artifact(
        0.0, key=artifact_key("progress", job.model), description=f"training {job.model}"
    )
    # In a flow that is not async, the call is synchronous and returns the id.
    assert isinstance(artifact, UUID)
    return artifact


def move_progress(artifact: UUID, done: int, total: int) -> None:
    """Set the bar to the share of partitions done."""
    update_progress_artifact(artifact, 100.0 if not total else 100.0 * done / total)


def publish(
    job: Job,
    planned: PlanReport,
    groups: Sequence[TrainReport],
    holdout: EvaluateReport | None,
) -> str:
    """Publish the report of a run and a table with a row for each group; return the report."""
    report = describe_run(job, planned, groups, holdout)
    create_markdown_artifact(report, key=artifact_key("report", job.model))
    rows = [_row(group) for group in groups]
    create_table_artifact(rows, key=artifact_key("groups", job.model))
    return report


def describe_run(
    job: Job,
    planned: PlanReport,
    groups: Sequence[TrainReport],
    holdout: EvaluateReport | None,
) -> str:
    """Describe a run in markdown.

    Parameters
    ----------
    planned
        The last plan of the run.
    """
    lines = [f"# {PurePath(job.model).name}: {job.label}", ""]
    partitions, rows = sum(g.partitions for g in groups), sum(g.rows for g in groups)
    if partitions:
        loss, constant = progressive(groups)
        seconds = sum(group.seconds for group in groups)
        peak = max(group.peak_rss_bytes for group in groups)
        lines += [
            f"Trained {counted(partitions, 'partition')}"
            f"{in_rounds(groups[-1].parallel, partitions)}, "
            f"{rows:,} rows, "
            f"{rows / seconds:,.0f} rows/s, peak memory {peak / 1e6:,.0f} MB.",
            "",
            "| rows | loss | best constant |",
            "|---|---|---|",
            f"| progressive | {loss:.6g} | {constant:.6g} |",
        ]
        if (last := last_rows(groups)) is not None:
            n_last, loss, constant = last
            lines.append(f"| its last {n_last:,} | {loss:.6g} | {constant:.6g} |")
    else:
        text = nothing_to_train(planned.left_out, has_trained=bool(planned.state_sha256))
        lines += [f"{text.capitalize()}."]
    if holdout is not None:
        lines += [] if partitions else ["", "| rows | loss | best constant |", "|---|---|---|"]
        constant_loss = holdout.metrics["constant_loss"]
        lines.append(f"| holdout ({holdout.rows:,}) | {holdout.loss:.6g} | {constant_loss:.6g} |")
    lines += ["", f"Model `{job.model}`, version {newest(planned, groups).version}."]
    return "\n".join(lines)


def newest(planned: PlanReport, groups: Sequence[TrainReport]) -> PlanReport | TrainReport:
    """Return the report that has the newest version of the model."""
    reports: list[PlanReport | TrainReport] = [planned, *groups]
    return max(reports, key=lambda report: report.version)


def progressive(groups: Sequence[TrainReport]) -> tuple[float, float]:
    """Return the progressive loss over all groups and that of each group's best constant.

    Both are weighted means per row.
    """
    trained = [group for group in groups if group.loss is not None and group.rows]
    rows = sum(group.rows for group in trained)
    loss = sum(group.rows * (group.loss or 0.0) for group in trained) / rows
    constant = sum(group.rows * (group.metrics["constant_loss"] or 0.0) for group in trained) / rows
    return loss, constant


def last_rows(groups: Sequence[TrainReport]) -> tuple[int, float, float] | None:
    """Return the number of the last rows, and `progressive` of them.

    The last rows are the last groups with a tenth of the rows together, or the last tenth of the
    last group if it has most of them. None if the run has few rows.
    """
    trained = [group for group in groups if group.loss is not None and group.rows]
    rows, last = sum(group.rows for group in trained), list[TrainReport]()
    while trained and sum(group.rows for group in last) * SHARE < rows:
        last.insert(0, trained.pop())
    n_last = sum(group.rows for group in last)
    if 2 * n_last <= rows and n_last >= LEAST_ROWS:
        return n_last, *progressive(last)
    if not last or (own := last[-1].last_tenth) is None or own.loss is None:
        return None
    return own.rows, own.loss, own.metrics["constant_loss"] or 0.0


def _row(group: TrainReport) -> dict[str, Any]:
    return {
        "version": group.version,
        "partitions": group.partitions,
        "rows": group.rows,
        "loss": group.loss,
        "rows_per_second": round(group.rows_per_second),
        "peak_rss_bytes": group.peak_rss_bytes,
    }
