"""Tables and a picture of `scaleout.py`: parts, real runs, simulated curves and levers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from parts import K
from points import Point
from simulator import Cluster, Costs, Lake, bounds, simulate

from lakes import Shape
from onepass.training.round_sizes import automatic

READING = 100e6
"""Bytes a second that one worker reads from an object store: an assumption."""
NETWORK = 10e9 / 8
WORKERS = (1, 2, 3, 10, 30, 100, 300, 1000)
CASES: list[tuple[float, float, int | None]] = [
    (1e12, 128e6, None),
    (1e12, 1e9, None),
    (1e15, 128e6, None),
    (1e15, 1e9, None),
    (1e15, 128e6, 1024),
    (1e15, 1e9, 1024),
]
"""Bytes of the lake and of a partition, and K; None for that of `--parallel auto`."""


def print_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table in Markdown."""
    head = list(head)
    print(f"\n| {' | '.join(head)} |")
    print("|---" * len(head) + "|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def _merges(found: dict[str, Any]) -> list[str]:
    """Milliseconds to add up and merge the differences of a round, by K."""
    return [f"{1e3 * (_at(found['fold'], k) + _at(found['merge'], k)):.2f}" for k in K]


def _at(found: dict[Any, float], k: int) -> float:
    # In a file of JSON the keys are texts.
    return found[k] if k in found else found[str(k)]


def print_parts(costs: list[Costs], figures: dict[str, Any], sent: dict[str, float]) -> None:
    """What one core takes for the parts."""
    merges = [f"add up and merge {k}, ms" for k in K]
    sizes = ["base KB", "difference KB", "make it, ms"]
    print_table(
        ["", "CPU ns a row", "more for a share, ms", *sizes, *merges, "commit ms", "spread"],
        (
            [
                one.name,
                f"{one.row_seconds * 1e9:.0f}",
                f"{one.share_seconds * 1e3:.2f}",
                f"{one.base_bytes / 1e3:,.0f}",
                " / ".join(f"{size / 1e3:,.0f}" for _, size in one.difference_bytes),
                f"{figures[one.name]['difference'] * 1e3:.2f}",
                *_merges(figures[one.name]),
                f"{one.commit_seconds * 1e3:.1f}",
                f"{one.spread:.2f}",
            ]
            for one in costs
        ),
    )
    print_table(
        ["width", "difference KB", "make it, ms", *merges],
        (
            [
                str(width),
                f"{found['bytes'] / 1e3:,.0f}",
                f"{found['difference'] * 1e3:.3f}",
                *_merges(found),
            ]
            for width, found in figures["algebra"].items()
        ),
    )
    print(f"\n- sending on loopback: {json.dumps({k: round(v, 6) for k, v in sent.items()})}")


def print_points(shape: Shape, costs: Costs, found: list[Point]) -> None:
    """Real runs beside simulated ones of the same lake, in rounds of `--parallel auto`."""
    lake = Lake(shape.rows // shape.file_rows, shape.file_rows)
    most = automatic(lake.groups, costs.rule)
    print(f"\n{costs.name}: {shape.name}, {shape.file_rows:,} rows a partition, K = {most}")
    # Processes of one machine copy bytes, which is measured, and share no network.
    played = {p.workers: simulate(costs, lake, Cluster(p.workers, math.inf), most) for p in found}
    ways = ["simulated s", "simulated, to 1 worker", "CPU s of workers", "CPU s of the driver"]
    print_table(
        ["workers", "seconds", "M rows/s", "to 1 worker", *ways],
        (
            [
                str(point.workers),
                f"{point.middle('seconds'):.2f}",
                f"{point.speed / 1e6:.2f}",
                f"{point.speed / found[0].speed:.2f}",
                f"{played[point.workers].seconds:.2f}",
                f"{played[point.workers].speed / played[found[0].workers].speed:.2f}",
                f"{point.middle('worker_cpu_seconds'):.2f}",
                f"{point.middle('cpu_seconds'):.2f}",
            ]
            for point in found
        ),
    )


def curve(costs: Costs, lake: Lake, most: int | None = None) -> list[float]:
    """Simulated rows a second for each number of workers."""
    return [simulate(costs, lake, Cluster(n, NETWORK, READING), most).speed for n in WORKERS]


def print_curves(costs: list[Costs]) -> None:
    """Speed-up by workers, for sizes of lake and partition, and what limits 1,000 workers."""
    print(f"\nreading {READING / 1e6:.0f} MB/s a worker, network {NETWORK * 8 / 1e9:.0f} Gbit/s")
    print_table(
        ["model, lake, partition, K", *(f"{n:,}" for n in WORKERS), "a round of 1,000 workers"],
        (_curve_row(one, *case) for one in costs for case in CASES),
    )


def _curve_row(costs: Costs, lake_bytes: float, group_bytes: float, most: int | None) -> list[str]:
    lake = Lake.of(lake_bytes, group_bytes, costs)
    found = curve(costs, lake, most)
    k = most or automatic(lake.groups, costs.rule)
    parts = bounds(costs, lake, Cluster(WORKERS[-1], NETWORK, READING), k)
    largest = sorted(parts.items(), key=lambda item: -item[1])[:2]
    return [
        f"{costs.name}, {size(lake_bytes)}, {size(group_bytes)}, {k:,}",
        *(f"{speed / found[0]:.1f}" for speed in found),
        ", ".join(f"{name} {seconds:.2f} s" for name, seconds in largest),
    ]


def print_levers(costs: list[Costs]) -> None:
    """What changes the time of 1 PB with 1,000 workers, in partitions of 128 MB."""
    wide = Cluster(1000, NETWORK, READING)
    levers: list[tuple[str, float, int, Cluster, dict[str, float]]] = [
        ("K 256", 128e6, 256, wide, {}),
        ("K 1,000", 128e6, 1000, wide, {}),
        ("K 1,000, 250 workers", 128e6, 1000, replace(wide, workers=250), {}),
        ("K 1,000, 1 Gbit/s", 128e6, 1000, replace(wide, network=NETWORK / 10), {}),
        ("K 1,000, 25 Gbit/s", 128e6, 1000, replace(wide, network=NETWORK * 2.5), {}),
        ("K 1,000, tree of merges", 128e6, 1000, replace(wide, tree=True), {}),
        ("K 1,000, partitions of 1 GB", 1e9, 1000, wide, {}),
        ("K 1,000, no stragglers", 128e6, 1000, wide, {"spread": 0.0}),
        ("K 1,000, spread of 0.25", 128e6, 1000, wide, {"spread": 0.25}),
        ("K 1,000, spread of 0.5", 128e6, 1000, wide, {"spread": 0.5}),
        ("K 1,000, no commits", 128e6, 1000, wide, {"commit_seconds": 0.0}),
        ("K 1,000, 400 MB/s from the store", 128e6, 1000, replace(wide, reading=4e8), {}),
    ]

    def cell(one: Costs, group_bytes: float, most: int, cluster: Cluster) -> str:
        played = simulate(one, Lake.of(1e15, group_bytes, one), cluster, most)
        return f"{played.seconds / 3600:.1f} h, {played.busy / played.seconds:.0f} busy"

    print_table(
        ["1 PB, 1,000 workers, 128 MB: hours, workers busy on average", *(c.name for c in costs)],
        (
            [name, *(cell(replace(one, **changed), group, most, where) for one in costs)]
            for name, group, most, where, changed in levers
        ),
    )


def size(n_bytes: float) -> str:
    """Such as 128 MB."""
    power = int(math.log10(n_bytes) // 3)
    return f"{n_bytes / 1e3**power:.0f} {['', 'k', 'M', 'G', 'T', 'P'][power]}B"


def draw(path: Path, costs: list[Costs], real: dict[str, list[Point]]) -> None:
    """Speed-up against workers, with the points that were really run."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(costs), figsize=(4 * len(costs), 4), sharey=True)
    for one, ax in zip(costs, axes, strict=True):
        for lake_bytes, group_bytes, most in CASES:
            found = curve(one, Lake.of(lake_bytes, group_bytes, one), most)
            label = f"{size(lake_bytes)} in {size(group_bytes)}, K {most or 'auto'}"
            ax.plot(WORKERS, [speed / found[0] for speed in found], label=label, linewidth=1)
        if run := real.get(one.name):
            at_ = [point.workers for point in run]
            ax.plot(at_, [p.speed / run[0].speed for p in run], "ko", label="really run")
        ax.plot(WORKERS, WORKERS, color="0.8", zorder=0)
        ax.set(title=one.name, xlabel="workers of one core", xscale="log", yscale="log")
    axes[0].set_ylabel("speed, to one worker")
    axes[-1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
