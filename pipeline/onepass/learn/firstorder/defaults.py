"""Defaults of the first-order rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Default:
    """Defaults of a rule, chosen by measurement."""

    rate: float
    schedule: str
    averaging: str
    implicit: bool
    per_length: bool = False
    """Whether the rate is divided by the mean squared length of a standardised row."""


DEFAULTS = {
    "sgd": Default(0.1, "constant", "none", False, per_length=True),
    "adagrad": Default(0.3, "linear", "none", True),
    "nag": Default(1.0, "constant", "polynomial", True),
    "adam": Default(0.003, "constant", "polynomial", False),
    "ftrl": Default(0.1, "constant", "none", False),
    "dog": Default(1.0, "constant", "polynomial", True),
}

BEST = "nag"
"""Rule of `solver: auto` where newton does not fit.

With all rules at their default rates, it came closest to the batch optimum over wide dense data and
hashed data.
"""


def default_rate(rule: str, n_features: int) -> float:
    """Return the learning rate of a rule for a job that names none."""
    default = DEFAULTS[rule]
    return default.rate / (n_features + 1) if default.per_length else default.rate
