"""A model directory from the inside: the frozen job, the ledger, the newest state."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from onepass.encode.frequent import Frequent
from onepass.encode.schema import Schema
from onepass.environment import environment, physical_bytes
from onepass.errors import ForeignModel, ModelNotFound
from onepass.job import Job
from onepass.learn.candidates import Candidates
from onepass.learn.learner import Learner, learner_bytes
from onepass.learn.metrics import Metrics, make_metrics
from onepass.ledger.entries import FORMAT, LearntEntry, digest, first_fault
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import Store, open_store
from onepass.model.state import Trainee
from onepass.training.resolve import candidate_settings

MODEL_KEY = "model.json"

MAX_MODEL_BYTES = 64 << 20
"""Size of `model.json`: the names of a million levels."""

_LEARNER_TO_STATE, _SLACK_BYTES = 64, 256 << 20
"""Memory of a learner is a few times its state; the slack is for first rows and frequent values."""

logger = logging.getLogger(__name__)


class ModelFile(BaseModel):
    """Content of `model.json`: what is fixed when a model is created."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    format: int
    """Version of the directory's format."""
    id: str
    """Random id of the model."""
    created: str
    """When, UTC, ISO 8601."""
    job: Job
    """The job, with every automatic choice resolved."""
    encoder: Schema
    """How rows become numbers."""
    batch_rows: int = Field(ge=1, le=1 << 16)
    """Upper bound of rows in a block; fixed here because block edges decide the last bits."""

    def learners_bytes(self) -> int:
        """Memory that the learners hold at their fullest."""
        return sum(learner_bytes(one) for one in candidate_settings(self.job, self.encoder))

    def trainee(self, state_bytes: int | None = None) -> Trainee:
        """A fresh learner for this model, or several to choose from.

        Parameters
        ----------
        state_bytes
            Size of the state that is to be restored, if one is.

        Raises
        ------
        ForeignModel
            If it would take memory out of all proportion to the state, or to the machine: a few
            words in `model.json` can ask for any amount.
        """
        needed, most = self.learners_bytes(), physical_bytes()
        if state_bytes is not None:
            most = min(most, _LEARNER_TO_STATE * state_bytes + _SLACK_BYTES)
        if needed > most:
            raise ForeignModel(
                f"{MODEL_KEY} describes a learner that takes {needed:,} bytes of memory, but "
                f"{most:,} are the most that its state or this machine allows"
            )
        settings = candidate_settings(self.job, self.encoder)
        learner = Learner(settings[0]) if len(settings) == 1 else Candidates(settings)
        hashed = [column.name for column in self.encoder.columns if column.kind == "hashed"]
        return Trainee(learner, Frequent(hashed))

    def metrics(self) -> Metrics:
        """An empty accumulator of the metrics of this model's loss."""
        label = self.encoder.label
        return make_metrics(
            self.job.loss,
            label_center=label.center,
            delta=self.job.delta or 1.0,
            quantiles=tuple(self.job.quantile),
            classes=tuple(label.classes or ()),
        )


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model directory, read and verified."""

    file: ModelFile
    ledger: Ledger
    store: Store

    @property
    def path(self) -> str:
        """The model directory."""
        return self.store.place

    def restored(self, entry: LearntEntry) -> Trainee:
        """The learner as of a version.

        Raises
        ------
        ForeignModel
            If its state is missing, damaged, or none of this model; or as `ModelFile.trainee`.
        """
        state = self.ledger.read_state(entry)
        trainee = self.file.trainee(len(state))
        trainee.restore(state, entry.state.key)
        return trainee

    def newest_usable(
        self, entries: Sequence[LearntEntry] | None = None
    ) -> tuple[LearntEntry | None, Trainee | None]:
        """The newest version whose state can be used, with its learner; (None, None) if none can.

        Parameters
        ----------
        entries
            Versions to choose from, oldest first; those that count by default.

        Raises
        ------
        ForeignModel
            As `ModelFile.trainee`: that is no fault of a state.
        """
        for entry, state in self.ledger.sound_states(entries):
            trainee = self.file.trainee(len(state))
            try:
                trainee.restore(state, entry.state.key)
            except ForeignModel as error:
                logger.warning("version %d cannot be used: %s", entry.version, error)
            else:
                return entry, trainee
        return None, None

    def newest_during_training(self) -> tuple[LearntEntry | None, Trainee | None]:
        """As `newest_usable`, for a reader while another process trains.

        The writer removes the states of versions that it has left behind; where one is gone, the
        reader catches up with the log and takes the newest again.
        """
        while learnt := self.ledger.history.learnt():
            try:
                return learnt[-1], self.restored(learnt[-1])
            except ForeignModel:
                if not self.ledger.catch_up():
                    break
        return self.newest_usable()


def model_exists(path: str | Path) -> bool:
    """Whether there is a model directory at `path`."""
    return open_store(path).exists(MODEL_KEY)


def open_model(path: str | Path, *, strict: bool = True) -> OpenModel:
    """Read `model.json` and the log, and verify the chain.

    Parameters
    ----------
    strict
        Whether a fault in the log is raised; see `Ledger`.

    Raises
    ------
    ModelNotFound
        If there is no model.
    ForeignModel
        If there is a log without its model, or anything in either is unsound.
    """
    store = open_store(path)
    try:
        data = store.get(MODEL_KEY, most_bytes=MAX_MODEL_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        if store.list("log"):
            raise ForeignModel(f"{str(path)!r} has a log but no {MODEL_KEY}") from None
        raise ModelNotFound(
            f"no model in {str(path)!r}; create one with: "
            "onepass train LAKE --label COLUMN --model DIR"
        ) from None
    store.check_folders("log", "state")
    file = _parse(data, path)
    most = 2 * file.learners_bytes() + _SLACK_BYTES
    ledger = Ledger(store, digest(data), most_bytes=most, strict=strict)
    return OpenModel(file, ledger, store)


def warn_if_elsewhere(entry: LearntEntry | None) -> None:
    """Log a warning if a version was made with other libraries or on another kind of machine."""
    if entry is None:
        return
    changed = {
        name: (was, environment().get(name))
        for name, was in entry.environment.items()
        if environment().get(name) != was
    }
    if changed:
        text = ", ".join(f"{name} {was} -> {now}" for name, (was, now) in changed.items())
        logger.warning("the model was last trained elsewhere (%s); last bits may differ", text)


def _parse(data: bytes, path: str | Path) -> ModelFile:
    try:
        found = json.loads(data)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            shown = repr(found.get("format") if isinstance(found, dict) else found)
            raise ForeignModel(
                f"{str(path)!r}: expected a model of format {FORMAT}, found {shown[:100]}"
            )
        return ModelFile.model_validate(found)
    except ValidationError as error:
        reason = first_fault(error)
    except (ValueError, RecursionError) as error:
        # No JSON, no UTF-8, a number of thousands of digits, or thousands of brackets.
        reason = str(error)[:200]
    raise ForeignModel(f"{str(path)!r}: {MODEL_KEY} is damaged: {reason}")
