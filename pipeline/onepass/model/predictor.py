"""All that predicting takes of a trained model: the learner itself may be let go."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.block import FloatArray, Linear
from onepass.encode.encoder import Encoded, Encoder
from onepass.learn.learner import Learner
from onepass.learn.unit import LabelUnit
from onepass.ledger.entries import LearntEntry
from onepass.model.directory import ModelFile
from onepass.model.memory import whole_bytes
from onepass.stream.stream import Reading


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

    def reading(self, *, label: bool, keep: tuple[str, ...] = ()) -> Reading:
        """How rows are read to be predicted: in stored order, as margins."""
        job, schema, batch_rows = self.file.job, self.file.encoder, self.file.batch_rows
        return Reading(
            Encoder(schema, drop_null_label=job.on_null_label == "drop"),
            batch_rows,
            label=label,
            keep=keep,
            whole_bytes=whole_bytes(job, schema, batch_rows),
            linear=self.linear,
        )


def predicted(encoded: Encoded, unit: LabelUnit) -> FloatArray:
    """Predictions of rows that have been encoded as margins; see `LabelUnit.predictions`."""
    assert encoded.margins is not None
    return unit.predictions(encoded.margins)
