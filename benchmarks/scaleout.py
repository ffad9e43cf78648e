"""How far does training scale out? Parts measured here, real runs, and a simulated curve.

    python benchmarks/scaleout.py                       # all, a few minutes
    python benchmarks/scaleout.py --parts parts.json    # from parts measured before, if there

Parts are measured in one process, real runs in clusters of 1, 2 and 3 processes, pinned to the
cores. `simulator.py` says how a round is simulated. It counts no failures, and no other use of
network or store.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curves import draw, print_curves, print_levers, print_parts, print_points
from parts import Kind, algebra, measured
from points import Point, points, sending
from simulator import Costs
from speed import installed

from lakes import Shape

PACKAGES = ("numpy", "numba", "pyarrow", "dask", "distributed")


def kinds(rows_dense: int, rows_clicks: int) -> list[Kind]:
    """The models to measure; rows are those of a partition."""
    clicks = Shape("clicks", 64 * rows_clicks, rows_clicks, rows_clicks)
    newton = {"solver": "newton"}
    dense = Shape("dense", 64 * rows_dense, rows_dense, rows_dense)
    wider = Shape("wider", rows_dense // 2, rows_dense // 8, rows_dense // 8)
    return [
        Kind("30 numbers", dense, newton, 4, 16),
        Kind("500 numbers", wider, newton, 1, 8),
        Kind("clicks, 2^18", clicks, newton | {"hash_bits": 18}, 8, 16, (1, 4, 16)),
        Kind("clicks, 2^22", clicks, newton | {"hash_bits": 22}, 8, 16, (1, 4, 16)),
    ]


def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Measure all parts and points; the result can be written as JSON."""
    chosen = kinds(given.rows_dense, given.rows_clicks)
    if given.only:
        chosen = [one for one in chosen if one.name in given.only.split(";")]
    sent = sending()
    kept: dict[str, Any] = {"sending": sent, "costs": {}, "figures": {}, "points": {}}
    widths = [int(width) for width in given.widths.split(",") if width]
    kept["figures"]["algebra"] = {width: algebra(width) for width in widths}
    for kind in chosen:
        costs, figures = measured(folder, kind)
        costs = replace(costs, **call_costs(sent))
        kept["costs"][kind.name], kept["figures"][kind.name] = asdict(costs), figures
        if kind.name in given.points.split(";"):
            options = kind.options | {"parallel": "auto"}
            found = points(folder, kind.shape, options, repeats=given.repeats)
            kept["points"][kind.name] = [asdict(point) for point in found]
        print(f"measured {kind.name}", file=sys.stderr)
    return kept


def call_costs(sent: dict[str, float]) -> dict[str, float]:
    """What calls add to the costs of a model."""
    return {
        "call_seconds": max(sent["driver_call_seconds"], sent["scheduler_call_seconds"]),
        "gap_seconds": sent["gap_seconds"],
        "round_seconds": sent["round_seconds"],
        # From the driver to the scheduler, and from there to two workers.
        "hop_byte_seconds": 1 / (3 * sent["scatter_rate"]),
        "receive_byte_seconds": 1 / sent["gather_rate"],
    }


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows-dense", type=int, default=1 << 18, help="of a partition of numbers")
    parser.add_argument("--rows-clicks", type=int, default=1 << 17, help="of a partition of clicks")
    parser.add_argument("--widths", default="30,100,300,512")
    parser.add_argument("--only", help="kinds of models, parted by ';'")
    parser.add_argument("--points", default="30 numbers;clicks, 2^22", help="kinds to run really")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", type=Path, help="file of JSON: read if it exists, else written")
    parser.add_argument("--plot", type=Path, help="picture of the curves")
    parser.add_argument("--folder", type=Path, default=Path(".onepass/bench"))
    return parser.parse_args()


def main() -> None:
    """Measure, simulate and print."""
    given = parsed()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC).isoformat(timespec="minutes")
    print(f"{when}, {os.cpu_count()} cores, {platform.machine()}, Python {sys.version.split()[0]}")
    print(", ".join(installed(name) for name in PACKAGES))
    if given.parts and given.parts.exists():
        kept = json.loads(given.parts.read_text())
    else:
        kept = measure(folder, given)
        if given.parts:
            given.parts.write_text(json.dumps(kept, indent=1))
    costs = [Costs(**one) for one in kept["costs"].values()]
    print_parts(costs, kept["figures"], kept["sending"])
    real = {name: [Point(**one) for one in found] for name, found in kept["points"].items()}
    for kind in kinds(given.rows_dense, given.rows_clicks):
        if kind.name in real:
            (own,) = (one for one in costs if one.name == kind.name)
            print_points(kind.shape, own, real[kind.name])
    print_curves(costs)
    print_levers(costs)
    if given.plot:
        draw(given.plot, costs, real)


if __name__ == "__main__":
    main()
