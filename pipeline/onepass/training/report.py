"""What runs of training tell of themselves, as the command line and the flow hand it on."""

from __future__ import annotations

from pydantic import BaseModel

from onepass.learn.metrics import Metrics
from onepass.ledger.entries import CandidateEntry


class TrainReport(BaseModel):
    """What one run has done."""

    model: str
    """Model directory."""
    version: int
    """Newest version of the model."""
    partitions: int
    """Partitions trained by this run, once for each epoch."""
    rows: int
    """Rows learnt by this run."""
    skipped: int
    """Partitions left out by this run."""
    left_out: int
    """Partitions that are left out for good, by this run or an earlier one."""
    pending: int
    """Partitions of the plan that are still to be trained."""
    loss: float | None
    """Progressive loss of this run: weighted mean per row; None if nothing was trained."""
    metrics: dict[str, float | None]
    """Progressive metrics of this run."""
    candidates: list[CandidateEntry]
    """Learners that are tried side by side, as of the newest version; empty for one."""
    seconds: float
    rows_per_second: float
    peak_rss_bytes: int
    state_sha256: str | None
    """Digest of the newest state; None before the first partition."""


def nothing_to_train(n_left_out: int, *, has_trained: bool) -> str:
    """Why a run had nothing to train."""
    why = f"{n_left_out:,} left out (onepass log says why)"
    if n_left_out and not has_trained:
        return f"nothing to train: the lake has no partitions but {why}"
    but = f" but {why}" if n_left_out else ""
    return f"nothing to train: the model has seen every partition of its lake{but}"


class PlanReport(BaseModel):
    """What a run would train."""

    model: str
    version: int
    partitions: int
    rows: int
    bytes: int
    """Size of the files."""
    created: bool
    """Whether the model directory was created by this call."""
    warnings: list[str]


def finite(value: float) -> float | None:
    """The value as JSON can have it: None if it is not finite."""
    return value if value == value and abs(value) != float("inf") else None


def finite_values(metrics: Metrics) -> dict[str, float | None]:
    """Metrics as the log keeps them."""
    return {name: finite(value) for name, value in metrics.values().items()}
