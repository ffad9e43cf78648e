"""Make golden model directories: ``python tests/golden/make.py tests/golden/NAME``.

Run once when the format of model directories grows, and commit what it wrote; directories of
earlier formats are never made again, for they are what later versions must go on reading.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onepass import Model, refine, rewind, train

WORK = Path("/tmp/onepass-golden")
"""The path of the lake is part of a model, so it is the same wherever this runs."""

N_FILES = 4

MODELS: dict[str, dict[str, Any]] = {
    "newton-squared": {"label": "amount", "exclude": ["shop"]},
    "newton-hashed-logistic": {"label": "late", "categorical": ["shop"], "hash_bits": 5},
    "newton-quantiles": {
        "label": "amount",
        "loss": "quantile",
        "quantile": [0.1, 0.9],
        "exclude": ["shop"],
    },
    "sgd-candidates": {
        "label": "late",
        "solver": "sgd",
        "learning_rate": [0.01, 0.1],
        "hash_bits": 5,
    },
    "nag-softmax": {"label": "kind", "solver": "nag", "exclude": ["shop"]},
    "ftrl-epochs-interleaved": {
        "label": "late",
        "solver": "ftrl",
        "epochs": 2,
        "interleave": 2,
        "exclude": ["shop"],
    },
    "newton-refined": {"label": "late", "exclude": ["shop"]},
    "newton-rewound": {"label": "amount", "exclude": ["shop"]},
}


def table(seed: int, n_rows: int = 80) -> pa.Table:
    """Rows with numbers, a time, a text, an id and three labels."""
    rng = np.random.default_rng(seed)
    size, weight = rng.normal(size=n_rows), rng.normal(100.0, 20.0, n_rows)
    level, shop = rng.integers(0, 3, n_rows), rng.integers(0, 90, n_rows)
    z = size + 0.02 * (weight - 100) + 0.5 * level + 0.1 * (shop % 7)
    noise = rng.logistic(size=n_rows)
    return pa.table(
        {
            "size": pa.array(size, mask=rng.random(n_rows) < 0.1),
            "weight": weight.astype(np.float32),
            "day": pa.array(rng.integers(0, 60, n_rows) + 20_000, pa.int32()).cast(pa.date32()),
            "area": pa.array(np.array(["north", "east", "south"])[level]),
            "shop": pa.array([f"shop {i}" for i in shop]),
            "amount": z + 0.3 * noise,
            "late": z + noise > 0.8,
            "kind": pa.array(np.array(["a", "b", "c"])[np.digitize(z + noise, [0.0, 1.5])]),
        }
    )


def make(folder: Path) -> None:
    """Write a lake, models that learnt it, and what they predict for rows they have not seen."""
    shutil.rmtree(WORK, ignore_errors=True)
    lake = WORK / "lake"
    lake.mkdir(parents=True)
    for i in range(N_FILES):
        pq.write_table(table(i), lake / f"part-{i}.parquet", row_group_size=40)
    pq.write_table(table(99), WORK / "unseen.parquet")
    labels = {"amount", "late", "kind"}
    expected = {}
    for name, fields in MODELS.items():
        exclude = [*fields.get("exclude", []), *sorted(labels - {fields["label"]})]
        job = {"lake": str(lake), "model": str(WORK / "models" / name), **fields}
        train(job | {"exclude": exclude})
        if name.endswith("refined"):
            refine({"model": job["model"]}, n_passes=4)
        if name.endswith("rewound"):
            rewind(job["model"], 2, exclude=["part-1*"])
            train({"model": job["model"]})
        expected[name] = Model.load(job["model"]).predict(table(99)).tolist()
        (WORK / "models" / name / "writer.lock").unlink()
    (WORK / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    folder.mkdir(parents=True)
    for name in ("lake", "models", "unseen.parquet", "expected.json"):
        shutil.move(WORK / name, folder / name)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
