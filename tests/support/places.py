"""Places where a model can be: a directory, or a prefix of an object store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onepass.ledger.store import LOCK_KEY, open_store
from onepass.model.directory import open_model


@dataclass(frozen=True)
class Place:
    """A folder of the local disk, or a bucket."""

    root: str
    put_lake: Callable[[Path], str]
    """Bring a lake from the local disk here; returns its path or URL."""
    is_local: bool

    def job(self, lake: Path, name: str = "model", **fields: Any) -> dict[str, Any]:
        """Return a job with lake and model here, by the name of the model."""
        there = {"lake": self.put_lake(lake), "model": f"{self.root}/models/{name}"}
        return {**there, "label": "y", **fields}


def model_keys(model: str | Path) -> list[str]:
    """Return the keys of the parts of a model: model.json, log and states."""
    store = open_store(model)
    whole = ["model.json"] if store.exists("model.json") else []
    return whole + store.list("log") + store.list("state")


def copy_model(source: str | Path, target: str | Path) -> None:
    """Copy a model, within one place or from one to another."""
    here, there = open_store(source), open_store(target)
    for key in model_keys(source):
        there.put(key, here.get(key))


def trained_paths(model: str | Path) -> list[str]:
    """Return the path of each partition that a model has trained, in order."""
    history = open_model(str(model)).ledger.history
    return [one.path for entry in history.trained() for one in entry.partitions]


def check_sound(model: str, lake: Path, state_sha256: str | None) -> None:
    """Check that each file was trained once, and that nothing is left but what counts.

    Parameters
    ----------
    lake
        The lake, on the local disk.
    state_sha256
        Digest that the newest state must have.
    """
    ledger = open_model(model).ledger
    newest = ledger.history.trained()[-3:]
    assert sorted(trained_paths(model)) == sorted(path.name for path in lake.iterdir())
    assert newest[-1].state.sha256 == state_sha256
    assert all(ledger.read_state(entry) for entry in newest)
    there = _all_keys(model)
    assert {key for key in there if key.startswith("state/")} == {e.state.key for e in newest}
    assert {key.split("/")[0] for key in there} - {LOCK_KEY} == {"model.json", "log", "state"}


def _all_keys(model: str) -> set[str]:
    """Return the keys of all files or objects of a model, of whatever name."""
    if Path(model).is_dir():
        files = (path for path in Path(model).rglob("*") if path.is_file())
        return {str(path.relative_to(model)) for path in files}
    from s3 import keys

    prefix = model.split("/", 3)[-1] + "/"
    return {key.split(prefix)[-1] for key in keys(model)}
