"""Penalties and constraints of a job, by column, as those of the dense features of a block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from onepass.encode.feature_units import feature_units
from onepass.encode.nested_kinds import Bag, Vector
from onepass.encode.scalar_kinds import Bool, Numeric, OneHot
from onepass.encode.schema import Column, Schema
from onepass.encode.shapes import Bins, Product, Spline
from onepass.errors import JobError
from onepass.job import Job
from onepass.job_penalties import Constraint
from onepass.learn.penalties import NONE, Penalties
from onepass.text import listed, shown

_MOST_NAMED = 8

REFUSED = frozenset({"softmax", "quantile", "hinge", "ordinal"})
"""Losses of several margins, and those with a kink where most rows lie."""

Chain = tuple[tuple[int, float], ...]


def check_penalties(job: Job, schema: Schema) -> None:
    """Refuse penalties and constraints that the learner of a resolved job cannot have.

    Raises
    ------
    JobError
        If the solver, the loss or a column does not go with them.
    """
    fields = [name for name in ("penalty_factor", "constraint", "prior") if getattr(job, name)]
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in fields)
    if job.solver != "newton":
        if fields:
            raise JobError(f"{flags} cannot be used with --solver {job.solver}: only newton has it")
        if job.l1 and job.solver != "ftrl":
            raise JobError(
                f"--l1 is a penalty of newton and ftrl, but the solver is {job.solver}; use "
                "--solver newton or --solver ftrl"
            )
        return
    if job.loss in REFUSED and (job.l1 or job.constraint or job.prior):
        raise JobError(
            f"--l1, --constraint and --prior cannot be used with {job.loss} loss; leave them out, "
            "or use --l2"
        )
    if job.l1 and schema.n_slots:
        raise JobError(
            f"--l1 cannot be used with hashed columns ({_named(schema.counted_names())}): newton "
            "keeps no curvature between them; leave them out, or use --solver ftrl"
        )
    if (job.robust or job.cluster) and (job.l1 or job.constraint):
        raise JobError(
            f"{'--cluster' if job.cluster else '--robust'} cannot be used with "
            f"{'--l1' if job.l1 else '--constraint'}, under which weights have no standard errors; "
            "leave one of them out"
        )
    if job.loss == "ordinal" and job.penalty_factor:
        raise JobError("--penalty-factor cannot be used with ordinal loss; leave it out")
    if job.prior and not any(job.l2):
        raise JobError("--prior says where the L2 penalty pulls to, so it needs --l2 above 0")
    for field in ("penalty_factor", "constraint"):
        for name in getattr(job, field):
            _columns(schema, name, field)
    for name, constraint in job.constraints.items():
        for column in _columns(schema, name, "constraint"):
            _check_constraint(column, constraint)


def dense_penalties(job: Job, schema: Schema, prior: Mapping[str, float] | None) -> Penalties:
    """Return the penalties of a resolved job as those of the features of a block.

    Parameters
    ----------
    prior
        Coefficients by feature, in the units of their columns and of the label, to which the L2
        penalty pulls; None for 0.
    """
    if job.solver != "newton":
        return NONE
    factors, low, high, target = [], [], [], []
    groups: list[int] = []
    chains: list[Chain] = []
    scale = schema.label.scale
    for number, column in enumerate(schema.columns):
        units = [unit / scale for unit, _ in feature_units(column)]
        names = column.feature_names()
        factors += [job.penalty_factor.get(column.name, 1.0)] * len(names)
        groups += [number] * len(names)
        constraint = job.constraints.get(column.name, Constraint())
        bounds = _bounds(column, constraint)
        low += [a * unit for (a, _), unit in zip(bounds, units, strict=True)]
        high += [b * unit for (_, b), unit in zip(bounds, units, strict=True)]
        target += [(prior or {}).get(name, 0.0) * u for name, u in zip(names, units, strict=True)]
        if constraint.order is not None and not isinstance(column, Numeric | Bool):
            chains += _chains(column, constraint, units, len(factors) - len(names))
    bounded = any(map(math.isfinite, (*low, *high)))
    return Penalties(
        l1=job.l1,
        factors=tuple(factors) if job.penalty_factor else (),
        low=tuple(low) if bounded else (),
        high=tuple(high) if bounded else (),
        chains=tuple(chains),
        target=tuple(target) if prior is not None else (),
        groups=tuple(groups),
    )


def _columns(schema: Schema, name: str, field: str) -> list[Column]:
    found = [column for column in schema.columns if column.name == name]
    if not found:
        raise JobError(
            f"--{field.replace('_', '-')} names {shown(name)}, which is no column of features; "
            f"there are {_named([column.name for column in schema.columns])}"
        )
    if any(not column.feature_names() for column in found):
        raise JobError(
            f"--{field.replace('_', '-')} names {shown(name)}, which is hashed: newton keeps no "
            "curvature of hashed columns; use fewer levels, or leave the column out of it"
        )
    return found


def _check_constraint(column: Column, constraint: Constraint) -> None:
    if constraint.order is None:
        if not isinstance(column, Numeric | Bool | OneHot | Bins | Spline | Product | Vector | Bag):
            raise JobError(
                f"--constraint names {shown(column.name)}, which is read as {column.kind}; numbers,"
                " truth values, levels, bins and splines can be bounded"
            )
        return
    if isinstance(column, Spline) and column.degree == "cubic":
        raise JobError(
            f"--constraint {column.name}={constraint.order} needs a curve of lines, which is as "
            "monotone as its knots; a cubic one may bend between them: use "
            f"--spline {column.name}:{len(column.knots)}:linear"
        )
    if isinstance(column, OneHot) and _numbers(column.levels) is None:
        raise JobError(
            f"--constraint {column.name}={constraint.order} needs levels that are numbers, found "
            f"{_named(column.levels)}"
        )
    if not isinstance(column, Numeric | Bool | OneHot | Bins | Spline):
        raise JobError(
            f"--constraint {column.name}={constraint.order} needs a spline, bins, levels that are "
            f"numbers, or a number; the column is read as {column.kind}"
        )


def _bounds(column: Column, constraint: Constraint) -> list[tuple[float, float]]:
    """Return the bounds of each coefficient of a column; markers of null have none."""
    low, high = constraint.low, constraint.high
    if isinstance(column, Numeric | Bool):
        # The order of a line is its sign.
        low = 0.0 if constraint.order == "increasing" else low
        high = 0.0 if constraint.order == "decreasing" else high
    free = (-math.inf, math.inf)
    marks = (f"{column.name} is null", f"{column.name} is unknown")
    return [free if name in marks else (low, high) for name in column.feature_names()]


def _chains(column: Column, constraint: Constraint, units: list[float], first: int) -> list[Chain]:
    """Return the features of a column as chains that ascend from the reference, outwards."""
    match column:
        case Spline():
            places = list(range(len(column.knots)))
        case Bins():
            places = list(range(len(column.levels)))
        case OneHot():
            numbers = _numbers(column.levels) or []
            places = sorted(range(len(numbers)), key=lambda k: numbers[k])
        case _:
            return []
    sign = 1.0 if constraint.order == "increasing" else -1.0
    at = places.index(0)
    ways = ((places[at + 1 :], sign), (places[:at][::-1], -sign))
    return [
        tuple((first + k - 1, direction * units[k - 1]) for k in way)
        for way, direction in ways
        if way
    ]


def _numbers(levels: Sequence[str]) -> list[float] | None:
    try:
        return [float(level) for level in levels]
    except ValueError:
        return None


def _named(names: Sequence[str]) -> str:
    return listed([shown(name) for name in names], _MOST_NAMED)
