"""The directory of the models of several labels: `labels.json`, beside a model directory for each.

The file is created once, before the models. Nothing of a model depends on it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from onepass.cloud.url import is_url
from onepass.errors import ForeignModel
from onepass.ledger.entries import first_fault
from onepass.ledger.store import Store
from onepass.text import listed, shown

LABELS_KEY = "labels.json"

MOST_LABELS = 1000
"""Largest number of labels of one directory."""

_FORMAT, _MOST_NAMED = 1, 8
_MAX_BYTES = 4 << 20
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_OWN_NAMES = {"log", "state", "tags", "evaluations", "model.json", LABELS_KEY, "looks.npz"}
"""Names that a model directory uses itself."""


class LabelModel(BaseModel):
    """The model of one label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(min_length=1)
    """Column that it predicts."""
    directory: str = Field(pattern=rf"^{_NAME}$")
    """Name of its model directory, within the directory of all."""


class LabelModels(BaseModel):
    """Content of `labels.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=_FORMAT, ge=_FORMAT, le=_FORMAT)
    models: list[LabelModel] = Field(min_length=2, max_length=MOST_LABELS)
    """The models, in the order in which the labels were given."""

    @property
    def labels(self) -> list[str]:
        """The labels, in their order."""
        return [one.label for one in self.models]

    def places(self, root: str) -> list[str]:
        """Return path or URL of each model directory."""
        return [place_of(root, one.directory) for one in self.models]

    def told(self, root: str) -> str:
        """Return what is in the directory, for messages."""
        pairs = zip(self.labels, self.places(root), strict=True)
        named = [f"{shown(label)}: {place}" for label, place in pairs]
        return f"{root!r} holds the models of several labels ({listed(named, _MOST_NAMED)})"


def place_of(root: str, name: str) -> str:
    """Return path or URL of a directory in another one."""
    return f"{root.rstrip('/')}/{name}" if is_url(root) else os.path.join(root, name)


def label_models(labels: Sequence[str]) -> LabelModels:
    """Return the models of labels, with names that are safe in paths and URLs.

    A label that is such a name is the name of its directory. In others, each stretch of other
    characters becomes ``_``, and a digest of the label keeps the names apart.

    Examples
    --------
    >>> [one.directory for one in label_models(["paid", "net amount"]).models]
    ['paid', 'net_amount-e294ef49']
    """
    # Some file systems do not tell upper case from lower case.
    lower = [label.lower() for label in labels]
    models = [
        LabelModel(label=label, directory=_directory(label, lower.count(label.lower()) == 1))
        for label in labels
    ]
    return LabelModels(models=models)


def _directory(label: str, is_alone: bool) -> str:
    if is_alone and re.fullmatch(_NAME, label) and label.lower() not in _OWN_NAMES:
        return label
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", label)[:60].strip("._-") or "label"
    return f"{plain}-{crc32(label.encode()):08x}"


def read_labels(store: Store) -> LabelModels | None:
    """Read `labels.json`; return None if there is none.

    Raises
    ------
    ForeignModel
        If it is damaged.
    """
    try:
        data = store.get(LABELS_KEY, most_bytes=_MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return LabelModels.model_validate_json(data)
    except ValidationError as error:
        reason = first_fault(error)
    raise ForeignModel(f"{store.place!r}: {LABELS_KEY} is damaged: {reason}")
