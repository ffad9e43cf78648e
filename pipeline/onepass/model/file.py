"""Content of `model.json`: the decisions that are frozen when a model is created."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from onepass.encode.frequent import Frequent
from onepass.encode.schema import Schema
from onepass.environment import physical_bytes
from onepass.errors import ForeignModel
from onepass.job import Job
from onepass.lake.rotation import NOTHING_MORE, Counted
from onepass.learn.candidates import Candidates
from onepass.learn.heads import learner_bytes
from onepass.learn.learner import Learner
from onepass.learn.metrics import Metrics, make_metrics
from onepass.learn.metrics.beside import beside_offset
from onepass.learn.newton.saturated import Saturated
from onepass.learn.newton.slots_prior import SlotPrior
from onepass.learn.settings import Settings
from onepass.ledger.entries import FORMAT, first_fault
from onepass.model.settings import candidate_settings, first_overdispersion
from onepass.model.state import ModelState

MODEL_KEY = "model.json"

MAX_MODEL_BYTES = 64 << 20
"""Largest `model.json` that is read, in bytes; enough for the names of a million levels."""

_LEARNER_TO_STATE, _SLACK_BYTES = 64, 256 << 20
"""Bounds of the memory of a learner by the size of its state, and the other way round.

A learner takes a few times the memory of its state, far less than 64 times. The slack is for
the first rows that a learner keeps, and for the counts of frequent values.
"""


_OF_OLDER_MODELS = {"tails": "keep", "parallel": 1}
"""Values of the fields that jobs had not yet when a model was made."""


class ModelFile(BaseModel):
    """Content of `model.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    format: int
    """Version of the directory's format."""
    id: str
    """Random id of the model."""
    created: str
    """Time of creation, UTC, ISO 8601."""
    job: Job
    """The job, with every automatic choice resolved."""
    encoder: Schema
    """How rows become numbers."""
    batch_rows: int = Field(ge=1, le=1 << 16)
    """Upper bound of rows in a block; frozen because block edges decide the last bits."""
    spread_bytes: int | None = Field(default=0, ge=0)
    """See `onepass.lake.rotation.rounds`; models without this field read row groups in slices."""
    start: Literal["plain", "careful"] = "plain"
    """How a model of few rows learns and predicts.

    - plain: a block is predicted before any of its rows is learnt
    - careful: the first rows are predicted in growing pieces, each after those before it; the
      start-up prior of newton is on features in the units of the sample; predictions stay within
      the labels of the rows before; each group records the metrics of its last tenth
    """
    counted: Counted = NOTHING_MORE
    """Columns that only the models read which were created with this one, for other labels.

    They count where memory decides on the order of rows, so that all these models have the same
    blocks, and one reading serves them.
    """
    pass_over: Literal["rows", "columns"] = "rows"
    """Whether newton's pass over a settled block works row by row, or faster, column by column.

    Both compute the same up to rounding. Models without this field keep their order of operations.
    """
    slot_prior: SlotPrior = "believed"
    """How newton finds the prior of hashed weights.

    - believed: from the weights and their variances
    - widened: that prior times a factor, which the loss of rows before they are learnt decides on
    - bounded: so it is, and it grows by a bounded factor as the rows double
    """

    slot_margins: Literal["known", "uncertain"] = "known"
    """How the dense weights of newton learn beside the margins of hashed weights.

    - known: as if rows to come told nothing about the hashed weights
    - uncertain: at margins that expect the positives that rows to come will explain by hashed
      weights, for losses that predict probabilities
    """

    keeps: Literal["curvature", "likelihood", "ordered_likelihood"] = "curvature"
    """Whether newton keeps, beside the curvature of the rows, the sums of their likelihood.

    - curvature: no
    - likelihood: yes, but for ordinal loss
    - ordered_likelihood: yes, of a model of ordinal loss
    """

    weighted_slots: Literal["repeated", "once"] = "repeated"
    """How hashed weights of newton learn rows that are weighted by class.

    - repeated: as if a row came as often as its class weighs
    - once: a row is one row, and the weights of the classes move the margins
    """

    saturated: Saturated = "fitted"
    """How newton learns rows of classes that are nearly separable.

    - fitted: it remembers the curvature at their fitted margins, which is hardly any
    - expected: it remembers the mean curvature over what is not known of their margins
    - settled: so it does, and it meets the minimum of their blocks closely
    """

    taken: float = Field(default=1.0, gt=0, le=1)
    """Share of the rows of planned files that the job takes, as the survey has estimated it.

    The ledger plans rows as the files have them, and learners compare them with the rows learnt.
    """

    prior: dict[str, float] | None = None
    """Coefficients of the model that `Job.prior` names, by feature, in the units of their columns;
    None without one. The directory of that model is not needed any more."""

    @model_validator(mode="before")
    @classmethod
    def _older_models_go_on_as_they_began(cls, values: Any) -> Any:
        job = values.get("job") if isinstance(values, dict) else None
        if isinstance(job, dict):
            return values | {"job": _OF_OLDER_MODELS | job}
        return values

    def taken_rows(self, n_rows: int) -> int:
        """Return about how many of some planned rows the job takes."""
        return n_rows if self.taken == 1 else max(min(n_rows, 1), round(n_rows * self.taken))

    def learners_bytes(self) -> int:
        """Return the bytes to set aside for the learners of all candidates; see `learner_bytes`."""
        return sum(map(learner_bytes, self.settings()))

    def settings(self) -> list[Settings]:
        """Return the settings of each candidate."""
        return candidate_settings(
            self.job,
            self.encoder,
            careful=self.start == "careful",
            by_columns=self.pass_over == "columns",
            likelihood=self.keeps == _likelihood_of(self.job.loss),
            prior=self.prior,
            slot_prior=self.slot_prior,
            uncertain=self.slot_margins == "uncertain",
            repeats=self.weighted_slots == "repeated",
            saturated=self.saturated,
        )

    def max_state_bytes(self) -> int:
        """Return an upper bound of the size of a state file of this model."""
        return 2 * self.learners_bytes() + _SLACK_BYTES

    def new_state(self, state_bytes: int | None = None) -> ModelState:
        """Return the state of a model that has learnt nothing.

        Parameters
        ----------
        state_bytes
            Size of the state file that is to be restored, if there is one.

        Raises
        ------
        ForeignModel
            If the learners would take more memory than the machine has, or far more than a state of
            this size needs. A `model.json` of unknown origin can ask for any amount.
        """
        needed, most = self.learners_bytes(), physical_bytes()
        if state_bytes is not None:
            # Tables of clusters are bounded, and stay small in a state while clusters are few.
            fixed = self.job.model_copy(update={"cluster": None})
            tables = needed - self.model_copy(update={"job": fixed}).learners_bytes()
            most = min(most, _LEARNER_TO_STATE * state_bytes + _SLACK_BYTES + tables)
        if needed > most:
            raise ForeignModel(
                f"{MODEL_KEY} describes a learner that takes {needed:,} bytes of memory, but "
                f"{most:,} are the most that its state or this machine allows"
            )
        settings = self.settings()
        learner = Learner(settings[0]) if len(settings) == 1 else Candidates(settings)
        return ModelState(learner, Frequent(self.encoder.counted_names()))

    def metrics(self, of_version: float | None = None) -> Metrics:
        """Return an empty accumulator of the metrics of this model's loss.

        Parameters
        ----------
        of_version
            See `make_metrics`.
        """
        label, power = self.encoder.label, self.job.power[len(self.job.power) // 2]
        found = make_metrics(
            self.job.loss,
            label_center=label.center,
            delta=self.job.delta or 1.0,
            quantiles=tuple(self.job.quantile),
            classes=tuple(label.classes or ()),
            power=power,
            overdispersion=first_overdispersion(self.job, label),
            of_version=of_version,
        )
        return beside_offset(found, self.job.loss, power) if self.encoder.has_offset else found


def _likelihood_of(loss: str) -> str:
    return "ordered_likelihood" if loss == "ordinal" else "likelihood"


def parse_model_file(data: bytes, place: str) -> ModelFile:
    """Parse the content of `model.json`.

    Parameters
    ----------
    place
        Model directory, for messages.

    Raises
    ------
    ForeignModel
        If the content is damaged or of another format.
    """
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            shown = repr(found.get("format") if isinstance(found, dict) else found)
            raise ForeignModel(
                f"{place!r}: expected a model of format {FORMAT}, found {shown[:100]}"
            )
        return ModelFile.model_validate(found)
    except ValidationError as error:
        reason = first_fault(error)
    except (ValueError, RecursionError) as error:
        # The content is no JSON or no UTF-8, or has a number of thousands of digits or too many
        # nested brackets.
        reason = str(error)[:200]
    raise ForeignModel(f"{place!r}: {MODEL_KEY} is damaged: {reason}")
