"""All that predicting takes of a trained model: the learner itself may be let go."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.block import FloatArray
from pipeline.directory import ModelFile
from pipeline.encode.encoder import Encoded
from pipeline.learn.learner import Learner
from pipeline.learn.unit import LabelUnit
from pipeline.ledger.entries import LearntEntry
from pipeline.linear import Linear


@dataclass(frozen=True, slots=True)
class Predictor:
    """A version of a model, as it was when this was made."""

    file: ModelFile
    entry: LearntEntry
    """The version."""
    linear: Linear
    unit: LabelUnit

    @classmethod
    def of(cls, file: ModelFile, entry: LearntEntry, learner: Learner) -> Predictor:
        """Take from a learner what it would predict with."""
        return cls(file, entry, learner.linear(), learner.unit())


def predicted(encoded: Encoded, unit: LabelUnit) -> FloatArray:
    """Predictions of rows that have been encoded as margins; see `LabelUnit.predictions`."""
    assert encoded.margins is not None
    return unit.predictions(encoded.margins)
