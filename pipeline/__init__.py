"""onepass: linear models over Parquet lakes larger than memory, in one streaming pass.

>>> from pipeline import Job, train
>>> report = train(Job(lake="data", label="delay", model="models/delay"))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.evaluation import EvaluateReport, evaluate
    from pipeline.job import Job
    from pipeline.model import Model
    from pipeline.refining import RefineReport, refine
    from pipeline.reports import PlanReport, TrainReport
    from pipeline.rewinding import RewindReport, rewind
    from pipeline.scoring import ScoreReport, score
    from pipeline.training import plan, train, train_pending
    from pipeline.verifying import VerifyReport, verify

_HOME = {
    "EvaluateReport": "evaluation",
    "Job": "job",
    "Model": "model",
    "PlanReport": "reports",
    "RefineReport": "refining",
    "RewindReport": "rewinding",
    "ScoreReport": "scoring",
    "TrainReport": "reports",
    "VerifyReport": "verifying",
    "evaluate": "evaluation",
    "plan": "training",
    "refine": "refining",
    "rewind": "rewinding",
    "score": "scoring",
    "train": "training",
    "train_pending": "training",
    "verify": "verifying",
}

__all__ = [
    "EvaluateReport",
    "Job",
    "Model",
    "PlanReport",
    "RefineReport",
    "RewindReport",
    "ScoreReport",
    "TrainReport",
    "VerifyReport",
    "evaluate",
    "plan",
    "refine",
    "rewind",
    "score",
    "train",
    "train_pending",
    "verify",
]


def __getattr__(name: str) -> object:
    # Loaded at first use: numba and pyarrow would cost `onepass --help` half a second. No module
    # bears the name of a function here, or importing it would hide the function.
    if name in _HOME:
        return getattr(import_module(f"pipeline.{_HOME[name]}"), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
