"""onepass: linear models over Parquet lakes larger than memory, in one streaming pass.

>>> from onepass import Job, train
>>> report = train(Job(lake="data", label="delay", model="models/delay"))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onepass.actions.evaluate import EvaluateReport, evaluate
    from onepass.actions.refine import RefineReport, refine
    from onepass.actions.rewind import RewindReport, rewind
    from onepass.actions.score import ScoreReport, score
    from onepass.actions.verify import VerifyReport, verify
    from onepass.job import Job
    from onepass.model.model import Model
    from onepass.training.report import PlanReport, TrainReport
    from onepass.training.session import plan, train, train_pending

_HOME = {
    "EvaluateReport": "actions.evaluate",
    "Job": "job",
    "Model": "model.model",
    "PlanReport": "training.report",
    "RefineReport": "actions.refine",
    "RewindReport": "actions.rewind",
    "ScoreReport": "actions.score",
    "TrainReport": "training.report",
    "VerifyReport": "actions.verify",
    "evaluate": "actions.evaluate",
    "plan": "training.session",
    "refine": "actions.refine",
    "rewind": "actions.rewind",
    "score": "actions.score",
    "train": "training.session",
    "train_pending": "training.session",
    "verify": "actions.verify",
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
        return getattr(import_module(f"onepass.{_HOME[name]}"), name)
    raise AttributeError(f"module 'onepass' has no attribute {name!r}")
