"""Artifacts of a run of training: a markdown report, and a table of what was learnt.

All runs of a model share the keys of its artifacts, so each key has a history. The descriptions
make it a ledger of versions, losses and rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from onepass.ledger.entries import TrainEntry
from onepass.text import listed
from prefect_onepass.background import Background
from prefect_onepass.figures import duration, rounded
from prefect_onepass.names import model_name, span
from prefect_onepass.past_runs import mean_losses
from prefect_onepass.run_report import FinishedRun, describe_run, short_description

_MOST_LETTERS = 60
"""Longest readable part of a key."""

_MOST_LINES = 200
"""Most lines of a table; the groups of a longer run share lines."""


def artifact_key(kind: str, model: str, model_id: str) -> str:
    """Return the key that all artifacts of one kind and model share, so that they form a history.

    Prefect allows lowercase letters, digits and dashes. The name of the folder makes the key
    readable, and the id tells models with the same name apart.
    """
    folder = model_name(model).rpartition("/")[2]
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:_MOST_LETTERS].strip("-")
    return f"onepass-{kind}-{name or 'model'}-{re.sub('[^a-z0-9]', '', model_id.lower())[:8]}"


def publish(background: Background, run: FinishedRun) -> str:
    """Publish the report of a run and the table of its groups; return the report.

    The calls are made in the background. A run that has trained nothing and left nothing out
    publishes nothing.
    """
    report = describe_run(run)
    if not (run.trained.partitions or run.trained.skipped or run.trained.quarantined):
        return report
    description = short_description(run)
    keys = {kind: artifact_key(kind, run.job.model, run.model_id) for kind in ("report", "groups")}
    background.send(
        "the report",
        lambda: create_markdown_artifact(report, key=keys["report"], description=description),
    )
    if table := table_of(run.entries):
        background.send(
            "the table of groups",
            lambda: create_table_artifact(table, key=keys["groups"], description=description),
        )
    return report


def table_of(entries: Sequence[TrainEntry]) -> list[dict[str, Any]]:
    """Return a line for each group, rounded for people; neighbours share one if there are many."""
    size = -(-len(entries) // _MOST_LINES) or 1
    has_epochs = any(entry.epoch > 1 for entry in entries)
    starts = range(0, len(entries), size)
    return [_line(entries[first : first + size], has_epochs=has_epochs) for first in starts]


def _line(entries: Sequence[TrainEntry], *, has_epochs: bool) -> dict[str, Any]:
    first, last = entries[0], entries[-1]
    partitions = [one for entry in entries for one in entry.partitions]
    epochs = sorted({entry.epoch for entry in entries})
    rows, seconds = sum(one.rows for one in entries), sum(one.seconds for one in entries)
    loss, constant = mean_losses(entries)
    version = f"{last.version:,}" if first is last else f"{first.version:,}-{last.version:,}"
    n = f"{len(partitions):,}"
    return {
        "version": version,
        "partitions": span(partitions)
        if len(partitions) == 1
        else f"{n} within {span(partitions)}",
        **({"epoch": listed([str(one) for one in epochs], 3)} if has_epochs else {}),
        "rows": f"{rows:,}",
        "loss": rounded(loss, 5),
        "constant": rounded(constant, 5),
        "rows/s": f"{rows / max(seconds, 1e-9):,.0f}",
        "time": duration(seconds),
        "memory": f"{max(one.peak_rss_bytes for one in entries) / 1e6:,.0f} MB",
    }
