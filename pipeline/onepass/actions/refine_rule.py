"""Choose the rule of batch passes by what a model has: its width, hashed columns, penalties."""

from __future__ import annotations

from typing import get_args

from onepass.errors import JobError
from onepass.job import Job
from onepass.learn.learner import Learner
from onepass.learn.minimise import Rule
from onepass.learn.newton.hybrid import Hybrid
from onepass.learn.newton.newton import MAX_WIDTH, Newton
from onepass.learn.updater import Updater

_MOST_WEIGHTS = 2 * MAX_WIDTH
"""Most dense weights of newton in batch passes, whose matrix grows with their square."""


def chosen_rule(rule: str, learner: Learner, job: Job) -> Rule:
    """Return the rule of the batch passes over what a learner has learnt.

    Parameters
    ----------
    rule
        A rule, or ``auto``.

    Raises
    ------
    JobError
        If the rule does not suit the model.
    """
    for head in learner.heads:
        _check_l1(rule, head, job)
    found = _fitting_rule(rule, learner)
    if found == "gradient_descent" and any(map(_has_kinks, learner.heads)):
        raise JobError("gradient_descent steps over constraints; use --rule newton or lbfgs")
    return found


def _fitting_rule(rule: str, learner: Learner) -> Rule:
    settings = learner.settings
    n_weights = learner.heads[0].objective().n_dense_weights
    is_ordered = learner.losses[0].is_ordered
    fits = not settings.n_slots and (n_weights <= _MOST_WEIGHTS or is_ordered)
    match rule:
        case "auto":
            return "newton" if fits else "lbfgs"
        case "newton" if not fits:
            raise JobError(
                f"newton needs a matrix of all weights, and this model has {n_weights} dense and "
                f"{settings.n_slots} hashed ones; use --rule lbfgs"
            )
        case "newton":
            return rule
        case "lbfgs" | "gradient_descent" if is_ordered:
            raise JobError("only newton keeps the thresholds of ordinal loss in their order")
        case "lbfgs" | "gradient_descent":
            return rule
    raise JobError(f"--rule must be auto or one of {', '.join(get_args(Rule))}, found {rule!r}")


def _check_l1(rule: str, head: Updater, job: Job) -> None:
    """Refuse an l1 penalty that the rule cannot minimise; its value has a kink at weights of 0."""
    if not isinstance(head, Newton | Hybrid):
        if job.l1:
            raise JobError(
                f"refine does not minimise the l1 penalty of --solver {job.solver}. Create a new "
                "model: with --solver newton, which refine takes, or with more --epochs, which "
                "need no refine"
            )
        return
    if not head.solution.l1:
        return
    n_weights = head.objective().n_dense_weights
    if n_weights > _MOST_WEIGHTS:
        raise JobError(
            f"refine takes an l1 penalty of up to {_MOST_WEIGHTS:,} dense weights, by newton, and "
            f"this model has {n_weights:,}. Create a new model: with fewer columns (--exclude), or "
            "with --l2 in place of --l1"
        )
    if rule in {"lbfgs", "gradient_descent"}:
        raise JobError(
            f"an l1 penalty has a kink at 0, which {rule} steps over; use --rule newton, or leave "
            "--rule out"
        )


def _has_kinks(head: Updater) -> bool:
    return isinstance(head, Newton | Hybrid) and head.solution.has_kinks
