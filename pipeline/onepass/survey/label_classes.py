"""Decide the classes of a label: the classes in the job, or else those in the sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.classes import MAX_CLASSES, class_counts, class_text
from onepass.encode.schema import Label
from onepass.errors import JobError
from onepass.survey.naming import naming
from onepass.text import listed, visible


@dataclass(frozen=True, slots=True)
class SampledLabel:
    """Labels of the sample, with the classes that the job names."""

    name: str
    kind: Literal["number", "bool", "text"]
    values: pa.Array
    numbers: FloatArray
    """Labels without null and NaN; empty for a label of text."""
    classes: tuple[str, ...]
    """Classes that the job names; empty if it names none."""

    def counts(self) -> dict[str, int]:
        """Count the rows of each class, in the order of the classes."""
        return class_counts(self.values, self.kind)

    def number_classes(self) -> list[str] | None:
        """Return the classes 0 and 1, or -1 and 1, if the labels are these numbers; else None."""
        found = set(np.unique(self.numbers).tolist()) if self.kind == "number" else set()
        usual: tuple[tuple[float, float], ...] = ((0.0, 1.0), (-1.0, 1.0))
        return next(([f"{v:g}" for v in pair] for pair in usual if found == set(pair)), None)

    def shown(self, limit: int = 6) -> str:
        """Return the first distinct labels as text for a message."""
        if self.kind != "text":
            found = [f"{value:.12g}" for value in np.unique(self.numbers)]
        else:
            found = [repr(text) for text in self.counts()]
        return ", ".join(found[:limit]) + (", ..." if len(found) > limit else "")


@dataclass(frozen=True, slots=True)
class Described:
    """A label to freeze, with the facts about it in the sample."""

    label: Label
    counts: Mapping[str, int]
    """Rows of each class in the sample; empty for a regression."""
    warnings: list[str]
    """Messages to the user about choices that may be unintended."""


def describe_classes(sample: SampledLabel, loss: str) -> Described:
    """Describe the label of logistic, hinge or softmax loss.

    Raises
    ------
    JobError
        If the sample does not have the classes that the loss or the job asks for.
    """
    counts, kind = sample.counts(), sample.kind
    classes = _given_classes(sample, loss, counts)
    if not classes:
        classes = list(counts) if loss == "softmax" else _two_classes(sample, loss, counts)
    if len(classes) > MAX_CLASSES:
        raise JobError(
            f"the label {sample.name!r} has {len(classes):,} classes; softmax keeps weights for "
            f"each and takes at most {MAX_CLASSES:,}"
        )
    if len(classes) < 2:
        raise JobError(
            f"the label {sample.name!r} is {sample.shown()} in every sampled row, and {loss} loss "
            "needs two classes; name them with --classes if others will follow"
        )
    ordered = {text: counts.get(text, 0) for text in classes}
    fields = {"name": sample.name, "family": kind, "classes": classes, **_start(loss, ordered)}
    label = Label.model_validate(fields)
    return Described(label, ordered, _class_warnings(sample, loss, ordered))


def _start(loss: str, counts: Mapping[str, int]) -> dict[str, object]:
    """Return the margins at which a loss with probabilities predicts the shares of the sample."""
    # Half a row more of each class keeps the logarithm finite for a class that the sample lacks.
    logs = np.log(np.array(list(counts.values()), float) + 0.5)
    match loss:
        case "logistic":
            return {"base": float(logs[1] - logs[0])}
        case "softmax":
            return {"bases": (logs - logs.mean()).tolist()}
    return {}


def _given_classes(sample: SampledLabel, loss: str, counts: Mapping[str, int]) -> list[str]:
    if not sample.classes:
        return []
    try:
        classes = [class_text(text, sample.kind) for text in sample.classes]
    except ValueError as error:
        raise JobError(
            f"--classes does not suit the label {sample.name!r} of {sample.shown()}: {error}"
        ) from None
    if len(set(classes)) < len(classes):
        raise JobError(f"--classes names a class twice: {_named(list(sample.classes))}")
    if loss != "softmax" and len(classes) != 2:
        raise JobError(f"{loss} loss needs two --classes, the negative one first, not {classes}")
    if further := sorted(set(counts) - set(classes)):
        raise JobError(
            f"--classes names {_named(classes)}, but the label {sample.name!r} also has "
            f"{_named(further)}"
        )
    return classes


def _two_classes(sample: SampledLabel, loss: str, counts: Mapping[str, int]) -> list[str]:
    if sample.kind == "bool":
        return ["false", "true"]
    if sample.kind == "text":
        if len(counts) > 2:
            raise JobError(
                f"{loss} loss needs a label of two classes, but {sample.name!r} has "
                f"{len(counts):,}: {sample.shown()}; --loss softmax is for several"
            )
        return list(counts)
    if classes := sample.number_classes():
        return classes
    raise JobError(
        f"{loss} loss needs a label of 0 and 1 (or -1 and 1), but {sample.name!r} has "
        f"{sample.shown()}; name two others with --classes, the negative one first"
    )


def _class_warnings(sample: SampledLabel, loss: str, counts: Mapping[str, int]) -> list[str]:
    name, classes = sample.name, list(counts)
    if len(counts) - list(counts.values()).count(0) == 1:
        only = next(text for text, n in counts.items() if n)
        return [f"{name}: the label is {visible(only)} in every sampled row; nothing to learn"]
    if loss == "softmax":
        once = [text for text, n in counts.items() if n == 1]
        return [_warning_of_rare(name, once)] if once and not sample.classes else []
    if classes == ["-1", "1"]:
        return [f"{name}: labels are -1 and 1; -1 is taken as the negative class"]
    if sample.kind == "text" and not sample.classes:
        negative, positive = classes
        return [
            f"{name}: {positive!r} is taken as the positive class "
            f"({naming('classes', positive, negative)} for the other one)"
        ]
    return []


def _named(classes: list[str]) -> str:
    return listed([visible(text) for text in classes], 6)


def _warning_of_rare(name: str, once: list[str]) -> str:
    return (
        f"{name}: classes {_named(once)} are in one sampled row each, so there may be further "
        "ones, which would be refused; --classes names all"
    )
