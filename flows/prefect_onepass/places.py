"""Paths and URLs in the forms of flows: absolute, because a run starts in a folder of its own."""

# Prefect builds a form when it loads a flow from its path, where postponed annotations cannot be
# resolved, so annotations are evaluated at once.
import os
from typing import Annotated

from pydantic import AfterValidator, Field

from onepass.cloud.url import SCHEMES, is_url
from onepass.text import shown

_PATTERN = rf"^(/|({'|'.join(SCHEMES)})://)"
"""What a path or URL begins with. The API refuses other values before there is a run."""


def _absolute(place: str) -> str:
    if not (is_url(place) or os.path.isabs(place)):
        raise ValueError(
            "expected an absolute path such as /srv/lakes/clicks, or a URL such as "
            f"s3://bucket/clicks, found {shown(place)}"
        )
    return place


Place = Annotated[
    str, AfterValidator(_absolute), Field(json_schema_extra={"pattern": _PATTERN, "minLength": 1})
]
"""An absolute path or a URL."""
