"""Decide the classes of a label: the classes in the job, or else those in the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.classes import (
    MAX_CLASSES,
    class_counts,
    class_text,
    counted_classes,
    sort_classes,
)
from onepass.encode.missing import MISSING_TEXTS, as_words
from onepass.encode.schema import OTHER, Label
from onepass.errors import JobError
from onepass.special import ndtr, ndtri
from onepass.survey.label_scan import ScannedLabel
from onepass.survey.naming import naming
from onepass.text import listed, visible

UnknownClass: TypeAlias = Literal["error", "drop", "other"]

SEVERAL = ("softmax", "ordinal")
"""Losses that take more than two classes."""

CLASSIFICATION = ("logistic", "probit", "cloglog", "hinge", *SEVERAL)
"""Losses whose labels are classes."""

MISSING_WORDS = frozenset(MISSING_TEXTS) - {"none", "nil"}
"""Words, in lower case, that stand for a missing label; "none" may well be a class."""


@dataclass(frozen=True)
class SampledLabel:
    """Labels of the sample, with the classes of the whole lake, or those that the job names."""

    name: str
    kind: Literal["number", "bool", "text"]
    values: pa.Array
    numbers: FloatArray
    """Labels without null and NaN; empty for a label of text."""
    classes: tuple[str, ...]
    """Classes that the job names; empty if it names none."""
    unknown: UnknownClass = "error"
    """Treatment of other classes."""
    scanned: ScannedLabel | None = None
    """Classes of the whole lake; None if it was not looked at."""
    missing: tuple[str, ...] = ()
    """Words for a missing value that the job names."""

    @property
    def blank_is_null(self) -> bool:
        """Whether an empty or blank text is a missing label: unless the job names it as a class."""
        return self.kind == "text" and all(text.strip() for text in self.classes)

    @property
    def missing_texts(self) -> tuple[str, ...]:
        """Words for a missing label: the usual ones if it is text, and the job's; no classes."""
        usual = sorted(MISSING_WORDS) if self.kind == "text" else ()
        classes = set(as_words(self.classes))
        return tuple(word for word in as_words([*usual, *self.missing]) if word not in classes)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows of each class, in the order of the classes."""
        scanned = self.scanned
        if scanned is not None and scanned.is_complete:
            return scanned.counts
        sampled = class_counts(
            self.values, self.kind, blank_is_null=self.blank_is_null, missing=self.missing_texts
        )
        if scanned is None or scanned.has_too_many:
            return sampled
        # The sample may come from files that were not looked at.
        found = sampled | scanned.counts
        return {text: found[text] for text in sort_classes(list(found), self.kind)}

    @property
    def number(self) -> str:
        """The number of classes in words."""
        if self.scanned is not None and self.scanned.has_too_many:
            return f"more than {MAX_CLASSES:,}"
        return f"{len(self.counts):,}"

    @property
    def where(self) -> str:
        """The rows that were looked at, in words."""
        return "sampled row" if self.scanned is None else "row"

    def number_classes(self) -> list[str] | None:
        """Return the classes 0 and 1, or -1 and 1, if the labels are these numbers; else None."""
        if self.kind != "number" or (self.scanned is not None and self.scanned.has_too_many):
            return None
        distinct = np.unique(self.numbers) if self.scanned is None else map(float, self.counts)
        found = set(distinct)
        usual: tuple[tuple[float, float], ...] = ((0.0, 1.0), (-1.0, 1.0))
        return next(([f"{v:g}" for v in pair] for pair in usual if found == set(pair)), None)

    def shown(self, limit: int = 6) -> str:
        """Return the first distinct labels as text for a message."""
        if self.scanned is not None or self.kind == "text":
            found = [repr(text) if self.kind == "text" else text for text in self.counts]
        else:
            found = [f"{value:.12g}" for value in np.unique(self.numbers)]
        return ", ".join(found[:limit]) + (", ..." if len(found) > limit else "")


@dataclass(frozen=True, slots=True)
class Described:
    """A label to freeze, with the facts about it in the sample."""

    label: Label
    counts: Mapping[str, int]
    """Rows of each class in the lake or the sample; empty for a regression."""
    warnings: list[str]
    """Messages to the user about choices that may be unintended."""


def listed_losses(names: Sequence[str]) -> str:
    """Return names of losses in words, such as ``a, b and c``."""
    return f"{', '.join(names[:-1])} and {names[-1]}"


def describe_classes(sample: SampledLabel, loss: str) -> Described:
    """Describe the label of a loss of classes.

    Raises
    ------
    JobError
        If the lake does not have the classes that the loss or the job asks for.
    """
    counts, kind = sample.counts, sample.kind
    classes = _given_classes(sample, loss, counts)
    if not classes:
        if loss == "ordinal":
            _check_order(sample)
        classes = list(counts) if loss in SEVERAL else _two_classes(sample, loss, counts)
        has_too_many = sample.scanned is not None and sample.scanned.has_too_many
        if has_too_many or len(classes) > MAX_CLASSES:
            raise JobError(
                f"the label {sample.name!r} has {sample.number} classes; {loss} keeps weights for "
                f"each and takes at most {MAX_CLASSES:,}; with --classes and --unknown-class drop "
                "it learns some of them"
            )
    if sample.unknown == "other":
        classes = _with_other(sample, loss, classes)
    if len(classes) < 2:
        raise JobError(
            f"the label {sample.name!r} is {sample.shown()} in every {sample.where}, and {loss} "
            "loss needs two classes; name them with --classes if others will follow"
        )
    ordered = {text: counts.get(text, 0) for text in classes}
    label = Label.model_validate(
        {"name": sample.name, "family": kind, "classes": classes}
        | {"unknown": sample.unknown, "blank_is_null": sample.blank_is_null}
        | {"missing_texts": list(sample.missing_texts)}
        | _start(loss, ordered)
    )
    return Described(label, ordered, _class_warnings(sample, loss, ordered))


def _start(loss: str, counts: Mapping[str, int]) -> dict[str, object]:
    """Return the margins at which a loss with probabilities predicts the shares of the sample."""
    # Half a row more of each class keeps the logarithm finite for a class that the sample lacks.
    logs = np.log(np.array(list(counts.values()), float) + 0.5)
    match loss:
        case "logistic":
            return {"base": float(logs[1] - logs[0])}
        case "probit" | "cloglog":
            return {"base": margin_of_share(loss, float(1 / (1 + np.exp(logs[0] - logs[1]))))}
        case "softmax" | "ordinal":
            return {"bases": (logs - logs.mean()).tolist()}
    return {}


def margin_of_share(loss: str, share: float) -> float:
    """Return the margin at which probit or cloglog loss predicts a share of positives."""
    return float(ndtri(share) if loss == "probit" else np.log(-np.log1p(-share)))


def share_of(loss: str, margin: float) -> float:
    """Return the probability that probit or cloglog loss predicts at a margin."""
    return float(ndtr(margin) if loss == "probit" else -np.expm1(-np.exp(margin)))


def _with_other(sample: SampledLabel, loss: str, classes: list[str]) -> list[str]:
    """Return the classes with the class that stands for all unknown ones."""
    if sample.kind != "text":
        raise JobError(
            f"--unknown-class other learns further classes as {OTHER!r}, which needs a label of "
            f"text, but {sample.name!r} is a label of {sample.kind}s; drop leaves such rows out"
        )
    if OTHER in classes:
        return classes
    if loss != "softmax":
        raise JobError(
            f"--unknown-class other learns further classes as {OTHER!r}, which is not among the "
            f"two classes of {loss} loss, {' and '.join(classes)}; take --loss softmax, or name "
            f"it: --classes {OTHER},{classes[-1]}"
        )
    return [*classes, OTHER] if sample.classes else sort_classes([*classes, OTHER], sample.kind)


def _check_order(sample: SampledLabel) -> None:
    """Refuse words whose order nobody knows.

    Raises
    ------
    JobError
        If the classes are texts.
    """
    if sample.kind == "text":
        raise JobError(
            f"ordinal loss needs the order of the classes of {sample.name!r}, which are texts "
            f"({sample.shown()}); name them with --classes, the lowest first"
        )


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
    if loss not in SEVERAL and len(classes) != 2:
        raise JobError(f"{loss} loss needs two --classes, the negative one first, not {classes}")
    further = {text: n for text, n in counts.items() if text not in classes}
    if further and sample.unknown == "error":
        raise JobError(
            f"--classes names {_named(classes)}, but the label {sample.name!r} also has "
            f"{counted_classes(further)}; --unknown-class drop drops such rows and counts them"
        )
    return classes


def _two_classes(sample: SampledLabel, loss: str, counts: Mapping[str, int]) -> list[str]:
    if sample.kind == "bool":
        return ["false", "true"]
    if sample.kind == "text":
        if len(counts) > 2:
            raise JobError(
                f"{loss} loss needs a label of two classes, but {sample.name!r} has "
                f"{sample.number}: {counted_classes(counts)}; --loss softmax is for several, and "
                "--classes with --unknown-class drop learns two of them"
            )
        return list(counts)
    if classes := sample.number_classes():
        return classes
    raise JobError(
        f"{loss} loss needs a label of 0 and 1 (or -1 and 1), but {sample.name!r} has "
        f"{sample.shown()}; name two others with --classes, the negative one first"
    )


def _class_warnings(sample: SampledLabel, loss: str, counts: Mapping[str, int]) -> list[str]:
    name = sample.name
    if len(counts) - list(counts.values()).count(0) == 1:
        only = next(text for text, n in counts.items() if n)
        return [f"{name}: the label is {visible(only)} in every {sample.where}; nothing to learn"]
    return _choice_warnings(sample, loss, counts)


def _choice_warnings(sample: SampledLabel, loss: str, counts: Mapping[str, int]) -> list[str]:
    name, classes = sample.name, list(counts)
    is_complete = sample.scanned is not None and sample.scanned.is_complete
    if loss in SEVERAL:
        once = [text for text, n in counts.items() if n == 1]
        is_due = once and not sample.classes and not is_complete
        return [_warning_of_rare(name, once)] if is_due else []
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
        f"{name}: classes {_named(once)} are in one row each of those looked at, so there may be "
        "further ones, which would be refused; --classes names all"
    )
