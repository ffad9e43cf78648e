"""Put the page together: one HTML file that loads nothing and runs nothing but its own script.

What comes from the data is escaped: by jinja2 in HTML, and in the JSON of figures, where ``<`` ends
no script element. Should a text slip through none the less, the policy of the page forbids it to
run: scripts are allowed by their digest, and no address may be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from onepass.report.checks import Check, checks
from onepass.report.contents import Contents
from onepass.report.drawing import CONFIG
from onepass.report.sections import sections
from onepass.report.tables import n_partitions
from onepass.report.words import NONE, name, number, when
from onepass.text import counted

MOST_BYTES = 2 << 20
"""Size of the largest page."""

_LICENCE = (
    "/*! Vega, Vega-Lite and Vega-Embed: Copyright 2013-2025 University of Washington Interactive "
    "Data Lab and contributors. BSD 3-Clause Licence: redistribution and use in source and binary "
    "forms are permitted with this notice; provided as is, without any warranty. "
    "See github.com/vega/vega. */\n"
)

_MARKS = {"good": "✓", "look": "!", "unknown": NONE}


@dataclass(frozen=True, slots=True)
class _Head:
    """The first screen."""

    name: str
    version: int
    what: str
    standing: str
    verdict: str
    facts: list[tuple[str, str]]
    made: str


def page(contents: Contents, *, made: str) -> str:
    """Return the page.

    Parameters
    ----------
    made
        Line that says when and by what it was made.
    """
    found, answers = sections(contents), checks(contents)
    specs = {figure.id: figure.spec for section in found for figure in section.figures}
    # Figures that draw the same rows name the same data set, which so stands in the page once.
    data: dict[str, Any] = {}
    for spec in specs.values():
        data |= spec.pop("datasets", {})
    library, script = _library(), _resource("page.js")
    text = _template().render(
        policy=_policy(library, script),
        css=Markup(_resource("page.css")),
        head=_head(contents, answers, made),
        checks=answers,
        marks=_MARKS,
        sections=found,
        config=_json(CONFIG),
        figures=_json({"specs": specs, "datasets": data}),
        library=Markup(library),
        script=Markup(script),
    )
    assert len(text.encode("utf-8", "replace")) <= MOST_BYTES
    return text


def _head(contents: Contents, answers: list[Check], made: str) -> _Head:
    model, job = contents.model, contents.model.file.job
    n = sum(one.standing == "look" for one in answers)
    label = name(model.file.encoder.label.name)
    tags = [one for one, version in contents.tags.items() if version == model.version]
    facts = [
        ("version", number(model.version) + (f" ({name(', '.join(tags))})" if tags else "")),
        ("trained until, UTC", when(model.entry.time).removesuffix(" UTC")),
        ("partitions", number(n_partitions(contents.trained))),
        ("rows", number(model.rows)),
        ("solver", job.solver),
        ("state sha256", model.entry.state.sha256[:12]),
    ]
    return _Head(
        name=_name(job.model),
        version=model.version,
        what=f"Predicts {label} with {job.loss} loss.",
        standing="look" if n else "good",
        verdict=f"{counted(n, 'thing')} to look at" if n else "Nothing stands out",
        facts=facts,
        made=made,
    )


def _name(path: str) -> str:
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    return name(parts[-1] if parts else path)


def _json(value: Any) -> Markup:
    """Return JSON for a script element, in which nothing ends the element or opens a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _policy(*scripts: str) -> str:
    sources = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _library() -> str:
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    assert "</script" not in library.lower()
    return _LICENCE + library


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_resource("page.html.jinja"))


def _resource(file: str) -> str:
    return files("onepass.report").joinpath(file).read_text(encoding="utf-8")
