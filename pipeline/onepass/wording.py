"""Name options in the words of whoever asked: flags for a command, fields for Python and flows.

Messages are written with flags, such as ``--on-bad skip``. A command shows them as they are. Python
code, a flow and a job file have fields instead, so `spoken` turns the flags of a message into
fields: ``on_bad: skip``. Errors do so when they become text, warnings when they leave a survey.

A flag is followed by its value if that is a choice of the field, a number, a list with commas, or
quoted; anything else behind a flag is prose. ``--exclude=x`` marks any other value.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

_LISTS = frozenset(
    {"classes", "features", "exclude", "numeric", "categorical", "sparse", "bag_counts"}
    | {"cross", "spline", "log", "bins", "missing"}
)
"""Fields that are lists of names."""

_MAPS = frozenset({"time_format", "penalty_factor", "constraint"})
"""Fields that give columns values."""

_options: dict[str, tuple[str, frozenset[str]]] = {
    "alpha": ("alpha", frozenset()),
    "by": ("by", frozenset()),
    "by-column": ("by_column", frozenset()),
    "choose": ("given", frozenset()),
    "contrast": ("contrast", frozenset()),
    "curve": ("curve", frozenset()),
    "errors": ("errors", frozenset({"model", "robust"})),
    "interval": ("interval", frozenset()),
    "interval-of": ("interval_of", frozenset({"mean", "row"})),
    "keep": ("keep", frozenset()),
    "level": ("level", frozenset()),
    "out": ("out", frozenset()),
    "passes": ("n_passes", frozenset()),
    "penalties": ("n_penalties", frozenset()),
    "ratio": ("ratio", frozenset()),
    "reference": ("references", frozenset()),
    "rule": ("rule", frozenset({"auto", "newton", "lbfgs", "gradient_descent"})),
    "to": ("to", frozenset()),
    "version": ("version", frozenset({"current", "newest"})),
    "version-column": ("version_column", frozenset()),
}
"""Fields by their flags, with their choices: parameters of functions, and the fields of a job."""

_COMMAND = r"\bonepass [a-z]+ [^;\n]*"
"""A whole command is one for everybody, and stays as it is."""

_QUOTED = r"""'[^']*'(?:"'"'[^']*')*|"[^"]*\""""
_TOKEN = rf"(?:{_QUOTED}|[^\s,;()'\"]+(?:,[^\s,;()'\"]+)*)"
_OPTION = rf"(?<![\w-])--(?P<flag>[a-z][a-z0-9-]*)(?:=(?P<given>{_TOKEN})| (?P<next>{_TOKEN}))?"
_SEARCH = re.compile(rf"(?P<command>{_COMMAND})|{_OPTION}(?P<more> (?=--[a-z]))?")
_IN_A_FILE = re.compile(r" (or set it )?in --config\b")
_GIVEN = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]*)=")

_PLAIN = re.compile(r"[A-Za-z_][\w-]*")
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})

_in_flags = False


def know(fields: Mapping[str, Collection[str]]) -> None:
    """Make fields of a job known, with the choices that each has (none: it takes any value)."""
    _options.update(
        {name.replace("_", "-"): (name, frozenset(choices)) for name, choices in fields.items()}
    )


@contextmanager
def speaking(words: Literal["flags", "fields"]) -> Iterator[None]:
    """Speak of flags, as for a command, or of fields while the body runs, in all threads."""
    global _in_flags
    before, _in_flags = _in_flags, words == "flags"
    try:
        yield
    finally:
        _in_flags = before


def spoken(message: str) -> str:
    """Return a message in the words of whoever asked.

    Examples
    --------
    >>> know({"on_bad": ["error", "skip"], "exclude": []})
    >>> with speaking("fields"):
    ...     spoken("Repair the file, skip it (--on-bad skip), or --exclude='a b'.")
    'Repair the file, skip it (on_bad: skip), or exclude: ["a b"].'
    >>> with speaking("flags"):
    ...     spoken("Repair the file, skip it (--on-bad skip), or --exclude='a b'.")
    "Repair the file, skip it (--on-bad skip), or --exclude 'a b'."
    """
    if "--" not in message:
        return message
    return _GIVEN.sub(r"\1 ", message) if _in_flags else in_fields(message)


def in_fields(message: str) -> str:
    """Return a message with the flags of known fields turned into these fields."""
    return _SEARCH.sub(_field, _IN_A_FILE.sub("", message))


def _field(found: re.Match[str]) -> str:
    flag, given, following = found["flag"], found["given"], found["next"]
    if found["command"] or flag.removeprefix("no-") not in _options:
        return found[0]
    name, choices = _options[flag.removeprefix("no-")]
    value, rest = _value_and_rest(name, choices, given, following)
    # Advice of several options at once is a list.
    more = ", " if found["more"] and value else found["more"] or ""
    if value is None:
        # The next word is no value of the option, and may be a flag of its own.
        prose = in_fields(f" {following}") if following is not None else ""
        is_before_colon = following is None and found.string.startswith(":", found.end())
        return f"{name if is_before_colon else repr(name)}{prose}{more}"
    if name in _MAPS:
        return f"{name}: {_map(value)}{rest}{more}"
    return f"{name}: {_list(value) if name in _LISTS else value}{rest}{more}"


def _value_and_rest(
    name: str, choices: Collection[str], given: str | None, following: str | None
) -> tuple[str | None, str]:
    """Return the value of an option, and the punctuation of the sentence behind it."""
    token = given if given is not None else following
    if token is None:
        return None, ""
    value = token if token[0] in "'\"" else token.rstrip(".:?!")
    is_list = name in _LISTS and "," in value
    is_value = value in choices or value[:1].isdigit() or token[0] in "'\"" or is_list
    if given is None and not is_value:
        return None, ""
    return value, token[len(value) :]


def _list(value: str) -> str:
    """Return names that a shell would read as a value, as a list of YAML."""
    names = [name.strip() for name in "".join(shlex.split(value)).split(",")]
    return f"[{', '.join(map(_item, names))}]"


def _map(value: str) -> str:
    """Return COLUMN=VALUE, as a shell would read it, as a mapping of YAML."""
    column, _, given = "".join(shlex.split(value)).partition("=")
    return f"{{{_item(column)}: {_item(given)}}}"


def _item(name: str) -> str:
    plain = _PLAIN.fullmatch(name) and name.lower() not in _YAML_WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)
