"""Does every command stay below its memory limit, on lakes of any shape?

    python benchmarks/memory.py --quick                        # a few small lakes
    python benchmarks/memory.py --folder DISK --limits 700MB,1GiB
    python benchmarks/memory.py --kinds dense,text --group-rows 250000 --groups 4 --files 32

Each lake is one file under many names. Each command is a process of its own, which reports its own
peak of resident memory at its end. `inspect` has no limit of its own: its bound is the default.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ByteSize, TypeAdapter

from lakes import clicks_table

LABEL = "label"
WIDTHS = {"dense": 30, "wide": 300, "wider": 1000}
COMMANDS = ("inspect", "train", "evaluate", "score", "refine", "verify")
DEFAULT_LIMIT = "1GiB"

_CODE = """
import sys
from onepass.cli import main
try:
    main(sys.argv[2:])
finally:
    from onepass.environment import peak_rss_bytes
    open(sys.argv[1], "w").write(str(peak_rss_bytes()))
"""


@dataclass(frozen=True)
class Shape:
    """What a lake is made of."""

    kind: str
    """dense, wide, wider: that many float32; clicks: 13 integers, 26 texts; text: long texts."""
    group_rows: int
    groups: int
    """Row groups of a file."""
    files: int

    @property
    def name(self) -> str:
        """Folder of the lake."""
        return f"{self.kind}-{self.group_rows}-{self.groups}-{self.files}"

    @property
    def rows(self) -> int:
        """Rows of the lake."""
        return self.group_rows * self.groups * self.files


GRID = [
    Shape("dense", 1_000, 128, 100),
    Shape("dense", 1_000, 1, 1000),
    Shape("dense", 60_000, 4, 100),
    Shape("dense", 250_000, 4, 32),
    Shape("dense", 1_000_000, 2, 8),
    Shape("dense", 4_000_000, 1, 2),
    Shape("wide", 1_000, 128, 8),
    Shape("wide", 60_000, 4, 8),
    Shape("wide", 1_000_000, 1, 2),
    Shape("wider", 1_000, 16, 16),
    Shape("wider", 100_000, 2, 2),
    Shape("clicks", 1_000, 128, 8),
    Shape("clicks", 100_000, 4, 32),
    Shape("clicks", 1_000_000, 2, 4),
    Shape("clicks", 4_000_000, 1, 1),
    Shape("text", 1_000, 128, 8),
    Shape("text", 50_000, 4, 16),
    Shape("text", 1_000_000, 1, 2),
]
QUICK = [
    Shape("dense", 1_000, 64, 8),
    Shape("dense", 250_000, 4, 8),
    Shape("wide", 60_000, 2, 2),
    Shape("clicks", 100_000, 2, 4),
    Shape("text", 50_000, 2, 4),
]


def make_lake(folder: Path, shape: Shape) -> Path:
    """Write one file and give it as many names as the lake has files."""
    found = folder / shape.name
    found.mkdir(parents=True)
    table = make_table(shape.kind, shape.group_rows)
    first = found / "part-00000.parquet"
    with pq.ParquetWriter(first, table.schema) as sink:
        for _ in range(shape.groups):
            sink.write_table(table, row_group_size=shape.group_rows)
    for number in range(1, shape.files):
        os.link(first, found / f"part-{number:05d}.parquet")
    return found


def make_table(kind: str, n_rows: int) -> pa.Table:
    """Return the rows of one row group."""
    rng = np.random.default_rng(0)
    if kind == "clicks":
        return clicks_table(n_rows, rng)
    return text_table(n_rows, rng) if kind == "text" else number_table(WIDTHS[kind], n_rows, rng)


def number_table(width: int, n_rows: int, rng: np.random.Generator) -> pa.Table:
    """Columns are views of one array, so that a wide lake is quickly made."""
    base = rng.standard_normal(n_rows + 1000 * width, np.float32)
    columns = {f"x{i}": base[1000 * i : 1000 * i + n_rows] for i in range(width)}
    return pa.table({LABEL: columns["x0"] - 2 * columns["x1"] + columns["x2"] ** 2, **columns})


def text_table(n_rows: int, rng: np.random.Generator) -> pa.Table:
    """Long texts, some of them distinct in each row, beside ids, lists and numbers."""
    base = rng.integers(97, 123, n_rows + 10_000, np.uint8)
    columns: dict[str, object] = {LABEL: rng.standard_normal(n_rows)}
    for i, length in enumerate((8, 40, 200, 1000)):
        # Texts overlap in their source, but no two are equal.
        windows = np.lib.stride_tricks.sliding_window_view(base[1000 * i :], length)[:n_rows]
        offsets = np.arange(0, length * n_rows + 1, length, dtype=np.int64)
        text = pa.LargeStringArray.from_buffers(
            n_rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(windows))
        )
        columns[f"text{length}"] = text
    levels = pa.array([f"{'level of some length ' * 8}{i}" for i in range(300)])
    columns["coded"] = levels.take(pa.array(rng.integers(0, 300, n_rows)))
    ends = np.arange(0, 4 * n_rows + 1, 4, dtype=np.int32)
    columns["list"] = pa.ListArray.from_arrays(ends, rng.integers(0, 9, 4 * n_rows))
    return pa.table(columns | {f"x{i}": rng.standard_normal(n_rows) for i in range(4)})


def run_command(command: str, lake: Path, folder: Path, limit: str) -> tuple[int, str]:
    """Run a command in a child; return the peak of its memory in bytes, and its error if any."""
    model, peak = str(folder / "model"), folder / "peak"
    arguments = {
        "inspect": [str(lake), "--label", LABEL],
        "train": [str(lake), "--label", LABEL, "--model", model, "--memory-limit", limit],
        "evaluate": [str(lake), "--model", model],
        "score": [str(lake), "--model", model, "--out", str(folder / "scores")],
        "refine": [model, "--passes", "2"],
        "verify": [model],
    }[command]
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(peak), command, *arguments],
        capture_output=True,
        text=True,
    )
    error = done.stderr.strip().splitlines()[-1] if done.returncode and done.stderr else ""
    return int(peak.read_text()), error


def measure(
    shapes: list[Shape], limits: list[str], commands: list[str], folder: Path
) -> Iterator[dict[str, object]]:
    """Yield the peaks of each command for each lake and limit."""
    for shape in shapes:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            lake = make_lake(Path(scratch), shape)
            for limit in limits:
                work = Path(scratch) / limit
                work.mkdir()
                for command in commands:
                    peak, error = run_command(command, lake, work, limit)
                    bound = DEFAULT_LIMIT if command == "inspect" else limit
                    yield {
                        "lake": shape.name,
                        "command": command,
                        "limit": int(TypeAdapter(ByteSize).validate_python(bound)),
                        "peak": peak,
                        "error": error,
                    }
                shutil.rmtree(work)


def _line(found: dict[str, object]) -> str:
    peak, limit = int(str(found["peak"])), int(str(found["limit"]))
    verdict = str(found["error"]) or ("" if peak <= limit else "ABOVE")
    return f"| {found['lake']} | {found['command']} | {limit >> 20} | {peak >> 20} | {verdict} |"


def _list(text: str) -> list[str]:
    return text.split(",")


def _shapes(given: argparse.Namespace) -> list[Shape]:
    if given.group_rows:
        sizes = [given.kinds or ["dense"], given.group_rows, given.groups, given.files]
        return [
            Shape(kind, int(rows), int(groups), int(files))
            for kind, rows, groups, files in itertools.product(*sizes)
        ]
    grid = QUICK if given.quick else GRID
    return [shape for shape in grid if not given.kinds or shape.kind in given.kinds]


def main() -> None:
    """Make the lakes one after another, run the commands, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few small lakes")
    parser.add_argument("--kinds", type=_list, help="dense,wide,wider,clicks,text")
    parser.add_argument("--group-rows", type=_list, help="rows of a row group; a grid of your own")
    parser.add_argument("--groups", type=_list, default=["1"], help="row groups of a file")
    parser.add_argument("--files", type=_list, default=["1"])
    parser.add_argument("--limits", type=_list, default=[DEFAULT_LIMIT])
    parser.add_argument("--commands", type=_list, default=list(COMMANDS))
    parser.add_argument("--folder", type=Path, help="where lakes and models are made")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(
        "| lake: kind-rows-groups-files | command | limit MiB | peak MiB | |\n|---|---|---|---|---|"
    )
    found = []
    for one in measure(_shapes(given), given.limits, given.commands, given.folder):
        print(_line(one), flush=True)
        found.append(one)
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
