"""Read the fields of a job from a YAML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from onepass.errors import JobError
from onepass.text import clipped, shown

_SHAPES = ("cross", "spline", "log", "bins")
"""Fields that are words of the list ``transforms`` as well."""


def read_job_file(path: str | Path) -> dict[str, Any]:
    """Return the job fields of a YAML file; names may have dashes, as flags do.

    Raises
    ------
    JobError
        If the file cannot be read, is not a mapping of job fields, or names a field twice.
    """
    try:
        values = yaml.load(Path(path).read_text("utf-8"), _UniqueNames)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise JobError(f"cannot read the job file {str(path)!r}: {_reason(error)}") from None
    if not isinstance(values, dict):
        raise JobError(
            f"{str(path)!r} must hold job fields such as 'lake: data', found {shown(values)}"
        )
    try:
        return unfolded({_field(name): value for name, value in values.items()})
    except ValueError as error:
        raise JobError(f"{str(path)!r}: {clipped(str(error))}") from None


def unfolded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of a job in which the list ``transforms`` has become the fields it stands for.

    An item is a word and its value, as ``cross site*device``, or a mapping of the two.

    Raises
    ------
    ValueError
        If an item is neither.

    Examples
    --------
    >>> unfolded({"transforms": ["cross a*b", {"spline": "age:6"}, "cross b*c"]})
    {'cross': ['a*b', 'b*c'], 'spline': ['age:6']}
    """
    rest = {name: value for name, value in values.items() if name != "transforms"}
    for word, value in _transforms(values.get("transforms") or []):
        own = rest.get(word) or []
        given = own.split(",") if isinstance(own, str) else own
        rest[word] = [*(given if isinstance(given, list) else [given]), value]
    return rest


def _transforms(transforms: Any) -> Iterator[tuple[str, str]]:
    for item in transforms if isinstance(transforms, list) else [transforms]:
        pair: tuple[Any, ...] = ()
        if isinstance(item, str):
            pair = tuple(item.split(None, 1))
        elif isinstance(item, dict) and len(item) == 1:
            (pair,) = item.items()
        if len(pair) != 2 or pair[0] not in _SHAPES or not isinstance(pair[1], str):
            raise ValueError(
                "transforms: expected items such as 'cross site*device', 'spline age:6', "
                f"'log amount' or 'bins age:10', found {item!r}"
            )
        yield pair[0], pair[1].strip()


class _UniqueNames(yaml.SafeLoader):
    """Loader that refuses a name that occurs twice; YAML would silently use the second value."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            name = _field(key.value)
            if name in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: {clipped(repr(name))} is there more than once")
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _field(name: Any) -> str:
    return str(name).replace("-", "_")


def _reason(error: Exception) -> str:
    match error:
        case yaml.MarkedYAMLError(problem=str(problem), problem_mark=yaml.Mark(line=int(line))):
            return clipped(f"line {line + 1}: {problem}")
        case UnicodeDecodeError():
            return "expected text in UTF-8"
        case OSError(strerror=str(reason)):
            return reason
        case RecursionError():
            return "it is nested too deeply"
        case _:
            # `_UniqueNames` raised the error, or the file has a date such as 2026-02-31.
            return clipped(str(error).partition("\n")[0])
