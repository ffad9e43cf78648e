"""The results of a run of the train flow: those of each label's model, and which have stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onepass.errors import ModelConflict, OnepassError, VersionRefused
from prefect_onepass.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Stopped:
    """A model whose training an error has stopped."""

    label: str
    model: str
    """Its directory."""
    committed: int
    """Partitions that the run has committed before."""
    error: OnepassError

    def as_dict(self) -> dict[str, Any]:
        """Return what a result says of the model."""
        values = {"label": self.label, "model": self.model, "partitions": self.committed}
        return values | {"message": str(self.error)}


@dataclass(slots=True)
class RunOutcome:
    """The results of a run of one label or of several."""

    model: str
    """The directory that the run names: of the model, or of those of several labels."""
    model_id: str
    """Id of the model of the first label."""
    labels: Sequence[str]
    """All labels of the run, in their order."""
    models: Sequence[Outcome]
    """Results for the models that were trained to the end, in this order."""
    stopped: Sequence[Stopped] = field(default_factory=list)
    report: str | None = None
    """The markdown report of a run of several labels; None for a quiet run."""

    @property
    def is_of_several(self) -> bool:
        """Whether the run is of several labels."""
        return len(self.labels) > 1

    @property
    def is_quiet(self) -> bool:
        """Whether the run found nothing to train, and no file to leave out."""
        return not self.stopped and all(one.is_quiet for one in self.models)

    @property
    def errors(self) -> Mapping[str, Exception]:
        """Errors by label, the gravest first: what failed, versions refused, other writers."""
        found: dict[str, Exception] = {one.label: one.error for one in self.stopped}
        found |= {one.label: one.error for one in self.models if one.error is not None}
        conflicts = {one.label for one in self.conflicts}

        def rank(label: str) -> int:
            if label in conflicts:
                return 2
            return int(isinstance(found[label], VersionRefused))

        return {label: found[label] for label in sorted(found, key=rank)}

    @property
    def conflicts(self) -> list[Stopped]:
        """Models that were left to another writer, who has committed before this run."""
        return [one for one in self.stopped if isinstance(one.error, ModelConflict)]

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as plain values, as the flow returns it."""
        if not self.is_of_several:
            return self.models[0].as_dict()
        models = {one.label: one.as_dict() for one in self.models}
        models |= {one.label: one.as_dict() for one in self.stopped}
        return of_several(self.model, [models[label] for label in self.labels], self.report)


def of_several(
    model: str, models: Sequence[Mapping[str, Any]], report: str | None
) -> dict[str, Any]:
    """Return the result of a run of several labels, with a dict for each of them."""
    return {"model": model, "models": models, "report": report}
