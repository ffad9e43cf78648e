"""A section of the page: a heading with texts, figures and tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from onepass.report.drawing import Spec
from onepass.report.tables import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its place on the page."""

    id: str
    title: str
    spec: Spec
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it, in this order."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    tables: list[tuple[str, Table, bool]] = field(default_factory=list)
    """Title, table, and whether it is open."""
