"""Say in the words of a job what pydantic has found in its fields.

Messages of pydantic speak of strings, dictionaries and classes, and there is one for each type that
a field might have. A user knows text, lists and names with values, and reads a clause for a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from onepass.text import clipped, shown

_FAULTS = 20
"""Maximum number of faults that one message lists."""

_MESSAGE = 600
"""Maximum number of characters of a message: a list of all choices fits, with the value."""

_EXPECTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "string_type": lambda _: "text",
    "string_too_short": lambda _: "text that is not empty",
    "list_type": lambda _: "a list",
    "dict_type": lambda _: "names with their values",
    "model_type": lambda _: "a mapping with 'where' or 'last'",
    "bool_type": lambda _: "true or false",
    "bool_parsing": lambda _: "true or false",
    "int_type": lambda _: "a whole number",
    "int_parsing": lambda _: "a whole number",
    "int_parsing_size": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "float_parsing": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "literal_error": lambda of: of["expected"],
    "greater_than": lambda of: f"a number above {of['gt']:g}",
    "greater_than_equal": lambda of: f"a number of at least {of['ge']:g}",
    "less_than": lambda of: f"a number below {of['lt']:g}",
    "less_than_equal": lambda of: f"a number of at most {of['le']:g}",
    "too_short": lambda of: f"a list of at least {of['min_length']}",
    "too_long": lambda of: f"a list of at most {of['max_length']}",
    "invalid_key": lambda _: "names that are text",
}
"""Words for the expected value, by the type of pydantic's error; they get the error's context."""


def explained(error: ValidationError, names: Iterable[str] = ()) -> str:
    """Return what is wrong with some fields, with a clause for each faulty value.

    Parameters
    ----------
    names
        Names of all fields, for an unknown one.
    """
    by_field: dict[str, list[Any]] = {}
    for fault in error.errors():
        by_field.setdefault(".".join(str(part) for part in fault["loc"][:1]), []).append(fault)
    clauses = [one for name, own in by_field.items() for one in _clauses(name, own, names)]
    more = [f"and {len(clauses) - _FAULTS:,} more"] if len(clauses) > _FAULTS else []
    return "; ".join([*clauses[:_FAULTS], *more])


def _clauses(name: str, faults: list[Any], names: Iterable[str]) -> list[str]:
    """Return the clauses about one field."""
    # A field of several types has faults of each. Those deepest within the value are of the type
    # that it was meant to have.
    depth = max(len(fault["loc"]) for fault in faults)
    by_value: dict[str, list[Any]] = {}
    for fault in faults:
        if len(fault["loc"]) == depth:
            by_value.setdefault(shown(fault["input"]), []).append(fault)
    return [_clause(clipped(name), own, names) for own in by_value.values()]


def _clause(name: str, faults: list[Any], names: Iterable[str]) -> str:
    """Return the clause about one value, which is none of the types that its field may have."""
    fault = faults[0]
    flag = f"--{name.replace('_', '-')}" if name not in {"", "lake"} else name.upper()
    if fault["type"] == "missing":
        return f"the job needs {name!r}: give {flag} or set it in --config"
    if fault["type"] == "extra_forbidden":
        return f"{name!r} is not a field of a job; the fields are {', '.join(names)}"
    found = as_written(fault["input"])
    if fault["type"] in {"byte_size", "byte_size_unit"}:
        return f"{name}: expected a size such as 800MB or 2GiB, found {found}"
    expected = dict.fromkeys(map(_expected, faults))
    if None not in expected:
        return f"{name}: expected {_either(list(map(str, expected)))}, found {found}"
    message = clipped(fault["msg"].removeprefix("Value error, "), _MESSAGE)
    shows_input = not name or "found" in message
    return f"{name or 'job'}: {message}" + ("" if shows_input else f" (found {found})")


def _expected(fault: Any) -> str | None:
    words = _EXPECTED.get(fault["type"])
    return None if words is None else words(fault.get("ctx", {}))


def _either(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def as_written(value: Any) -> str:
    """Return a value as a job file has it."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else shown(value)
