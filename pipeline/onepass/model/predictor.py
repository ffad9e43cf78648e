"""The part of a model that predictions need: its weights, without the state of a learner."""

from __future__ import annotations

from dataclasses import dataclass

from onepass.block import FloatArray, Linear
from onepass.encode.encoder import Encoded, Encoder
from onepass.learn.learner import Learner
from onepass.learn.unit import LabelUnit
from onepass.ledger.entries import LearntEntry
from onepass.model.file import ModelFile
from onepass.model.memory import partitions_at_once, whole_bytes
from onepass.stream.lake_groups import CheckedLake
from onepass.stream.readers import Readers
from onepass.stream.reading import Reading


@dataclass(frozen=True, slots=True)
class Predictor:
    """A copy of the weights of one version, which further learning does not change."""

    file: ModelFile
    entry: LearntEntry
    """Log entry of the version."""
    linear: Linear
    """Weights of all margins."""
    unit: LabelUnit
    """Map from margins to predictions."""

    @classmethod
    def of(cls, file: ModelFile, entry: LearntEntry, learner: Learner) -> Predictor:
        """Copy from a learner the weights that it predicts with."""
        return cls(file, entry, learner.linear(), learner.unit())

    def reading(
        self,
        *,
        label: bool,
        keep: tuple[str, ...] = (),
        selects: bool = False,
        features: bool = False,
    ) -> Reading:
        """Return settings that read rows in stored order and compute their margins.

        Parameters
        ----------
        label, keep
            See `Reading`.
        selects
            Whether to read only the rows that the model's job takes.
        features
            Whether to encode the features in place of the margins.
        """
        job, schema, batch_rows = self.file.job, self.file.encoder, self.file.batch_rows
        return Reading(
            Encoder(schema, drop_null_label=job.on_null_label == "drop"),
            batch_rows,
            label=label,
            keep=keep,
            whole_bytes=whole_bytes(job, schema, batch_rows),
            selection=job.selection if selects else None,
            linear=None if features else self.linear,
        )

    def readers(self, lake: CheckedLake, reading: Reading) -> Readers:
        """Return the readers of a lake, as many as the memory limit of the model's job allows."""
        n_at_once = partitions_at_once(
            self.file.job,
            self.file.encoder,
            self.file.batch_rows,
            [one.fingerprint for one in lake.files],
            is_remote=any(one.remote is not None for one in lake.found.values()),
        )
        return Readers(reading, lake.check, n_at_once)


def predicted(encoded: Encoded, unit: LabelUnit) -> FloatArray:
    """Return the predictions of rows encoded as margins; see `LabelUnit.predictions`."""
    assert encoded.margins is not None
    return unit.predictions(encoded.margins)
