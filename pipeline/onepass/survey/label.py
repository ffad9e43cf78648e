"""Profile the label of a sample: choose the loss, and the classes or the scale to freeze.

The loss is checked against the labels of the sample, so that a label that it cannot learn from is
refused before a model is made. The encoder checks all further labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from onepass.encode.classes import MAX_CLASSES, class_counts, counted_classes
from onepass.encode.columns import label_family, label_values
from onepass.encode.missing import as_words
from onepass.encode.schema import Label
from onepass.encode.target import label_target, settle_unknown
from onepass.errors import JobError
from onepass.survey.dependence import explained_by_groups
from onepass.survey.label_classes import (
    CLASSIFICATION,
    SampledLabel,
    UnknownClass,
    describe_classes,
)
from onepass.survey.label_loss import choose_loss
from onepass.survey.label_numbers import describe_numbers
from onepass.survey.label_scan import Scan
from onepass.survey.lake_warnings import Place, drift_warnings, label_order_warnings
from onepass.survey.leaks import leak_warnings
from onepass.survey.levels_or_line import Target
from onepass.survey.profile import ColumnProfile
from onepass.survey.row_order import drift_within
from onepass.survey.sample import Sample
from onepass.survey.scale import robust_scale
from onepass.text import listed, percent, visible


@dataclass(frozen=True, slots=True)
class LabelProfile:
    """The label as found in the sample."""

    label: Label
    """The label to freeze."""
    loss: str
    """The job's loss, or the one that ``auto`` chooses for these values."""
    null_share: float
    """Share of rows without a label: of the whole lake if it was looked at, else of the sample."""
    mean: float | None
    """Mean of the sampled labels; None for text."""
    distinct: int
    """Number of distinct labels in the sample."""
    class_shares: dict[str, float]
    """Share of each class among the labels looked at; empty for a regression."""
    delta: float
    """Default residual at which huber loss turns linear: `robust_scale` of the labels."""
    warnings: list[str]
    """Messages to the user about the label."""
    drift: float = 0.0
    """Share of its variance between the stretches of files, see `drift_within`."""
    between_files: float = 0.0
    """Share of its variance between files."""
    null: str = "null"
    """Words for a missing label in messages, such as "null or NaN"."""


def profile_label(
    name: str,
    values: pa.Array,
    loss: str = "auto",
    classes: Sequence[str] = (),
    unknown: UnknownClass = "error",
    scan: Scan | None = None,
    known_nulls: float = 0.0,
    *,
    drops_null: bool = False,
    missing: Sequence[str] = (),
) -> LabelProfile:
    """Choose the loss, and describe the label's classes or scale.

    Parameters
    ----------
    values
        Labels of the sample.
    loss
        The job's loss. ``auto`` chooses logistic for two classes (truth values, 0/1, -1/1, two
        texts), softmax for up to `AUTO_CLASSES` texts, and squared for all other numbers.
    classes
        The job's classes; if empty, those of the lake.
    unknown
        The job's treatment of other classes.
    scan
        Looks at the labels of the whole lake; None to judge by the sample alone.
    known_nulls
        Share of nulls in the whole lake, if the footers tell it.
    drops_null
        Whether training will drop rows without a label.
    missing
        The job's words for a missing value.

    Raises
    ------
    JobError
        If the loss cannot learn from these labels.
    BadColumn
        If the column is of a type that is no label.
    """
    kind = label_family(values, name)
    named = set(as_words(classes))
    words = tuple(word for word in as_words(missing) if word not in named)
    numbers = np.zeros(0) if kind == "text" else label_values(values, name, words)
    numbers = numbers[~np.isnan(numbers)]
    if kind == "null":
        raise JobError(f"the label {name!r} is null in every sampled row")
    sample = SampledLabel(name, kind, values, numbers, tuple(classes), unknown, missing=words)
    n_present = sum(sample.counts.values()) if kind == "text" else len(numbers)
    if not n_present:
        raise JobError(f"the label {name!r} is null in every sampled row")
    if scan is not None and _is_worth_a_scan(sample, loss):
        scanned = scan(kind, blank_is_null=sample.blank_is_null, missing=sample.missing_texts)
        _check_two_numbers(sample, replace(sample, scanned=scanned), loss)
        sample = replace(sample, scanned=scanned)
    loss, hints = choose_loss(sample, loss)
    described = (
        describe_classes(sample, loss) if loss in CLASSIFICATION else describe_numbers(sample, loss)
    )
    # Footers know nulls, but neither NaN nor empty texts.
    null_share = max(known_nulls, _null_share(sample, n_present))
    null = _null_in_words(sample)
    return LabelProfile(
        label=described.label,
        loss=loss,
        null_share=null_share,
        mean=float(numbers.mean()) if len(numbers) else None,
        distinct=len(sample.counts) if kind == "text" else len(np.unique(numbers)),
        class_shares=_shares(described.counts, sample),
        delta=robust_scale(numbers) if len(numbers) else 1.0,
        warnings=[*_null_warnings(name, null_share, null, drops_null), *hints, *described.warnings],
        null=null,
    )


def _null_share(sample: SampledLabel, n_present: int) -> float:
    """Return the share of rows without a label: of all rows if they were looked at."""
    scanned = sample.scanned
    if scanned is None or scanned.has_too_many:
        return 1 - n_present / len(sample.values)
    return scanned.n_null / max(1, scanned.n_null + sum(scanned.counts.values()))


def _shares(counts: Mapping[str, int], sample: SampledLabel) -> dict[str, float]:
    n_rows = sum(sample.counts.values()) if counts else 0
    return {text: n / n_rows for text, n in counts.items()}


def _is_worth_a_scan(sample: SampledLabel, loss: str) -> bool:
    """Return whether the labels may be classes of which the sample has seen a part."""
    if sample.kind == "bool" or loss not in {*CLASSIFICATION, "auto"}:
        return False
    if sample.kind == "number" and loss == "auto":
        return bool(sample.classes) or sample.number_classes() is not None
    # More classes are refused anyway.
    return len(sample.counts) <= MAX_CLASSES


def _check_two_numbers(sample: SampledLabel, lake: SampledLabel, loss: str) -> None:
    """Refuse a label of further numbers that looks like two classes in the sample.

    Raises
    ------
    JobError
        If the job leaves it open whether these are classes.
    """
    usual = sample.number_classes() if loss == "auto" and not sample.classes else None
    if usual is None or lake.number_classes() == usual:
        return
    further = {text: n for text, n in lake.counts.items() if text not in usual}
    found = counted_classes(further) if further else f"{lake.number} values"
    raise JobError(
        f"the label {sample.name!r} is {' or '.join(usual)} in the sample, but the lake also has "
        f"{found}; --loss softmax if these are classes, --loss squared if they are numbers, or "
        f"--classes {','.join(usual)} --unknown-class drop to drop such rows"
    )


def describe_label(
    name: str | None,
    loss: str,
    classes: Sequence[str],
    sample: Sample,
    unknown: UnknownClass = "error",
    scan: Scan | None = None,
    known_nulls: float = 0.0,
    *,
    drops_null: bool = False,
    missing: Sequence[str] = (),
) -> tuple[LabelProfile, Target] | tuple[None, None]:
    """Profile the label of a sample.

    Parameters
    ----------
    name
        Column of the label; None if the job has none.
    loss, classes, drops_null, missing
        As in the job; see `profile_label`.
    unknown, scan, known_nulls
        See `profile_label`.

    Returns
    -------
    The profile, and the label of each row. None without a label.

    Raises
    ------
    JobError
        If the loss cannot learn from these labels.
    """
    if name is None:
        return None, None
    values = sample.rows.column(name).combine_chunks()
    found = profile_label(
        name, values, loss, classes, unknown, scan, known_nulls,
        drops_null=drops_null, missing=missing,
    )  # fmt: skip
    # Classes of files that turned out to be bad are unknown: their rows have no label here.
    lenient = found.label.model_copy(update={"unknown": "drop"})
    label = lenient if found.label.unknown == "error" else found.label
    target = Target(label_target(values, label), nominal=len(label.classes or ()) > 2)
    settle_unknown(target.values, label)
    drift = drift_within(target.values, sample.file, sample.stretch, classes=target.nominal)
    present = ~np.isnan(target.values)
    explained = explained_by_groups(classes=target.nominal)
    between_files = explained(target.values[present], sample.file[present])
    return replace(found, drift=drift, between_files=between_files), target


def warnings_of_label(
    found: LabelProfile,
    target: Target,
    sample: Sample,
    place: Place | None,
    columns: list[ColumnProfile],
) -> list[str]:
    """Check the sample for sorted labels and leaks, and return all warnings about the label.

    Parameters
    ----------
    place
        Where the rows of the sample lie; None if the order of the rows needs no warning.
    columns
        Profiles of the columns that may be features.
    """
    name, values = found.label.name, target.values
    order: list[str] = []
    if place is not None:
        order = label_order_warnings(name, values, place, classes=target.nominal)
        order = order or drift_warnings(name, found.drift)
    leaks = leak_warnings(name, values, sample.rows, columns, classes=found.label.classes or ())
    return [*found.warnings, *order, *leaks]


def _null_in_words(sample: SampledLabel) -> str:
    """Say what null labels are, with the words of the sample that stand for a missing label."""
    found = "null or empty" if sample.kind == "text" else "null or NaN"
    if not sample.missing_texts:
        return found
    every = class_counts(sample.values, sample.kind, blank_is_null=sample.blank_is_null)
    kept = class_counts(
        sample.values,
        sample.kind,
        blank_is_null=sample.blank_is_null,
        missing=sample.missing_texts,
    )
    words = [visible(text) for text in every if text not in kept]
    return f"{found} or {listed(words, 6)}" if words else found


def _null_warnings(name: str, null_share: float, null: str, drops_null: bool) -> list[str]:
    if not null_share:
        return []
    advice = ", and left out" if drops_null else "; --on-null-label drop leaves them out"
    null = null.replace(" or NaN", "")
    return [f"{name}: {percent(null_share)} of the labels are {null}{advice}"]
