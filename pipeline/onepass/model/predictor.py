"""The part of a model that predictions need, without its learner."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.block import FloatArray, Linear
from onepass.encode.encoder import Encoded, Encoder
from onepass.learn.learner import Learner
from onepass.learn.unit import LabelUnit
from onepass.ledger.entries import LearntEntry
from onepass.model.file import ModelFile
from onepass.model.memory import whole_bytes
from onepass.stream.reading import Reading


@dataclass(frozen=True, slots=True)
class Predictor:
    """One version of a model, frozen: learning on does not change it."""

    file: ModelFile
    entry: LearntEntry
    """Log entry of the version."""
    linear: Linear
    unit: LabelUnit

    @classmethod
    def of(cls, file: ModelFile, entry: LearntEntry, learner: Learner) -> Predictor:
        """Copy from a learner the weights that it predicts with."""
        return cls(file, entry, learner.linear(), learner.unit())

    def reading(self, *, label: bool, keep: tuple[str, ...] = ()) -> Reading:
        """Return how rows are read for predictions: in stored order, straight into margins."""
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
    """Turn the margins of encoded rows into predictions; see `LabelUnit.predictions`."""
    assert encoded.margins is not None
    return unit.predictions(encoded.margins)
