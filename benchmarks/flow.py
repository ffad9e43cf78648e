"""What a run of the train flow costs beyond the command, with a Prefect server up.

    prefect server start &
    PREFECT_API_URL=http://127.0.0.1:4200/api python benchmarks/flow.py

The runs take turns. A busy machine slows both, so the least of several times says most, and the
time of the processor, which other programs change less, is told beside it.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from lakes import LABEL, Shape, lake

COMMAND = ["-c", "from onepass.cli import main; main()", "train"]
FLOW = ["-m", "prefect_onepass.train"]


class Cost(NamedTuple):
    """Seconds of a process."""

    wall: float
    cpu: float


def measured(command: list[str]) -> Cost:
    """Run a command and return its cost."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu)


def least(costs: list[Cost]) -> Cost:
    """Return the least of each time."""
    return Cost(min(one.wall for one in costs), min(one.cpu for one in costs))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, default=Path(".onepass/bench"))
    given = parser.parse_args()
    if "PREFECT_API_URL" not in os.environ:
        parser.error("set PREFECT_API_URL to the address of a running server")
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    shape = Shape("dense", given.rows, max(1, given.rows // 8), 1 << 16)
    job = [str(lake(folder, shape)), "--label", LABEL, "--model"]
    costs: dict[tuple[str, str], list[Cost]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for repeat in range(given.repeats + 1):
            for kind, command in (("command", COMMAND), ("flow", FLOW)):
                model = f"{scratch}/{kind}"
                trained = measured([*command, *job, model])
                nothing = measured([*command, "--model", model])
                shutil.rmtree(model)
                # The first round compiles loops and fills caches.
                if repeat:
                    costs.setdefault(("trained", kind), []).append(trained)
                    costs.setdefault(("nothing new", kind), []).append(nothing)
    print("\n| run | command, s | flow, s | beyond, s | beyond, s of processor |")
    print("|---|---|---|---|---|")
    for run in ("trained", "nothing new"):
        command, flow = least(costs[run, "command"]), least(costs[run, "flow"])
        print(
            f"| {run} | {command.wall:.2f} | {flow.wall:.2f} | {flow.wall - command.wall:.2f} | "
            f"{flow.cpu - command.cpu:.2f} |"
        )


if __name__ == "__main__":
    main()
