"""Parse the values of job fields that are neither plain numbers nor choices."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from onepass.cloud.url import canonical, is_url

LossName: TypeAlias = Literal[
    "auto",
    "squared",
    "huber",
    "quantile",
    "poisson",
    "gamma",
    "tweedie",
    "negative_binomial",
    "inverse_gaussian",
    "logistic",
    "probit",
    "cloglog",
    "hinge",
    "softmax",
    "ordinal",
]

MOST_PARALLEL = 1024
"""Largest number of units of training that may be learnt at the same time."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns of a lake that are no features; None for those that the job does not name."""

    label: str | None = None
    weight: str | None = None
    offset: str | None = None
    exposure: str | None = None
    cluster: str | None = None
    fold_by: str | None = None

    def named(self) -> dict[str, str]:
        """Return the columns that the job names, by role."""
        return {role: name for role, name in asdict(self).items() if name is not None}

    @property
    def columns(self) -> frozenset[str]:
        """The columns that have a role."""
        return frozenset(self.named().values())


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


def assignments(value: Any) -> Any:
    """Return texts such as ``day=%d.%m.%Y`` as a mapping, and any other value as it is.

    Raises
    ------
    ValueError
        If a text is not a name and a value with ``=`` between them, or names a name twice.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        return value
    found: dict[str, str] = {}
    for text in texts:
        name, mark, given = str(text).partition("=")
        if not (name.strip() and mark and given.strip()):
            raise ValueError(f"expected COLUMN=VALUE, found {text!r}")
        if name.strip() in found:
            raise ValueError(f"the column {name.strip()!r} is named twice")
        found[name.strip()] = given.strip()
    return found


def listed_assignments(value: Any) -> Any:
    """Return texts such as ``age=positive,rate=0..2`` as a mapping, and any other value as it is.

    A text is split at its commas if each part has a ``=``; so the name of a column may have commas.

    Raises
    ------
    ValueError
        As for `assignments`.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        return value
    found: list[str] = []
    for text in map(str, texts):
        parts = [part for part in text.split(",") if part.strip()]
        found += parts if all("=" in part for part in parts) else [text]
    return assignments(found)


def parse_class_weight(value: Any) -> Any:
    """Return ``balanced``, or weights by class from a text such as ``no=1,yes=5``.

    Raises
    ------
    ValueError
        If a part of a text is not a class and a weight with ``=`` between them.
    """
    texts = [value] if isinstance(value, str) else value
    if value is None or isinstance(value, Mapping):
        # The classes of a mapping in YAML may be numbers or truth values.
        return {_class_name(name): one for name, one in (value or {}).items()}
    if not isinstance(texts, list | tuple):
        return value
    parts = [part for text in texts for part in str(text).split(",") if part.strip()]
    if [part.strip() for part in parts] == ["balanced"]:
        return "balanced"
    if any("=" not in part for part in parts):
        raise ValueError(f"expected balanced, or CLASS=WEIGHT, found {','.join(parts)!r}")
    return assignments([part.strip() for part in parts])


def _class_name(name: Any) -> str:
    return str(name).lower() if isinstance(name, bool) else str(name)


def comma_separated(value: Any) -> Any:
    """Return the names in a text, which commas separate, and any other value as it is."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


def several_numbers(value: Any) -> Any:
    """Return numbers that stand alone, or in a text with commas between them, as a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [] if value is None else value if isinstance(value, list) else [value]


def distinct_numbers(
    value: list[float], *, least: float, below: float = math.inf, is_open: bool = True, text: str
) -> list[float]:
    """Return numbers that are distinct and in range.

    Parameters
    ----------
    least, below
        Bounds of the range.
    is_open
        Whether the lower bound is outside of the range; the upper one always is.
    text
        The range in words.

    Raises
    ------
    ValueError
        If a number is out of range, or is there twice.
    """
    for number in value:
        if not ((number > least or (number == least and not is_open)) and number < below):
            raise ValueError(f"expected {text}, found {number:g}")
    if len(set(value)) < len(value):
        raise ValueError(f"expected each value once, found {value}")
    return value
