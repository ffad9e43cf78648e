"""onepass: linear models over Parquet lakes larger than memory, in one streaming pass.

>>> from onepass import Job, train
>>> report = train(Job(lake="data", label="delay", model="models/delay"))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onepass.actions.compare import compare
    from onepass.actions.comparison import CompareReport
    from onepass.actions.evaluate import EvaluateReport, evaluate
    from onepass.actions.path import PathReport, choose_penalty, penalty_path
    from onepass.actions.refine import RefineReport, refine
    from onepass.actions.rewind import RewindReport, rewind
    from onepass.actions.score import ScoreReport, score
    from onepass.actions.tag import TagReport, tag
    from onepass.actions.train import plan, train, train_pending
    from onepass.actions.train_several import LabelsOutcome
    from onepass.actions.trained import TrainOutcome
    from onepass.actions.verify import verify
    from onepass.actions.verify_report import VerifyReport
    from onepass.job import Job
    from onepass.model.model import Model
    from onepass.report.write import PageReport, write_report
    from onepass.training.report import PlanReport, TrainReport

_HOME = {
    "CompareReport": "actions.comparison",
    "EvaluateReport": "actions.evaluate",
    "Job": "job",
    "LabelsOutcome": "actions.train_several",
    "Model": "model.model",
    "PageReport": "report.write",
    "PathReport": "actions.path",
    "PlanReport": "training.report",
    "RefineReport": "actions.refine",
    "RewindReport": "actions.rewind",
    "ScoreReport": "actions.score",
    "TagReport": "actions.tag",
    "TrainOutcome": "actions.trained",
    "TrainReport": "training.report",
    "VerifyReport": "actions.verify_report",
    "choose_penalty": "actions.path",
    "compare": "actions.compare",
    "evaluate": "actions.evaluate",
    "penalty_path": "actions.path",
    "plan": "actions.train",
    "refine": "actions.refine",
    "rewind": "actions.rewind",
    "score": "actions.score",
    "tag": "actions.tag",
    "train": "actions.train",
    "train_pending": "actions.train",
    "verify": "actions.verify",
    "write_report": "report.write",
}

__all__ = [
    "CompareReport",
    "EvaluateReport",
    "Job",
    "LabelsOutcome",
    "Model",
    "PageReport",
    "PathReport",
    "PlanReport",
    "RefineReport",
    "RewindReport",
    "ScoreReport",
    "TagReport",
    "TrainOutcome",
    "TrainReport",
    "VerifyReport",
    "choose_penalty",
    "compare",
    "evaluate",
    "penalty_path",
    "plan",
    "refine",
    "rewind",
    "score",
    "tag",
    "train",
    "train_pending",
    "verify",
    "write_report",
]


def __getattr__(name: str) -> object:
    # Names are loaded at first use: numba and pyarrow would cost `onepass --help` half a second. No
    # module `onepass.X` may have the name of a function X in `_HOME`: importing the module would
    # put it in the place of the function.
    if name in _HOME:
        return getattr(import_module(f"onepass.{_HOME[name]}"), name)
    raise AttributeError(f"module 'onepass' has no attribute {name!r}")
