"""Resolve the automatic choices of a job, and refuse settings that do not go together."""

from __future__ import annotations

from onepass.encode.nested_kinds import Vector
from onepass.encode.schema import Schema
from onepass.errors import JobError
from onepass.job import Job
from onepass.job_loss import LOSS_OF
from onepass.job_values import LossName
from onepass.learn.firstorder.defaults import BEST, DEFAULTS, default_rate
from onepass.learn.folds import FOLDED
from onepass.learn.newton.newton import MAX_WIDTH
from onepass.survey.label import LabelProfile
from onepass.survey.lake_warnings import INTERLEAVE, SORTED
from onepass.text import listed
from onepass.training.round_sizes import automatic, rule_of

WIDEST = 4 * MAX_WIDTH
"""Maximum dense weights with which a job may name newton; its state grows with their square."""

DEFAULT_HASH_BITS = 18
"""log2 of the number of hashed weights of a job that names none."""


def implied_loss(job: Job) -> LossName:
    """Return the loss of a job, or the loss that a setting of the job implies.

    Some settings belong to a single loss, such as quantiles.

    Raises
    ------
    JobError
        If such a setting belongs to another loss than the one that the job names.
    """
    default = {name: field.get_default() for name, field in Job.model_fields.items()}
    given = [name for name in LOSS_OF if name in job.model_fields_set and default[name]]
    implied: LossName = job.loss
    for name, loss in LOSS_OF.items():
        # A default that is given asks for its loss, but not in a job that lists every field.
        is_asked = job.loss == "auto" and given == [name]
        if not is_asked and (getattr(job, name) or None) == (default[name] or None):
            continue
        if implied not in {"auto", loss}:
            raise JobError(f"--{name} belongs to {loss} loss, but the loss is {implied}")
        implied = loss
    return implied


def resolve(job: Job, label: LabelProfile, schema: Schema, n_partitions: int) -> Job:
    """Return a job in which every automatic choice has been made.

    Parameters
    ----------
    label
        Profile of the label in the sample; it decides the loss.
    schema
        Encoder schema.
    n_partitions
        Partitions of the lake; they decide how many are learnt at the same time.

    Raises
    ------
    JobError
        If settings do not go together, or the design is too wide for the solver.
    """
    solver = _solver(job, label, schema)
    choice: dict[str, object]
    if solver == "newton":
        _refuse(job, _FIRST_ORDER_ONLY, "newton has no learning rate and takes no such steps")
        choice = {"learning_rate": [], "schedule": "constant", "averaging": "none"}
        choice["implicit"] = False
    else:
        _refuse(job, {"half_life": None}, "only newton forgets")
        _refuse(job, _ROBUST, "only newton has standard errors")
        choice = _first_order(job, solver, schema)
    if label.loss == "hinge" and _given(job, _ROBUST):
        flags = " and ".join(f"--{name}" for name in _given(job, _ROBUST))
        raise JobError(f"{flags} cannot be used with hinge loss, which has no robust errors")
    if job.folds:
        _refuse_folds(job, solver, label.loss, schema)
    return job.model_copy(
        update={
            "loss": label.loss,
            "solver": solver,
            "delta": (job.delta or label.delta) if label.loss == "huber" else None,
            "classes": label.label.classes or [],
            "parallel": _parallel(job, solver, label, schema, n_partitions),
            "hash_bits": job.hash_bits or schema.hash_bits,
            **choice,
        }
    )


def _refuse_folds(job: Job, solver: str, loss: str, schema: Schema) -> None:
    """Refuse cross-validation where the loss of a fold is no quadratic of weights of newton."""
    if solver != "newton":
        raise JobError(
            f"--folds needs the curvature that only newton keeps, but the solver is {solver}; use "
            "--solver newton, or compare models on a --holdout"
        )
    held = {"l1": 0.0, "penalty_factor": {}, "constraint": {}, "prior": None}
    if flags := [f"--{name.replace('_', '-')}" for name in _given(job, held)]:
        raise JobError(
            f"--folds cannot be used with {', '.join(flags)}: weights without a fold are those of "
            "a ridge penalty; use --l2 in their place, or compare models on a --holdout"
        )
    if loss not in FOLDED:
        raise JobError(
            f"--folds cannot be used with {loss} loss, which no quadratic follows far enough; "
            f"compare models on a --holdout (losses with folds: {', '.join(sorted(FOLDED))})"
        )
    if schema.n_slots:
        names = ", ".join(schema.counted_names())
        raise JobError(
            f"--folds cannot be used with hashed columns ({names}), whose weights have learnt from "
            "every fold; leave these columns out with --exclude, or compare models on a --holdout"
        )


def _solver(job: Job, label: LabelProfile, schema: Schema) -> str:
    if label.loss == "ordinal":
        return _ordinal_solver(job, label, schema)
    n_outputs = len(label.label.classes or ()) if label.loss == "softmax" else 1
    weights = n_outputs * (schema.n_dense + 1)
    if job.solver == "newton" and weights > WIDEST:
        raise JobError(
            f"newton keeps a matrix of weights by weights, and this design has {weights} of them "
            f"(at most {WIDEST}); use another --solver, or fewer columns"
        )
    if job.solver != "auto":
        return job.solver
    fits = schema.n_dense <= MAX_WIDTH and weights <= 2 * MAX_WIDTH
    if fits and not _given(job, _FIRST_ORDER_ONLY):
        return "newton"
    return BEST


def _ordinal_solver(job: Job, label: LabelProfile, schema: Schema) -> str:
    """Return newton, the one solver of ordered classes.

    Raises
    ------
    JobError
        If the job names another, or columns that newton cannot take.
    """
    if job.solver not in {"auto", "newton"} or _given(job, _FIRST_ORDER_ONLY):
        asked = job.solver if job.solver != "auto" else "a first-order solver"
        raise JobError(f"ordinal loss is learnt by newton, but the job asks for {asked}")
    if schema.n_slots:
        raise JobError(
            "ordinal loss takes no hashed columns, but these are hashed: "
            f"{listed(schema.counted_names(), 6)}; leave them out with --exclude, or take "
            "--loss softmax"
        )
    weights = schema.n_dense + len(label.label.classes or ()) - 1
    if weights > WIDEST:
        raise JobError(
            f"newton keeps a matrix of weights by weights, and this design has {weights} of them "
            f"(at most {WIDEST}); use fewer columns"
        )
    return "newton"


def width_warnings(job: Job, resolved: Job, schema: Schema) -> list[str]:
    """Return advice on the solver, if vectors alone made the design too wide for newton.

    Parameters
    ----------
    job, resolved
        The job as it was given, and with every automatic choice made.
    """
    vectors = [column for column in schema.columns if isinstance(column, Vector)]
    width = sum(column.length for column in vectors)
    narrow = schema.n_dense - width <= MAX_WIDTH < schema.n_dense
    if job.solver != "auto" or resolved.solver == "newton" or not (vectors and narrow):
        return []
    names = ", ".join(column.name for column in vectors)
    if max(1, len(resolved.classes)) * (schema.n_dense + 1) <= WIDEST:
        advice = "--solver newton is slower, and needs no learning rate"
    else:
        advice = f"newton takes {WIDEST:,} weights at most; fewer numbers a row would suit it"
    return [f"{names}: {width:,} numbers a row, so {resolved.solver} learns them ({advice})"]


def _parallel(job: Job, solver: str, label: LabelProfile, schema: Schema, n_partitions: int) -> int:
    if solver != "newton":
        if job.parallel not in {"auto", 1}:
            raise JobError(
                f"--parallel {job.parallel} cannot be used with --solver {solver}: each of its "
                "steps begins where the one before has ended, so steps that are taken at the same "
                "time do not add up; use --solver newton, or --parallel 1"
            )
        return 1
    if job.parallel != "auto":
        return job.parallel
    # Squared loss is exact in any order. Others are expanded too far off if each partition has a
    # class of its own: the holdout loss rose by 0.3 to 26 %.
    is_exact = label.loss == "squared" and not schema.n_slots
    if label.between_files >= SORTED and job.interleave < INTERLEAVE and not is_exact:
        return 1
    n_groups = -(-n_partitions // job.interleave)
    return automatic(n_groups, rule_of(schema.n_selected))


def _first_order(job: Job, solver: str, schema: Schema) -> dict[str, object]:
    automatic = DEFAULTS[solver]
    if solver in {"ftrl", "dog"}:
        _refuse(job, {"schedule": "auto"}, "its rates fall by themselves")
    if solver == "dog":
        _refuse(job, {"learning_rate": []}, "it finds its rate")
    if solver in {"adam", "ftrl"} and job.implicit:
        _refuse(job, {"implicit": None}, "its steps have no implicit form")
    width = schema.n_dense + schema.n_selected
    return {
        "learning_rate": job.learning_rate or [default_rate(solver, width)],
        "schedule": automatic.schedule if job.schedule == "auto" else job.schedule,
        "averaging": automatic.averaging if job.averaging == "auto" else job.averaging,
        "implicit": automatic.implicit if job.implicit is None else job.implicit,
    }


_ROBUST: dict[str, object] = {"robust": False, "cluster": None}
"""Settings that ask for robust standard errors, with the values that they have when unset."""

_FIRST_ORDER_ONLY: dict[str, object] = {
    "learning_rate": [],
    "schedule": "auto",
    "averaging": "auto",
    "implicit": None,
    "minibatch": 1,
}
"""Settings that only first-order solvers have, with the values that they have when unset."""


def _given(job: Job, settings: dict[str, object]) -> list[str]:
    return [name for name, unset in settings.items() if getattr(job, name) != unset]


def _refuse(job: Job, settings: dict[str, object], reason: str) -> None:
    flags = [f"--{name.replace('_', '-')}" for name in _given(job, settings)]
    if flags:
        raise JobError(f"{', '.join(flags)} cannot be used with --solver {job.solver}: {reason}")
