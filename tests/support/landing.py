"""Files that land in a copy of the sample lake, and the uninterrupted run with which to compare."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import yaml

from lakes import ROOT, SAMPLES
from onepass import train
from onepass.ledger.entries import PlanEntry
from onepass.ledger.history import History
from onepass.model.directory import model_exists, open_model


@dataclass
class Landing:
    """A home for the deployments of `prefect.yaml`: the sample lake, into which more files land."""

    home: Path
    rows: int = 50_000
    """Rows of each file that lands."""
    landed: set[str] = field(default_factory=set, init=False)
    """Paths of the files that have landed."""

    def __post_init__(self) -> None:
        for name in ("deliveries", "deliveries_holdout"):
            shutil.copytree(SAMPLES / name, self.home / "data_samples" / name)
        one_day = SAMPLES / "deliveries" / "date=2026-03-02" / "part-0.parquet"
        files = ds.dataset(SAMPLES / "deliveries", schema=pq.read_schema(one_day))
        self._samples = files.to_table()

    @property
    def lake(self) -> Path:
        """The lake of the deployment."""
        return self.home / "data_samples" / "deliveries"

    @property
    def model(self) -> Path:
        """The model of the deployment."""
        return self.home / ".onepass" / "models" / "deliveries"

    def land(self, n_files: int) -> None:
        """Move complete files into the lake, one for each later day."""
        for _ in range(n_files):
            day = np.datetime64("2026-05-01") + len(self.landed)
            rng = np.random.default_rng(len(self.landed))
            taken = rng.integers(0, len(self._samples), self.rows)
            table: pa.Table = self._samples.take(pa.array(taken))
            made = self.home / "landing"
            made.mkdir()
            pq.write_table(table, made / "part-0.parquet")
            made.rename(self.lake / f"date={day}")
            self.landed.add(f"date={day}/part-0.parquet")

    def history(self) -> History | None:
        """What the model has learnt so far; None if there is no model."""
        if not model_exists(str(self.model)):
            return None
        return open_model(str(self.model)).ledger.history

    def n_entries(self) -> int:
        """Number of entries of the model's log, at a glance."""
        return sum(1 for _ in (self.model / "log").glob("*.json"))

    def trained(self) -> list[str]:
        """Paths of the files learnt so far, in the order of the log."""
        history = self.history()
        entries = history.trained() if history else []
        return [one.path for entry in entries for one in entry.partitions]

    def is_all_trained(self) -> bool:
        """Return whether the model has learnt what was there at first, and all that has landed."""
        history = self.history()
        if history is None or history.pending() or not history.trained():
            return False
        return self.landed <= set(self.trained())

    def uninterrupted(self, folder: Path) -> Path:
        """Train the plans of the model's log in their order, without a stop; returns the model."""
        job = self.job() | {"lake": str(folder / "lake"), "model": str(folder / "model")}
        del job["holdout"]
        for entry in open_model(str(self.model)).ledger.entries:
            if isinstance(entry, PlanEntry):
                for path in {one.path for one in entry.all_partitions()}:
                    (folder / "lake" / path).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(self.lake / path, folder / "lake" / path)
                train(job)
        return folder / "model"

    def job(self) -> dict[str, Any]:
        """The job in `prefect.yaml`."""
        with open(ROOT / "prefect.yaml") as stream:
            deployments = yaml.safe_load(stream)["deployments"]
        return dict(deployments[0]["parameters"]["job"])


def newest_state(model: Path) -> bytes:
    """Bytes of the newest state file of a model."""
    ledger = open_model(str(model)).ledger
    return (model / ledger.history.learnt()[-1].state.key).read_bytes()
