"""The fields of a job from a YAML file: plain values, each name once, in bounded size and time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from onepass.errors import JobError
from onepass.text import clipped, shown

MAX_JOB_BYTES = 1 << 20
"""Size of a job file: a lake listed as ten thousand files."""

_DIGITS = 100


def read_job_file(path: str | Path) -> dict[str, Any]:
    """Fields of a job from a YAML file.

    Raises
    ------
    JobError
        If the file cannot be read, is no mapping of job fields, or names a field twice.
    """
    try:
        with Path(path).open("rb") as stream:
            # Of a device or pipe no size is known before it has been read.
            data = stream.read(MAX_JOB_BYTES + 1)
        if len(data) > MAX_JOB_BYTES:
            raise ValueError(f"expected at most {MAX_JOB_BYTES:,} bytes, found more")
        values = yaml.load(data.decode("utf-8"), _Plain)
    except RecursionError:
        raise JobError(f"cannot read the job file {str(path)!r}: it is nested too deeply") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        # A ValueError: no UTF-8, or a date that is none.
        raise JobError(f"cannot read the job file {str(path)!r}: {_first_line(error)}") from None
    if not isinstance(values, dict):
        raise JobError(
            f"{str(path)!r} must hold job fields such as 'lake: data', found {shown(values)}"
        )
    return {_field(name): value for name, value in values.items()}


class _Plain(yaml.SafeLoader):
    """Reads YAML without aliases, which can stand for any amount, and without repeated names."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            raise _fault(event, f"expected plain values, found the alias *{event.anchor}")
        node: Any = super().compose_node(parent, index)
        is_number = node.tag.endswith((":int", ":float"))
        # To base 60, which YAML has, a long one takes minutes.
        if is_number and len(node.value) > _DIGITS:
            raise _fault(node, f"expected numbers of at most {_DIGITS} digits, found {node.value}")
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            name = _field(key.value)
            if name in seen:
                raise _fault(key, f"{name!r} is there more than once")
            seen.add(name)
        return super().construct_mapping(node, deep=deep)


def _fault(at: Any, text: str) -> yaml.YAMLError:
    return yaml.YAMLError(f"line {at.start_mark.line + 1}: {clipped(text)}")


def _field(name: Any) -> str:
    # As flags are written.
    return str(name).replace("-", "_")


def _first_line(error: BaseException) -> str:
    return clipped(str(error).splitlines()[0]) if str(error) else type(error).__name__
