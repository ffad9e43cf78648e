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
    found = _fitting_rule(rule, learner)
    for head in learner.heads:
        _check_kinks(found, head, job)
    return found


def _fitting_rule(rule: str, learner: Learner) -> Rule:
    settings = learner.settings
    n_weights = learner.heads[0].objective().n_dense_weights
    is_ordered = learner.losses[0].is_ordered
    fits = not settings.n_slots and (n_weights <= 2 * MAX_WIDTH or is_ordered)
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


def _check_kinks(rule: Rule, head: Updater, job: Job) -> None:
    if not isinstance(head, Newton | Hybrid):
        if job.l1:
            raise JobError(
                f"refine has no l1 penalty for --solver {job.solver}; --epochs 2 takes another "
                "pass, and --solver newton can be refined"
            )
        return
    solution = head.solution
    if solution.l1 and rule != "newton":
        raise JobError(
            "an l1 penalty has a kink at 0, which only --rule newton passes; it takes up to "
            f"{2 * MAX_WIDTH:,} dense weights"
        )
    if solution.has_kinks and rule == "gradient_descent":
        raise JobError("gradient_descent steps over constraints; use --rule newton or lbfgs")
