"""Parse the values of job fields that are neither plain numbers nor choices."""

from __future__ import annotations

import math
import os
import re
from typing import Any, Literal, TypeAlias

from onepass.cloud.url import canonical, is_url

LossName: TypeAlias = Literal[
    "auto",
    "squared",
    "huber",
    "quantile",
    "poisson",
    "gamma",
    "logistic",
    "hinge",
    "softmax",
]

MOST_PARALLEL = 1024
"""Largest number of units of training that may be learnt at the same time."""


def parse_age(text: str) -> tuple[float, str]:
    """Parse an age such as ``"500000 rows"`` or ``"30 partitions"`` into a number and its unit.

    Raises
    ------
    ValueError
        If the text is not a positive number with one of the two units.
    """
    match = re.fullmatch(r"\s*([0-9][0-9_]*(?:\.[0-9]*)?(?:e\+?[0-9]+)?)\s*([a-z]+)\s*", text)
    age, unit = (float(match.group(1)), match.group(2).rstrip("s")) if match else (0.0, "")
    if unit not in {"row", "partition"} or not 0 < age < math.inf:
        raise ValueError(
            f"expected an age such as '500000 rows' or '30 partitions', found {text!r}"
        )
    return age, unit + "s"


def parse_parallel(value: Any) -> int | Literal["auto"]:
    """Parse the number of units of training that are learnt at the same time, or ``auto``.

    Raises
    ------
    ValueError
        If the value is neither.
    """
    text = str(value).strip()
    if text == "auto":
        return "auto"
    if isinstance(value, bool) or not text.isdecimal() or not 1 <= int(text) <= MOST_PARALLEL:
        raise ValueError(
            f"expected auto or a whole number from 1 to {MOST_PARALLEL}, found {value!r}"
        )
    return int(text)


def absolute(path: Any) -> Any:
    """Return a path as an absolute path, a URL in its one form, and any other value as it is."""
    if is_url(path):
        return canonical(path)
    # An empty path would become the working directory; the field itself refuses it.
    return os.path.abspath(path) if isinstance(path, str | os.PathLike) and str(path) else path


def comma_separated(value: Any) -> Any:
    """Return the names in a text, which commas separate, and any other value as it is."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value
