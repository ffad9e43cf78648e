"""The report of a run: the last rows are put together from the reports of its groups."""

from __future__ import annotations

from typing import Any

import pytest

from onepass.ledger.trained import LastTenth
from onepass.training.report import TrainReport
from prefect_onepass.artifacts import last_rows


def report(rows: int, loss: float, tenth: tuple[int, float] | None = None) -> TrainReport:
    last: Any = None
    if tenth is not None:
        last = LastTenth(rows=tenth[0], loss=tenth[1], metrics={"constant_loss": 2.0})
    return TrainReport(
        model="model",
        version=2,
        partitions=1,
        rows=rows,
        skipped=0,
        left_out=0,
        pending=0,
        loss=loss if rows else None,
        metrics={"constant_loss": 3.0} if rows else {},
        last_tenth=last,
        candidates=[],
        seconds=1.0,
        rows_per_second=float(rows),
        peak_rss_bytes=1,
        state_sha256=None,
    )


def test_last_groups_with_a_tenth_of_the_rows_are_the_last_rows():
    groups = [report(10_000, 9.0), report(800, 1.0), report(400, 4.0), report(0, 0.0)]
    assert last_rows(groups) == (1200, pytest.approx(2.0), pytest.approx(3.0))


def test_last_tenth_of_a_group_with_most_rows_is_the_last_rows():
    groups = [report(100, 9.0), report(10_000, 5.0, tenth=(1000, 0.5))]
    assert last_rows(groups) == (1000, 0.5, 2.0)


@pytest.mark.parametrize("groups", [[], [report(0, 0.0)], [report(300, 1.0)]])
def test_run_of_few_rows_has_no_last_rows(groups):
    assert last_rows(groups) is None
