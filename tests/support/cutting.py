"""Take a model back to an earlier version, as if the run had been killed right after it."""

from __future__ import annotations

import shutil
from pathlib import Path

from onepass.model.directory import open_model


def trained_versions(model: Path) -> list[int]:
    """Return the versions that hold a state, oldest first."""
    return [entry.version for entry in open_model(model).ledger.history.trained()]


def cut(model: Path, version: int) -> None:
    """Take a model back to a version, as if the run had been killed right after it."""
    for path in (*(model / "log").iterdir(), *(model / "state").iterdir()):
        if int(path.stem.partition("-")[0]) > version:
            path.unlink()
    shutil.rmtree(model / "tags", ignore_errors=True)
