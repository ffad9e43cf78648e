"""Train one model for each of several labels, in one pass over their lake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from onepass.actions.trained import Trained, TrainOutcome
from onepass.errors import OnepassError, VersionRefused, first_line
from onepass.text import shown
from onepass.training.progress import Progress
from onepass.training.several import open_several


class LabelOutcome(TrainOutcome):
    """Outcome of training the model of one label."""

    label: str
    """Column that the model predicts."""


class LabelsOutcome(BaseModel):
    """Outcome of training the models of several labels."""

    model: str
    """Directory of all models."""
    models: list[LabelOutcome]
    """Outcome of each model, in the order of the labels."""

    def __getitem__(self, label: str) -> LabelOutcome:
        return {one.label: one for one in self.models}[label]


def train_several(given: Mapping[str, Any], progress: Progress | None) -> LabelsOutcome:
    """Train the models of several labels; see `onepass.train`.

    Raises
    ------
    OnepassError
        The error of the first label whose model has stopped. The others have been trained.
    VersionRefused
        If the newest version of a model is refused; it holds the outcome of all.
    """
    progress = progress or Progress()
    with open_several(given, progress) as several:
        several.train()
        failed, trained = several.failed(), {}
        for label, session in zip(several.labels, several.sessions, strict=True):
            if label not in failed:
                trained[label] = Trained.of(session, session.report())
                session.run.forget()
        root = several.root
    refusals, outcomes = [], []
    for label, one in trained.items():
        try:
            outcome = one.finish(progress.of_label(label))
        except VersionRefused as refused:
            refusals.append(refused)
            outcome = one.outcome
        outcomes.append(LabelOutcome(label=label, **dict(outcome)))
    if failed:
        for done in outcomes:
            rows = f"trained {done.rows:,} rows" if done.partitions else "nothing to train"
            progress.of_label(done.label).told(f"{rows}, version {done.version}")
        raise _stopped(failed, progress)
    found = LabelsOutcome(model=root, models=outcomes)
    if refusals:
        refusals[0].outcome = found
        raise refusals[0]
    return found


def _stopped(failed: Mapping[str, OnepassError], progress: Progress) -> OnepassError:
    """Return the error to raise, and note which models it has stopped and which others did."""
    first = next(iter(failed.values()))
    same = [label for label, error in failed.items() if first_line(error) == first_line(first)]
    progress.noted(
        f"training has stopped for {', '.join(map(shown, same))}; models of other labels are "
        "trained as far as they can be"
    )
    for label, error in failed.items():
        if label not in same:
            progress.of_label(label).noted(f"stopped: {first_line(error)}")
    return first
