"""Report of verifying a model: findings, and what can still be used."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel

Level: TypeAlias = Literal["damage", "lake", "note"]
Part: TypeAlias = Literal["model.json", "log", "state", "lock", "lake", "leftover"]


class Finding(BaseModel):
    """A fault, or a fact that the user should know."""

    level: Level
    """``damage``: the directory is not what was committed; ``lake``: the lake is not what was
    learnt; ``note``: no harm."""
    part: Part
    """Part of the model that it is about."""
    where: str
    """Key of the file in the model directory or the lake."""
    text: str


class VerifyReport(BaseModel):
    """Outcome of verifying a model."""

    model: str
    """Model directory."""
    sound: bool
    """Whether the directory and the lake are as they were committed and learnt."""
    exit_code: int
    """0 sound; 3 the lake has changed; 4 the directory is damaged."""
    version: int
    """Newest version up to which the log is sound."""
    head_sha256: str
    """Digest of the entry of that version, which seals all entries before it and `model.json`."""
    usable_version: int | None
    """Newest version that counts, is sound and has a sound state; None if there is none."""
    states: int
    """States that exist and are sound."""
    let_go: int
    """States that do not exist, most of them because retention has deleted them."""
    lake_files: int | None
    """Learnt files that were compared with the lake; None if the lake was not checked."""
    retrained: int | None
    """Version that was learnt again and gave the same numbers; None if it was not asked for."""
    findings: list[Finding]
    advice: str
    """The newest version that can still be used, and the next steps."""
    seconds: float
