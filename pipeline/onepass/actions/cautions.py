"""Say where the coefficients and standard errors of a model must not be taken at their word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onepass.block import FloatArray
from onepass.encode.scalar_kinds import Bool, OneHot
from onepass.encode.schema import Label, Schema
from onepass.encode.shapes import Bins
from onepass.learn.losses import LOG_LINK, PROBABILITY, SEVERAL
from onepass.learn.updater import Identified
from onepass.ledger.entries import RefineEntry
from onepass.model.covariance import Errors
from onepass.model.file import ModelFile
from onepass.model.model import Model
from onepass.text import printable

_SEPARATED = 0.9
"""Curvature below which the rows of a 0/1 feature count as rows of one kind.

With one row of another class it is nearly 1, since fitted and observed classes have the same sum.
"""

_UNBOUNDED = 3.0
"""Standard error, in log-odds per standard deviation, from which on nothing bounds an effect."""

_LEAST_ROWS = 10
"""Rows of a 0/1 feature from which on it is told that they are of one kind."""

_SHOWN = 5
"""Features that one warning names."""


_FEW_CLUSTERS = 30
"""Clusters below which robust errors are told to be too small.

A. C. Cameron and D. L. Miller, "A Practitioner's Guide to Cluster-Robust Inference", Journal of
Human Resources 50, 2015, sec. VI: few are less than 20 to 50, by how alike the clusters are.
"""


def cautions(
    model: Model,
    known: Sequence[tuple[str | None, Identified, int]],
    errors: Errors | None = None,
) -> list[str]:
    """Return warnings about the weights of a model.

    Parameters
    ----------
    known
        For each margin: its class or quantile, what is known of it, and its row in that.
    errors
        Standard errors that are shown beside the weights.
    """
    schema, loss = model.file.encoder, model.file.job.loss
    found = _aliased(schema, known[0][1]) if known else []
    if schema.label.class_weights:
        found.append(
            f"{_weighted(schema.label, loss)}, metrics count each row as it is, and standard "
            "errors take the weights for numbers of rows"
        )
        repeats = model.file.weighted_slots == "repeated"
        if repeats and schema.n_hashed and model.file.job.solver == "newton":
            found.append(
                "the prior of hashed weights takes class weights for numbers of rows, too, so the "
                "weights of rare values go too far; a new model does not"
            )
    if known and loss in PROBABILITY | {"softmax", "poisson", "negative_binomial"}:
        found += _separated(schema, loss, known)
    if not known and model.file.job.solver == "newton" and loss != "hinge":
        found.append(
            "an l1 penalty or a constraint holds coefficients back, so no standard errors are "
            "known: those of the curvature would not count the choice of the coefficients"
        )
    if known and errors == "robust" and known[0][1].clusters is not None:
        found += _few_clusters(known[0][1].clusters)
    if known and schema.counted_names():
        found.append(
            "standard errors take the weights of hashed columns as known: those of columns that "
            "hardly vary within a value of a hashed column are far too small; leave it out, and "
            "name it as --cluster, for theirs"
        )
    return found + _left_to_refine(model, has_errors=bool(known))


def _left_to_refine(model: Model, *, has_errors: bool) -> list[str]:
    """Say where the weights are not at the batch optimum, and how they get there."""
    loss, refine = model.file.job.loss, f"onepass refine {printable(model.file.job.model)}"
    match model.entry:
        case RefineEntry(settled=False, rule=rule, n_passes=n_passes):
            return [
                f"{rule} has not converged within {n_passes} passes, so coefficients are those of "
                f"no optimum; run `{refine} --passes {2 * n_passes}`, which goes on from here, "
                "before you draw conclusions"
            ]
        case RefineEntry(rule="gradient_descent"):
            return [
                "gradient_descent does not tell whether it has converged; run "
                f"`{refine}` before you draw conclusions"
            ]
        case RefineEntry():
            return []
    if not has_errors or loss == "squared":
        return []
    return [
        f"one pass ends near the optimum of {loss} loss, up to 0.1 standard errors off; run "
        f"`{refine}` before you draw conclusions"
    ]


def _few_clusters(n_clusters: int) -> list[str]:
    if n_clusters >= _FEW_CLUSTERS:
        return []
    if n_clusters < 2:
        return ["all rows are of one cluster, so there are no cluster-robust standard errors"]
    return [
        f"standard errors of {n_clusters} clusters are too small as a rule, and those of columns "
        "that hardly vary within clusters are far too small; trust them from about "
        f"{_FEW_CLUSTERS} clusters on"
    ]


def interval_cautions(file: ModelFile) -> list[str]:
    """Return warnings about the intervals of a model's predictions."""
    label = file.encoder.label
    if not label.class_weights:
        return []
    return [
        f"{_weighted(label, file.job.loss)}, and so are their intervals, whose width takes the "
        "weights for numbers of rows; train without --class-weight for intervals of the lake"
    ]


def _weighted(label: Label, loss: str) -> str:
    """Say what class weights do to predictions."""
    pairs = zip(label.classes or [], label.class_weights or [], strict=True)
    given = ", ".join(f"{printable(name)} {weight:.4g}" for name, weight in pairs)
    shift = (
        "probabilities are those of the weighted rows, not of the lake"
        if loss in PROBABILITY | SEVERAL
        else "margins are those of the weighted rows"
    )
    return f"rows are weighted by class ({given}): {shift}"


def _aliased(schema: Schema, known: Identified) -> list[str]:
    names = [n for n, out in zip(schema.feature_names(), known.aliased, strict=True) if out]
    if not names:
        return []
    return [
        f"{_listed(names)}: a linear combination of the features before, so the rows cannot tell "
        "its effect from theirs; it is left out here, and the others take over its part"
    ]


def _separated(
    schema: Schema, loss: str, known: Sequence[tuple[str | None, Identified, int]]
) -> list[str]:
    flags = _flags(schema)
    n_weights = sum(one.weights.shape[1] for _, one, _ in known)
    total = sum(float(one.information[k, -1]) for _, one, k in known)
    if loss not in LOG_LINK and total < n_weights:
        return [
            "the columns separate the classes (almost) exactly: fitted probabilities are 0 or 1, "
            "and nothing bounds the coefficients; train with --l2 to bound them"
        ]
    levels, others = [], []
    for output, one, k in known:
        of = "" if output is None else f" (for {printable(output)})"
        errors = _effect_errors(one, k)
        for j, name in enumerate(schema.feature_names()):
            if flags[j] and one.mass[j] >= _LEAST_ROWS and one.information[k, j] < _SEPARATED:
                levels.append(f"{name}{of}")
            elif errors[j] > _UNBOUNDED:
                others.append(f"{name}{of}")
    kind = "have the label 0" if loss in LOG_LINK else "are of one class, or none is of this one"
    reasons = [
        (levels, f"(almost) all rows {kind}, so the best coefficient is infinite"),
        (
            others,
            "a class has (almost) no row beyond some value, so nothing bounds the coefficient",
        ),
    ]
    return [
        f"{_listed(names)}: {reason}; the one shown, its standard error and its p-value mean "
        "nothing; train with --l2 to bound it"
        for names, reason in reasons
        if names
    ]


def _effect_errors(one: Identified, k: int) -> FloatArray:
    """Return the standard error of each effect per standard deviation; 0 if it is not known."""
    width = one.weights.shape[1]
    variance = np.diag(one.covariance)[k * width : (k + 1) * width - 1]
    return np.asarray(np.sqrt(np.nan_to_num(np.maximum(variance, 0.0))) * one.deviation)


def _flags(schema: Schema) -> list[bool]:
    """Return whether each feature is 0 or 1."""
    return [
        isinstance(column, OneHot | Bool | Bins) or name.endswith((" is null", " is unknown"))
        for column in schema.columns
        for name in column.feature_names()
    ]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(printable, names[:_SHOWN]))
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
