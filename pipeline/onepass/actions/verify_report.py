"""The report of verifying a model: the findings, and the newest version that can be used."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel

Level: TypeAlias = Literal["damage", "lake", "note"]
Part: TypeAlias = Literal[
    "model.json", "log", "tags", "state", "lock", "lake", "evaluations", "leftover"
]


class Finding(BaseModel):
    """A fault, or a fact that the user should know."""

    level: Level
    """``damage``: the directory differs from what was committed; ``lake``: the lake differs from
    what was learnt; ``note``: no fault."""
    part: Part
    """Part of the model that has the fault."""
    where: str
    """Key of the file in the model directory or the lake."""
    text: str


class VerifyReport(BaseModel):
    """Outcome of verifying a model."""

    model: str
    """Model directory."""
    sound: bool
    """Whether no finding is of level ``damage`` or ``lake``."""
    exit_code: int
    """0 sound; 3 the lake has changed; 4 the directory is damaged."""
    version: int
    """Newest version whose entry, and all entries before it, are sound."""
    head_sha256: str
    """Digest of the entry of that version, which seals all entries before it and `model.json`."""
    usable_version: int | None
    """Newest version that counts and has a sound state; None if there is none."""
    states: int
    """States that exist and are sound."""
    let_go: int
    """States that do not exist, most of them because retention has deleted them."""
    tags: int = 0
    """Tags that name a version."""
    lake_files: int | None
    """Learnt files that were compared with the lake; None if the lake was not checked."""
    retrained: int | None
    """Version that was learnt again with the same result; None if none was, or it differed."""
    findings: list[Finding]
    advice: str
    """The newest version that can still be used, and the next steps."""
    seconds: float
