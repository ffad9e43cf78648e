"""Paths and URLs in the forms of flows: absolute, because a run starts in a folder of its own."""

# Prefect builds a form when it loads a flow from its path, where postponed annotations cannot be
# resolved, so annotations are evaluated at once.
import os
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from onepass.cloud.url import CATALOGUE, SCHEMES, is_url
from onepass.text import shown

PATTERN = rf"^(/|({'|'.join(SCHEMES)})://)"
"""Beginning of a path or URL. The API refuses other values before there is a run."""

LAKE_PATTERN = rf"^(/|({'|'.join([*SCHEMES, CATALOGUE])})://)"
"""Beginning of a lake, which may also be a table of a catalogue."""

_SCHEMA = {"type": "string", "pattern": PATTERN}
_LAKE_SCHEMA = {"type": "string", "pattern": LAKE_PATTERN}


def check_absolute(value: Any) -> Any:
    """Return a path or URL, or a list of them; values of other types pass as well.

    Raises
    ------
    ValueError
        If a path is relative.
    """
    # A run starts in a folder of its own, where a relative path would make a new and empty model,
    # or find no lake.
    for place in value if isinstance(value, list) else [value]:
        if isinstance(place, str) and not (is_url(place) or os.path.isabs(place)):
            raise ValueError(
                "expected an absolute path such as /srv/lakes/clicks, or a URL such as "
                f"s3://bucket/clicks, found {shown(place)}"
            )
    return value


Place = Annotated[str, AfterValidator(check_absolute), WithJsonSchema(_SCHEMA)]
"""An absolute path or a URL."""

Lake = Annotated[
    str | list[str],
    AfterValidator(check_absolute),
    WithJsonSchema({"anyOf": [_LAKE_SCHEMA, {"type": "array", "items": _LAKE_SCHEMA}]}),
]
"""A directory, glob or file, or a list of files, by absolute paths or URLs."""
