"""How fast is training, beside what reading alone takes, and beside what people use today?

    python benchmarks/speed.py                      # everything, a quarter of an hour
    python benchmarks/speed.py --lakes dense --only scan,sgd,newton --repeats 5

Each contender is a process of its own, run in turn with all others, round by round; the median is
told. The limit is pyarrow alone, decoding the same columns with all cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from lakes import LABEL, Shape, lake

HERE = Path(__file__).parent
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
PACKAGES = ("numpy", "numba", "pyarrow", "dask", "scikit-learn", "pyspark", "vowpalwabbit")
PACKAGES += ("river", "dask-ml")
LIMITS = ("scan, slices", "scan, row groups", "scan, threads")
PEERS = ("vw text", "vw cache", "sklearn", "dask-ml", "river", "spark")
TARGETS = {
    "dense": {"sgd": 0.6, "adagrad": 0.6, "nag": 0.6, "sgd, 16 rows": 0.8, "newton, parallel": 0.5},
    "clicks": {"sgd": 0.6, "adagrad": 0.6, "nag": 0.6, "sgd, 16 rows": 0.8},
}
"""Least ratio to the limit."""
OVER_VW = {"dense": (15, 8), "clicks": (20, 10)}
"""Least ratios to Vowpal Wabbit from text and from its cache."""
PEAK = {"dense": 400e6, "clicks": 600e6}


@dataclass
class Contender:
    """Something that goes over a lake."""

    name: str
    kind: str
    """In `contenders.py`."""
    options: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None
    """Rows that it is given where all would take too long."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""

    @property
    def speed(self) -> float:
        """Rows a second; the median of the runs."""
        return median(run["rows"] / run["seconds"] for run in self.runs) if self.runs else 0.0

    def middle(self, key: str) -> float:
        """Median of one of the figures."""
        return median(run[key] for run in self.runs)


def contenders(kind: str, peer_rows: int) -> list[Contender]:
    """All that run on a kind of lake."""
    found = [
        Contender(LIMITS[0], "scan", {"way": "slices"}),
        Contender(LIMITS[1], "scan", {"way": "groups"}),
        Contender(LIMITS[2], "scan", {"way": "threads"}),
        *(Contender(rule, "onepass", {"solver": rule}) for rule in ("sgd", "adagrad", "nag")),
        Contender("sgd, 16 rows", "onepass", {"solver": "sgd", "minibatch": 16}),
        Contender("adagrad, 16 rows", "onepass", {"solver": "adagrad", "minibatch": 16}),
        Contender("newton", "onepass", {"solver": "newton", "parallel": 1}),
        Contender("newton, parallel", "onepass", {"solver": "newton", "parallel": "auto"}),
        Contender("evaluate", "evaluate"),
        Contender("score", "score"),
        Contender("vw text", "vw", {"source": "text"}, peer_rows),
        Contender("vw cache", "vw", {"source": "cache"}, peer_rows),
        Contender("sklearn", "sklearn", {}, peer_rows),
    ]
    if kind != "clicks":
        found += [
            Contender("dask-ml", "dask-ml", {}, peer_rows),
            Contender("river", "river", {}, min(peer_rows, 20_000)),
            # On the whole lake, as the peer that people scale out with.
            Contender("spark", "spark", {"model": "logistic"}),
            Contender("spark linear", "spark", {"model": "linear"}),
        ]
    return found


def run(contender: Contender, folder: Path, shape: Shape) -> None:
    """Run it once; what goes wrong is kept, and it is not run again."""
    if contender.failure:
        return
    if contender.rows is not None and contender.rows < shape.rows:
        shape = Shape(**{**asdict(shape), "rows": contender.rows})
    command = [
        *(sys.executable, str(HERE / "contenders.py"), contender.kind, str(folder)),
        *(json.dumps(asdict(shape)), json.dumps(contender.options)),
    ]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | QUIET)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        contender.failure = lines[-1][:160]
        return
    result = json.loads(done.stdout.splitlines()[-1])
    contender.runs.append(result | {"process_seconds": time.perf_counter() - began})


def measure(folder: Path, shape: Shape, chosen: list[Contender], repeats: int) -> None:
    """Warm up with a few rows, for code is compiled at its first use; then round by round."""
    lake(folder, shape)
    few = Shape(**{**asdict(shape), "rows": 20_000})
    for contender in chosen:
        run(contender, folder, few if contender.rows is None else shape)
        contender.runs.clear()
    for number in range(repeats):
        for contender in chosen:
            run(contender, folder, shape)
        print(f"{shape.kind}: round {number + 1} of {repeats}", file=sys.stderr)


def flow_seconds(folder: Path, shape: Shape) -> tuple[float, float]:
    """Seconds of training the lake through the Prefect flow and by the command, whole processes."""
    found, seconds = lake(folder, shape), []
    onepass = "from onepass.cli import main; main()"
    commands = (["-m", "prefect_onepass.train"], ["-c", onepass, "train"])
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for number, words in enumerate(commands):
            job = Path(scratch) / f"{number}.yaml"
            fields = {"lake": str(found), "label": LABEL, "model": f"{scratch}/model-{number}"}
            job.write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
            command = [sys.executable, *words, "--config", str(job)]
            home = {"PREFECT_HOME": f"{scratch}/prefect", "PREFECT_LOGGING_LEVEL": "WARNING"}
            began = time.perf_counter()
            subprocess.run(
                command, check=True, env=os.environ | QUIET | home, capture_output=True,
                cwd=HERE.parent,
            )  # fmt: skip
            seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1]


def limit_of(chosen: list[Contender]) -> float:
    """The fastest way to read."""
    return max((one.speed for one in chosen if one.name in LIMITS), default=0.0)


def print_table(shape: Shape, chosen: list[Contender]) -> None:
    """One row for each contender."""
    by_name = {one.name: one for one in chosen if one.runs}
    limit = limit_of(chosen)
    best = max((by_name[name].speed for name in PEERS if name in by_name), default=0.0)
    print(f"\n### {shape.name}\n")
    print("| | rows | M rows/s | of limit | x best peer | CPU s per M rows | peak MB | holdout |")
    print("|---|---|---|---|---|---|---|---|")
    for one in chosen:
        if not one.runs:
            print(f"| {one.name} | - | does not run: {one.failure} | | | | | |")
            continue
        rows = one.middle("rows")
        cells = [
            one.name,
            f"{rows:,.0f}",
            f"{one.speed / 1e6:.2f}",
            f"{one.speed / limit:.2f}" if limit else "-",
            f"{one.speed / best:.1f}" if best else "-",
            f"{one.middle('cpu_seconds') / rows * 1e6:.2f}",
            f"{one.middle('peak_bytes') / 1e6:.0f}",
            f"{one.middle('holdout_loss'):.5f}" if "holdout_loss" in one.runs[0] else "",
        ]
        print(f"| {' | '.join(cells)} |")


def print_targets(kind: str, chosen: list[Contender]) -> None:
    """Met or not met."""
    by_name, limit = {one.name: one for one in chosen if one.runs}, limit_of(chosen)
    print()
    for name, least in TARGETS.get(kind, {}).items():
        if name in by_name and limit:
            tell(f"{name} at {least} of the limit", by_name[name].speed / limit, least)
    rules = [by_name[name].speed for name in TARGETS.get(kind, {}) if name in by_name]
    for name, least in zip(("vw text", "vw cache"), OVER_VW.get(kind, ()), strict=False):
        if name in by_name and rules:
            tell(f"{least} x {name}", max(rules) / by_name[name].speed, least)
    peaks = [
        by_name[name].middle("peak_bytes") for name in TARGETS.get(kind, {}) if name in by_name
    ]
    if peaks:
        tell(f"peak below {PEAK[kind] / 1e6:.0f} MB", -max(peaks) / 1e6, -PEAK[kind] / 1e6)


def tell(target: str, found: float, least: float) -> None:
    """A line for a target."""
    print(f"- {target}: {abs(found):.2f}, {'met' if found >= least else 'not met'}")


def installed(name: str) -> str:
    """Version of a package."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lakes", default="dense,wide,clicks")
    parser.add_argument("--rows-dense", type=int, default=24 << 20)
    parser.add_argument("--rows-wide", type=int, default=2 << 20)
    parser.add_argument("--rows-clicks", type=int, default=8 << 20)
    parser.add_argument("--file-rows", type=int, help="rows of a file; 2 to 4 Mi by default")
    parser.add_argument("--row-group-rows", type=int, default=1 << 20)
    parser.add_argument("--compression", default="snappy", choices=("zstd", "snappy", "none"))
    parser.add_argument("--peer-rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", help="contenders, parted by ';'")
    parser.add_argument("--flow", action="store_true", help="train through the flow as well")
    parser.add_argument("--folder", type=Path, default=Path(".onepass/bench"))
    parser.add_argument("--json", type=Path, help="file for all single runs")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    given = parsed()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC).isoformat(timespec="minutes")
    print(f"{when}, {os.cpu_count()} cores, {platform.machine()}, Python {sys.version.split()[0]}")
    print(", ".join(installed(name) for name in PACKAGES))
    kept: dict[str, Any] = {}
    for kind in given.lakes.split(","):
        rows = getattr(given, f"rows_{kind}")
        file_rows = given.file_rows or {"dense": 2 << 20, "wide": 1 << 18, "clicks": 4 << 20}[kind]
        shape = Shape(kind, rows, file_rows, given.row_group_rows, given.compression)
        chosen = contenders(kind, given.peer_rows // (10 if kind == "wide" else 1))
        if given.only:
            names = {*given.only.split(";"), *LIMITS}
            chosen = [one for one in chosen if one.name in names]
        measure(folder, shape, chosen, given.repeats)
        print_table(shape, chosen)
        print_targets(kind, chosen)
        kept[shape.name] = {one.name: one.runs or one.failure for one in chosen}
        if given.flow:
            flow, command = flow_seconds(folder, shape)
            print(f"- through the flow {flow:.1f} s, by the command {command:.1f} s")
            kept[shape.name]["flow"] = {"flow_seconds": flow, "command_seconds": command}
    if given.json:
        given.json.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
