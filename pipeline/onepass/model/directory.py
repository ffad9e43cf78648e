"""Open a model directory: `model.json`, the ledger, the newest state that can be used."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onepass.environment import environment
from onepass.errors import ForeignModel, ModelNotFound
from onepass.ledger.entries import LearntEntry, digest
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import Store, open_store
from onepass.model.file import MAX_MODEL_BYTES, MODEL_KEY, ModelFile, parse_model_file
from onepass.model.labels import read_labels
from onepass.model.state import ModelState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model directory whose `model.json` and log have been read and verified."""

    file: ModelFile
    ledger: Ledger
    store: Store

    @property
    def path(self) -> str:
        """Path or URL of the model directory."""
        return self.store.place

    def state_of(self, entry: LearntEntry) -> ModelState:
        """Read the state of a version.

        Raises
        ------
        ForeignModel
            If the state is missing, damaged or of another model, or the learner is too large for
            `ModelFile.new_state`.
        """
        data = self.ledger.read_state(entry)
        state = self.file.new_state(len(data))
        state.restore(data, entry.state.key)
        return state

    def newest_usable(
        self, entries: Sequence[LearntEntry] | None = None
    ) -> tuple[LearntEntry | None, ModelState | None]:
        """Read the newest state that is sound; return (None, None) if none is.

        Parameters
        ----------
        entries
            Versions to choose from, oldest first; by default those that count.

        Raises
        ------
        ForeignModel
            If the learner is too large for `ModelFile.new_state`. Unsound states are skipped.
        """
        for entry, data in self.ledger.sound_states(entries):
            state = self.file.new_state(len(data))
            try:
                state.restore(data, entry.state.key)
            except ForeignModel as error:
                logger.warning("version %d cannot be used: %s", entry.version, error)
            else:
                return entry, state
        return None, None


def model_exists(path: str | Path | Store) -> bool:
    """Return whether there is a model at a path or URL, or in a store.

    Raises
    ------
    ForeignModel
        If there is a log without its model.
    """
    store = _store(path)
    if store.exists(MODEL_KEY):
        return True
    _refuse_log_without_model(store)
    return False


def open_model(path: str | Path | Store, *, strict: bool = True) -> OpenModel:
    """Read `model.json` and the log, and verify the chain.

    Parameters
    ----------
    path
        Model directory, as a path, a URL or a store.
    strict
        Whether a fault in the log is raised; see `Ledger`.

    Raises
    ------
    ModelNotFound
        If there is no model.
    ForeignModel
        If there is a log without its model, or either is damaged.
    """
    store = _store(path)
    try:
        data = store.get(MODEL_KEY, most_bytes=MAX_MODEL_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        _refuse_log_without_model(store)
        raise no_model(store) from None
    store.check_folders("log", "state", "tags", "evaluations")
    file = parse_model_file(data, store.place)
    ledger = Ledger(store, digest(data), most_bytes=file.max_state_bytes(), strict=strict)
    ledger.retention.keep_newest = ledger.retention.own = file.job.keep_states
    return OpenModel(file, ledger, store)


def no_model(store: Store) -> ModelNotFound:
    """Return the error of a command that needs a model and finds none in a store."""
    if (several := read_labels(store)) is not None:
        return ModelNotFound(f"{several.told(store.place)}; name one of them")
    return ModelNotFound(
        f"no model in {store.place!r}; create one with: "
        "onepass train LAKE --label COLUMN --model DIR"
    )


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


def _store(path: str | Path | Store) -> Store:
    return open_store(path) if isinstance(path, str | Path) else path


def _refuse_log_without_model(store: Store) -> None:
    if store.list("log"):
        raise ForeignModel(f"{store.place!r} has a log but no {MODEL_KEY}")
