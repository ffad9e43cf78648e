"""Summarise a model: coefficients in the units of its columns, tests, contrasts and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel

from onepass.actions.cautions import cautions
from onepass.actions.coefficient import Coefficient
from onepass.actions.curves import CurveOf, curves
from onepass.actions.inference.coefficients import coefficients
from onepass.actions.inference.contrasts import Contrast, contrasts
from onepass.actions.inference.design import INTERCEPT, design
from onepass.actions.inference.hashed_values import HashedValue, hashed_values
from onepass.actions.inference.margin import margins
from onepass.actions.inference.profiles import Profile, profiles
from onepass.actions.inference.ratios import ratio_name
from onepass.actions.inference.thresholds import split_thresholds
from onepass.actions.inference.wald import ColumnTest, column_tests
from onepass.errors import JobError
from onepass.learn.losses import link_of
from onepass.learn.updater import Identified
from onepass.model.covariance import Errors, shown_errors
from onepass.model.cross_validated import CrossValidated, cross_validated
from onepass.model.fit_statistics import FitStatistics, fit_statistics
from onepass.model.model import Model

LEVEL = 0.95
"""Coverage of the confidence intervals by default."""


class Summary(BaseModel):
    """Weights of a model, in the units of its columns."""

    model: str
    version: int
    solver: str
    loss: str
    link: str
    """Link of the loss: identity, log, logit, probit or cloglog."""
    shape: str | None
    """Power of tweedie loss or overdispersion of negative_binomial loss, in words."""
    label: str
    offset: str | None = None
    """Column that is added to the margin; coefficients are for an offset of 0."""
    exposure: str | None = None
    """Column whose logarithm is added to the margin; coefficients are for an exposure of 1."""
    rows: int
    """Number of rows that the model has learnt."""
    where: str | None = None
    """Condition on the rows that the model learns; None for all."""
    sample: float | None = None
    """Share of the rows that the model learns; None for all."""
    level: float = LEVEL
    """Coverage of all intervals."""
    errors: Errors | None = None
    """Covariance that standard errors, p-values and intervals are of; None if there is none."""
    clusters: int | None = None
    """Number of clusters that the robust covariance sums the scores of; None without clusters."""
    base: str | None = None
    """Class with which the coefficients of softmax compare the others; their mean if None."""
    ratio: str | None = None
    """Name of the exponential of a coefficient, such as odds ratio; None if it has none."""
    fit: FitStatistics | None = None
    """How well the model fits the rows that it has learnt."""
    intercepts: list[Coefficient]
    """Prediction for rows in which all numbers, and the offset, are zero and all categories are at
    their reference level; one for each class or quantile."""
    thresholds: list[Coefficient] = []
    """Thresholds between neighbouring classes of ordinal loss, for the same rows as intercepts: the
    margin at which the class below and those above are equally likely to be reached."""
    coefficients: list[Coefficient]
    """Dense features, largest effect first unless they are asked for by column."""
    curves: list[CurveOf]
    """Columns that are read as splines."""
    hashed: dict[str, int]
    """Hashed columns and crosses, each with the number of slots that all of them share."""
    hashed_values: list[HashedValue]
    """Frequent values of hashed columns, largest weight first."""
    references: dict[str, str]
    """Level of each category, bin, or knot of a spline, with which its coefficients compare the
    others."""
    tests: list[ColumnTest] = []
    """Wald test of each column with dense features: that all of its coefficients are 0."""
    contrasts: list[Contrast] = []
    """Differences that were asked for."""
    profiles: list[Profile] = []
    """Curves that were asked for."""
    cross_validation: list[CrossValidated] = []
    """Loss of rows by weights without their fold, for each candidate; empty without folds."""
    warnings: list[str]
    """Where coefficients and standard errors must not be taken at their word."""


def summarise(
    model: Model,
    *,
    errors: Errors | None = None,
    level: float = LEVEL,
    references: Mapping[str, str] | None = None,
    contrast: Sequence[str] = (),
    curve: Sequence[str] = (),
    by_column: bool = False,
) -> Summary:
    """Return the coefficients of a model, with standard errors where the solver has them.

    Parameters
    ----------
    errors
        Standard errors to show; by default robust ones if the model keeps them.
    level
        Coverage of the intervals.
    references
        Another reference level of a column, by its name; the class to compare with by the name of
        the label.
    contrast
        Differences to estimate, each written ``COLUMN=VALUE:AGAINST``.
    curve
        Columns of which to return a profile.
    by_column
        Whether the coefficients stand in the order of the columns, not of their effect.

    Raises
    ------
    JobError
        If the model keeps no such errors, or has no such column or level.
    """
    if not 0 < level < 1:
        raise JobError(f"--level: expected a number between 0 and 1, found {level:g}")
    schema, job, weights = model.file.encoder, model.file.job, model.weights
    chosen = shown_errors(weights, errors)
    moved = dict(references or {})
    base = moved.pop(schema.label.name, None) if job.loss == "softmax" else None
    made, found = design(schema, moved), margins(model, chosen, base)
    ratios = ratio_name(job.loss, base)
    has_ratios = ratios is not None
    rows = [c for one in found for c in coefficients(made, one, level, ratios=has_ratios)]
    thresholds: list[Coefficient] = []
    if job.loss == "ordinal":
        rows, thresholds = split_thresholds(rows)
        found = [replace(found[0], name=None)]
    values = [value for one in found for value in hashed_values(model, one, level)]
    values.sort(key=lambda value: -abs(value.weight))
    others = [row for row in rows if row.feature != INTERCEPT]
    known = [(one.name, one.known, one.row) for one in found if one.known is not None]
    return Summary(
        model=job.model,
        version=model.version,
        solver=job.solver,
        loss=job.loss,
        link=link_of(job.loss),
        shape=_shape(model),
        label=schema.label.name,
        offset=schema.offset,
        exposure=schema.exposure,
        rows=model.rows,
        where=job.where,
        sample=job.sample,
        level=level,
        errors=chosen,
        clusters=known[0][1].clusters if known else None,
        base=base,
        ratio=ratios,
        fit=fit_statistics(model),
        intercepts=[row for row in rows if row.feature == INTERCEPT],
        thresholds=thresholds,
        coefficients=others if by_column else sorted(others, key=lambda row: -abs(row.effect)),
        curves=[c for one in found for c in curves(schema, one, made.references, level)],
        hashed=dict.fromkeys(schema.counted_names(), schema.n_slots),
        hashed_values=values,
        references=made.references,
        tests=_tests(model, known, chosen),
        contrasts=list(contrasts(schema, found, contrast, level, ratios=has_ratios)),
        profiles=list(profiles(schema, found, values, curve, moved, level, ratios=has_ratios)),
        cross_validation=cross_validated(model.file, model.learner),
        warnings=cautions(model, known, chosen),
    )


def _tests(
    model: Model, known: Sequence[tuple[str | None, Identified, int]], chosen: Errors | None
) -> list[ColumnTest]:
    loss = model.file.job.loss
    heads = [(name, one) for name, one, _ in known]
    if loss == "softmax":  # its classes are one head, whose weights are tested together
        heads = [(None, one) for _, one in heads[:1]]
    tests = column_tests(model.file.encoder, heads, chosen, is_squared=loss == "squared")
    return list(tests)


def _shape(model: Model) -> str | None:
    """Return the number that a loss has beside its weights, in words, and where it comes from."""
    job, value = model.file.job, f"{model.loss_shape:.4g}"
    match job.loss:
        case "tweedie":
            return f"power {value}" + (" chosen" if len(job.power) > 1 else "")
        case "negative_binomial":
            return f"overdispersion {value}" + ("" if job.overdispersion else " estimated")
    return None
