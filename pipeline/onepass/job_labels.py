"""Split the fields of a job of several labels into those of one ordinary job for each label."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from onepass.errors import JobError
from onepass.job import Job
from onepass.job_fields import parse_job
from onepass.job_loss import LOSS_OF
from onepass.job_values import assignments, comma_separated
from onepass.text import shown


def parse_labels(value: Any) -> list[str]:
    """Return the labels of a list, or of a text in which commas separate them.

    Raises
    ------
    ValueError
        If a label is no name, or is there twice. The message does not name the field: the form puts
        the name before it.
    """
    labels = comma_separated(value)
    if not isinstance(labels, list | tuple) or not labels:
        raise ValueError(f"expected a column or a list of columns, found {shown(value)}")
    for label in labels:
        if not isinstance(label, str) or not label:
            raise ValueError(f"expected names of columns, found {shown(label)}")
        if labels.count(label) > 1:
            raise ValueError(f"expected each column once, found {shown(label)} more than once")
    return list(labels)


def fields_of_labels(
    given: Mapping[str, Any], labels: Sequence[str], places: Sequence[str], *, creates: bool
) -> list[dict[str, Any]]:
    """Return the fields of the job of each label.

    No label is a feature of another one's model: each job excludes the other labels.

    Parameters
    ----------
    given
        Fields for all labels. `loss` may say one for each label.
    places
        Model directory of each label.
    creates
        Whether the jobs create models. Jobs of models that exist may leave out what they remember.

    Raises
    ------
    JobError
        If a label has another use as well, or a field cannot be used.
    """
    losses = _losses(given.get("loss"), labels)
    # A field of a loss that some labels name is theirs alone.
    owned = {name: loss for name, loss in LOSS_OF.items() if loss in losses.values()}
    found = []
    for label, place in zip(labels, places, strict=True):
        others = {name for name, loss in owned.items() if losses.get(label) != loss}
        left = {"label", "loss", "exclude", *others}
        fields = {n: v for n, v in given.items() if n not in left}
        fields |= {"model": place}
        if label in losses:
            fields["loss"] = losses[label]
        if creates or "label" in given:
            fields["label"] = label
        if creates or "exclude" in given:
            fields["exclude"] = _excluded(given.get("exclude"), label, labels)
        found.append(fields)
    if creates:
        for fields in found:
            _check(fields, labels)
    return found


def _excluded(given: Any, label: str, labels: Sequence[str]) -> list[Any]:
    excluded = comma_separated(given) or []
    if not isinstance(excluded, list | tuple):
        raise JobError(f"exclude: expected a list of columns, found {shown(given)}")
    return [*excluded, *(one for one in labels if one != label and one not in excluded)]


def _losses(given: Any, labels: Collection[str]) -> dict[str, Any]:
    """Return the losses that are given, by label."""
    if given is None:
        return {}
    if isinstance(given, str) and "=" not in given:
        return dict.fromkeys(labels, given)
    try:
        found = dict(assignments(comma_separated(given)))
    except (TypeError, ValueError):
        raise JobError(
            f"--loss: expected one loss, or LABEL=LOSS for each label, found {shown(given)}"
        ) from None
    unknown = [name for name in found if name not in labels]
    if unknown:
        raise JobError(f"--loss names {unknown}, but the labels are {list(labels)}")
    return found


def _check(fields: Mapping[str, Any], labels: Sequence[str]) -> None:
    """Check that labels are nothing but labels, in the job of one of them."""
    others = [one for one in labels if one != fields["label"]]
    features = comma_separated(fields.get("features")) or []
    if both := [one for one in others if one in features]:
        raise JobError(f"--features names {both}: a label cannot be a feature of another one")
    job = parse_job(fields)
    for role, name in job.roles.named().items():
        if name in others:
            raise JobError(f"the label {name!r} cannot be the {role} as well")
    for field, names in _shaped(job).items():
        if both := [one for one in labels if one in names]:
            raise JobError(f"--{field} names {both}: a label cannot be a feature of another one")
    if job.prior is not None:
        raise JobError(
            "--prior is of the model of one label; train each such model by itself, with --label "
            "and --exclude"
        )


def _shaped(job: Job) -> dict[str, set[str]]:
    return {
        "cross": {name for parts in job.crosses for name in parts},
        "spline": {curve.column for curve in job.curves},
        "log": set(job.log),
        "bins": {name for name, _ in job.cuts},
        "sparse": {name for pair in job.sparse for name in pair.split(":")},
    }
