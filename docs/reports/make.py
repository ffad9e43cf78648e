"""Make the example pages of this folder: python docs/reports/make.py [NAME ...]

Each trains a small model night by night in a temporary folder, as a schedule would. `cover` needs
the folder with real data that ONEPASS_REAL_DATA names.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onepass import tag, train, write_report

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parents[1] / "data_samples"


def deliveries(work: Path) -> Path:
    """Minutes of the sample deliveries: a regression on which nothing stands out."""
    days = sorted((SAMPLES / "deliveries").iterdir())
    job = {"label": "minutes", "exclude": ["late"], "holdout": str(SAMPLES / "deliveries_holdout")}
    return nightly(work, days, job, first=12, at_once=4)


def late(work: Path) -> Path:
    """Late deliveries with trouble: a day of mixed up labels, and files that cannot be read."""
    days = sorted((SAMPLES / "deliveries").iterdir())
    lake = work / "spoilt"
    for day in days:
        shutil.copytree(day, lake / day.name)
    file = next((lake / "date=2026-03-28").glob("*.parquet"))
    table = pq.read_table(file, partitioning=None)
    labels = table.column("late").to_numpy(zero_copy_only=False)
    mixed = pa.array(np.random.default_rng(0).random(len(labels)) < 1 - labels.mean())
    place = table.column_names.index("late")
    pq.write_table(table.set_column(place, "late", mixed), file)
    for day in ("date=2026-03-19", "date=2026-03-24"):
        cut = next((lake / day).glob("*.parquet"))
        cut.write_bytes(cut.read_bytes()[:-2000])
    job = {"label": "late", "exclude": ["minutes"], "on_bad": "skip"}
    job["holdout"] = str(SAMPLES / "deliveries_holdout")
    model = nightly(work, sorted(lake.iterdir()), job, first=12, at_once=2)
    tag(model, "production", reason="the example")
    return model


def cover(work: Path) -> Path:
    """Kinds of forest: seven classes, whose mix changes along the file."""
    table = pq.read_table(Path(os.environ["ONEPASS_REAL_DATA"]) / "covtype_20k")
    parts = work / "parts"
    size = 500
    for i in range(table.num_rows // size):
        folder = parts / f"block={i:02d}"
        folder.mkdir(parents=True)
        part = table.slice(i * size, size)
        pq.write_table(part, folder / "part-0.parquet")
    days = sorted(parts.iterdir())
    holdout = work / "lakes" / "forest_holdout"
    for day in days[3::8]:
        shutil.copytree(day, holdout / day.name)
    rest = [day for day in days if day not in days[3::8]]
    job = {"label": "cover_type", "loss": "softmax", "exclude": ["block"], "holdout": str(holdout)}
    return nightly(work, rest, job, first=10, at_once=5)


def nightly(
    work: Path, days: list[Path], job: dict[str, object], *, first: int, at_once: int
) -> Path:
    """Train a model on the first days, and then on some more each night."""
    lake, model = work / "lakes" / "nightly", work / "models" / work.name
    starts = [0, *range(first, len(days), at_once), len(days)]
    for start, end in pairwise(starts):
        for day in days[start:end]:
            shutil.copytree(day, lake / day.name)
        train({"lake": str(lake), "model": str(model), "order": "stored", "parallel": 1, **job})
    return model


PAGES: dict[str, Callable[[Path], Path]] = {"deliveries": deliveries, "late": late, "cover": cover}


def main(names: list[str]) -> None:
    """Make the pages of these names, or all of them."""
    for name in names or PAGES:
        if name == "cover" and not os.environ.get("ONEPASS_REAL_DATA"):
            print("cover: left as it is, because ONEPASS_REAL_DATA names no folder")
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = write_report(PAGES[name](Path(folder) / name), HERE / f"{name}.html")
        print(
            f"{name}: {found.bytes:,} bytes; to look at: {', '.join(found.to_look_at) or 'nothing'}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
