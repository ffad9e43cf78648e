"""Points of figures: one for each entry, or the mean of several in a long history."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lakes import logged_partition
from onepass.ledger.bands import drifted
from onepass.ledger.entries import Header, StateRef, TrainEntry
from onepass.report.points import MOST_POINTS, course

STATE = StateRef(key="state/x.npz", size=1, sha256="0" * 64)


def entry(version: int, loss: float | None, rows: int = 100, **changed: Any) -> TrainEntry:
    time = f"2026-03-{1 + version // 100_000:02d}T00:00:00+00:00"
    header = Header(version=version, parent_sha256="0" * 64, attempt="0" * 32, time=time)
    fields: dict[str, Any] = {
        "partitions": [logged_partition(f"part-{version}", rows)],
        "rows": rows,
        "counts": {},
        "loss": loss,
        "metrics": {"constant_loss": 2.0},
        "seconds": 0.5,
        "peak_rss_bytes": 3_000_000,
        "environment": {},
        "state": STATE,
    }
    return TrainEntry(**dict(header), **fields | changed)


def history(n: int) -> list[TrainEntry]:
    losses = np.random.default_rng(0).normal(1.0, 0.02, n)
    return [entry(i, float(loss), 100 + i % 7) for i, loss in enumerate(losses, 1)]


def test_each_entry_of_a_short_history_is_a_point():
    found = course([entry(1, 1.0), entry(2, 1.5, seconds=0.0), entry(3, None)])
    assert (found.n_entries, found.per_point) == (3, 1)
    assert [point.relative for point in found.points] == [0.5, 0.75, None]
    assert [point.rows_per_second for point in found.points] == [200.0, None, 200.0]
    assert [point.name for point in found.points] == ["part-1", "part-2", "part-3"]
    assert found.points[0].memory == 3.0


def test_a_long_history_is_told_in_few_points_that_lose_no_row():
    entries = history(20_001)
    found = course(entries)
    assert len(found.points) <= MOST_POINTS
    assert found.per_point == 51
    assert sum(point.rows or 0 for point in found.points) == sum(one.rows for one in entries)
    first = entries[: found.per_point]
    mean = sum((one.loss or 0) * one.rows for one in first) / sum(one.rows for one in first)
    assert found.points[0].loss == pytest.approx(mean)
    assert found.points[-1].version == 20_001


def test_each_entry_that_drifts_stays_a_point_of_its_own():
    entries = history(2000)
    entries[1500] = entry(1501, 1.9)
    found = course(entries)
    assert "above" in [one.drift for one in found.drifted]
    assert [one.version for one in found.drifted] == [
        place for place, side in enumerate(drifted(entries), 1) if side
    ]
    assert found.n_above == drifted(entries).count("above")


@pytest.mark.parametrize("relative", [0.02, 1.5])
def test_the_line_of_the_constant_is_within_the_figure_however_good_the_model_is(relative):
    pytest.importorskip("altair")
    from onepass.report.figures import has_giants, loss_by_partition

    alike = course([entry(i, relative) for i in range(1, 20)])
    scales = json.dumps(loss_by_partition(alike))
    low, high = json.loads(scales.split('"domain": ')[1].split("]")[0] + "]")
    assert low < 1.0 < high
    assert not has_giants(alike)
    assert has_giants(course([entry(1, 90.0), *(entry(i, 0.02) for i in range(2, 20))]))


def test_numbers_that_no_figure_can_hold_are_left_out():
    found = course([entry(1, 1e308, rows=10**30), entry(2, 1.0, peak_rss_bytes=10**400)])
    assert found.points[0].loss is None or found.points[0].loss < 1.8e308
    assert found.points[1].memory is None
