"""Offset and exposure in a sample: the losses that take them, and what they leave of the label."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.columns import floats, label_family, label_values
from onepass.encode.reads import READS, is_readable
from onepass.errors import JobError
from onepass.job_values import Roles
from onepass.special import expit, logsumexp, root
from onepass.survey.label import LabelProfile
from onepass.survey.label_classes import CLASSIFICATION
from onepass.survey.label_numbers import DOMAINS, center_and_scale
from onepass.survey.lake_warnings import ABSURD, absurd_value
from onepass.survey.levels_or_line import Target
from onepass.survey.lines import Outcome, outcome
from onepass.survey.scale import robust_scale
from onepass.text import percent

_LARGE = 30.0
"""Offset of a loss with a link beyond which the column is hardly a logarithm or log odds."""

_DOMAINS = ", ".join(sorted(DOMAINS))


@dataclass(frozen=True, slots=True)
class SampledOffset:
    """The known part of the margins of the sample."""

    roles: Roles
    values: FloatArray
    """Shape (n_rows,); NaN where a row cannot be used."""
    warnings: list[str]
    """Messages to the user about the columns themselves."""


def sampled_offset(roles: Roles, rows: pa.Table) -> SampledOffset | None:
    """Return the offsets of the sample; None if the job names neither offset nor exposure.

    Rows that training will refuse are NaN, because the files that hold them may be left out.

    Raises
    ------
    JobError
        If a column is not one of numbers.
    """
    if roles.offset is None and roles.exposure is None:
        return None
    total, warnings = np.zeros(rows.num_rows), list[str]()
    if roles.offset is not None:
        found = _numbers("offset", roles.offset, rows)
        total += np.where(np.isfinite(found), found, np.nan)
        warnings += _warnings(roles.offset, "offset", found, np.isfinite(found), "a finite number")
    if roles.exposure is not None:
        found = _numbers("exposure", roles.exposure, rows)
        usable = (found > 0) & np.isfinite(found)
        total += np.log(found, where=usable, out=np.full(len(found), np.nan))
        warnings += _warnings(roles.exposure, "exposure", found, usable, "a number above 0")
    return SampledOffset(roles, total, warnings)


def check_loss(roles: Roles, loss: str) -> None:
    """Refuse an offset or an exposure that a loss cannot use.

    Raises
    ------
    JobError
        If there is one. ``auto`` is no loss yet.
    """
    named = [f"--{role}" for role in ("offset", "exposure") if role in roles.named()]
    if not named or loss == "auto":
        return
    if loss == "softmax":
        raise JobError(
            f"{named[0]} cannot be used with softmax loss: the same number added to the margins of "
            "all classes changes no probability; leave it out"
        )
    if loss == "hinge":
        raise JobError(
            f"{named[0]} cannot be used with hinge loss, whose margins have no unit; use --loss "
            "logistic, whose margins are log odds"
        )
    if roles.exposure is not None and loss not in DOMAINS:
        raise JobError(
            f"--exposure belongs to a loss with a logarithmic link ({_DOMAINS}), not to {loss} "
            "loss; --offset adds a column to the margin as it is"
        )


def loss_beside(roles: Roles, loss: str, rows: pa.Table) -> str:
    """Return the job's loss; with an exposure, ``auto`` is poisson for labels that are counts.

    Raises
    ------
    JobError
        If the loss cannot use the columns, or an exposure leaves it open.
    """
    check_loss(roles, loss)
    if loss != "auto" or roles.exposure is None or roles.label is None:
        return loss
    values = rows.column(roles.label).combine_chunks()
    shown = "text"
    if label_family(values, roles.label) not in {"text", "null"}:
        numbers = label_values(values, roles.label, ())
        other = numbers[~(np.isnan(numbers) | ((numbers >= 0) & (numbers == np.floor(numbers))))]
        if not len(other):
            return "poisson"
        shown = f"{other[0]:g}"
    raise JobError(
        f"with --exposure, auto takes a label of counts for poisson loss, but {roles.label!r} has "
        f"{shown}; name a loss with a logarithmic link ({_DOMAINS})"
    )


def beside_offset(found: LabelProfile, target: Target, offset: SampledOffset) -> LabelProfile:
    """Return the profile of a label whose margins have a known part.

    Center and scale are those of the label less the offset. The base is the intercept of the best
    model without features: for a logarithmic link the log of the sum of labels over that of
    exp(offset), and for logistic loss the root of its slope.

    Raises
    ------
    JobError
        If the loss cannot use the columns.
    """
    loss = found.loss
    check_loss(offset.roles, loss)
    used = np.isfinite(target.values) & np.isfinite(offset.values)
    label, known = target.values[used], offset.values[used]
    warnings = [*offset.warnings, *_warnings_of_link(offset.roles, loss, label, known)]
    found = replace(found, warnings=[*found.warnings, *warnings])
    if not len(label):
        return found
    update: dict[str, float] = {}
    if loss == "logistic":
        update["base"] = _log_odds(label, known)
    elif loss in {"probit", "cloglog"}:
        update["base"] = found.label.base - float(known.mean())
    elif loss in DOMAINS:
        update["base"] = math.log(label.sum()) - float(logsumexp(known))
        update["level"] = math.log(label.mean())
    elif loss in {"squared", "huber", "quantile"}:
        left = label - known
        update["center"], update["scale"] = center_and_scale(left, loss)
        found = replace(found, delta=robust_scale(left))
    return replace(found, label=found.label.model_copy(update=update))


def outcome_beside(target: FloatArray, loss: str, offset: SampledOffset | None) -> Outcome:
    """Return the labels that lines are fitted to: what the offset leaves of them.

    For losses of classes it is left aside, because sums over rows cannot tell its part.
    """
    if offset is None or loss in CLASSIFICATION:
        return outcome(target, loss)
    if loss in DOMAINS:
        return outcome(target, loss, offset.values)
    return outcome(target - offset.values, loss)


def _numbers(role: str, name: str, rows: pa.Table) -> FloatArray:
    values = rows.column(name).combine_chunks()
    if pa.types.is_null(values.type) or not is_readable(role, values.type):
        raise JobError(
            f"--{role} {name}: expected {READS[role].text}, found a column of type {values.type}"
        )
    return floats(values)


def _log_odds(label: FloatArray, offset: FloatArray) -> float:
    """Return the intercept at which the mean probability is the share of the positive class."""
    # Half a row of each class keeps the intercept finite where the sample has one class.
    total = min(max(float(label.sum()), 0.5), len(label) - 0.5)
    reach = float(np.abs(offset).max()) + 40.0
    return root(lambda b: float(expit(offset + b).sum()) - total, -reach, reach)


def _warnings(
    name: str, role: str, found: FloatArray, usable: np.ndarray, expected: str
) -> Iterator[str]:
    if not usable.all():
        share = percent(1 - float(usable.mean()), 2)
        yield (
            f"{name}: {share} of the sampled rows have an {role} that is not {expected}; such rows "
            "are refused, and --where leaves them out"
        )
    far = absurd_value(found[usable])
    if far is not None:
        yield (
            f"{name}: the {role} {far:g} is over {ABSURD:,.0f} times as far from the median as "
            "most others; repair it"
        )


def _warnings_of_link(
    roles: Roles, loss: str, label: FloatArray, known: FloatArray
) -> Iterator[str]:
    largest = float(np.abs(known).max(initial=0.0))
    if roles.offset is not None and largest > _LARGE and (loss in DOMAINS or loss == "logistic"):
        unit = "log odds" if loss == "logistic" else "logarithms"
        advice = "" if loss == "logistic" else "; --exposure takes the logarithm of its column"
        yield (
            f"{roles.offset}: offsets of up to {largest:.3g}, which {loss} loss adds to {unit}"
            f"{advice}"
        )
    if roles.exposure is not None and loss == "poisson" and (label != np.floor(label)).any():
        yield (
            f"{roles.label}: labels that are no whole numbers; with an exposure they are counts, "
            f"not rates (rates take it as their weight: --weight {roles.exposure})"
        )
