"""Turn the job's class weights into one factor for each class, which the model freezes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from onepass.encode.schema import Label
from onepass.errors import JobError
from onepass.job import Job
from onepass.survey.label import LabelProfile
from onepass.survey.label_classes import CLASSIFICATION, listed_losses, margin_of_share, share_of
from onepass.text import listed, visible


def weighted_label(job: Job, found: LabelProfile) -> Label:
    """Return the label to freeze, with the weights of its classes and the margins they imply.

    Balanced weights are the inverse shares of the classes in the sample, with mean 1 over its rows,
    as in scikit-learn.

    Raises
    ------
    JobError
        If the loss has no classes, a name is no class, or a class that is to be balanced is not in
        the sample.
    """
    label = found.label
    if not job.class_weight:
        return label
    if label.classes is None:
        raise JobError(
            f"--class-weight belongs to {listed_losses(CLASSIFICATION)} loss, not to {found.loss}"
        )
    if job.class_weight == "balanced":
        weights = _balanced(label.classes, found.class_shares)
    else:
        weights = _named(label.classes, job.class_weight)
    return label.model_copy(update={"class_weights": weights} | _start(label, found.loss, weights))


def _balanced(classes: list[str], shares: Mapping[str, float]) -> list[float]:
    absent = [visible(name) for name in classes if not shares.get(name)]
    if absent:
        raise JobError(
            f"--class-weight balanced needs rows of each class, and the sample has none of "
            f"{listed(absent, 6)}; give weights, as --class-weight CLASS=WEIGHT,..."
        )
    return [1 / (len(classes) * shares[name]) for name in classes]


def _named(classes: list[str], given: Mapping[str, float]) -> list[float]:
    unknown = [visible(name) for name in given if name not in classes]
    if unknown:
        known = listed([visible(name) for name in classes], 6)
        raise JobError(
            f"--class-weight names {listed(unknown, 6)}, but the classes of the label are {known}"
        )
    return [given.get(name, 1.0) for name in classes]


def _start(label: Label, loss: str, weights: list[float]) -> dict[str, object]:
    """Return the margins at which a loss with probabilities predicts the weighted shares."""
    if label.bases is not None:
        bases = np.array(label.bases) + np.log(weights)
        return {"bases": (bases - bases.mean()).tolist()}
    if loss == "hinge":
        return {}
    if loss == "logistic":
        return {"base": label.base + math.log(weights[1] / weights[0])}
    share = share_of(loss, label.base)
    heavy = weights[1] * share
    return {"base": margin_of_share(loss, heavy / (heavy + weights[0] * (1 - share)))}
