"""List the tags of a model, and set, move or delete one."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from onepass.errors import JobError, ModelConflict
from onepass.ledger.entries import LearntEntry, TrainEntry
from onepass.ledger.tag_entry import CURRENT, NEWEST, NONE, By, TagEntry, check_tag_name
from onepass.ledger.tags import Expected
from onepass.model.directory import OpenModel, open_model
from onepass.model.versions import chosen, current_version


class Tagged(BaseModel):
    """A tag, with the version that it names."""

    name: str
    version: int
    loss: float | None
    """Progressive loss of the group that the version learnt; the objective of a refinement."""
    time: str
    """Time at which the tag was set; that of the version if `current` was never set."""
    by: By | None
    """Who set it; None if it was never set, so that the newest version is meant."""
    reason: str
    counts: bool
    """Whether the version counts; False if a rewind has undone it."""
    has_state: bool
    """Whether the version can be used."""


class TagReport(BaseModel):
    """The tags of a model."""

    model: str
    """Model directory."""
    tags: list[Tagged]
    """The tags by name; ``current`` is among them once something has been trained."""
    history: list[TagEntry]
    """Every move of every tag, oldest first; of one tag if the caller has named one."""


def tag(
    model: str | Path,
    name: str | None = None,
    version: int | str | None = None,
    *,
    expect: int | str | None = None,
    reason: str = "",
    delete: bool = False,
) -> TagReport:
    """Set or delete a tag, or list all of them. A run may train meanwhile.

    Parameters
    ----------
    model
        Model directory.
    name
        Tag to set or delete; None only lists.
    version
        Number of the version, another tag, or ``newest``; by default the current version.
    expect
        Version that the tag must name now, or ``none`` if it must not exist; by default any.
    reason
        Text for the history.
    delete
        Whether to delete the tag. Without the tag ``current``, predictions use the newest version.

    Raises
    ------
    ModelNotFound
        If there is no model, or nothing has been trained.
    JobError
        If the name cannot be a tag, there is no such version or tag, or the state of the version is
        no longer kept.
    ModelConflict
        If the tag is not as expected, or somebody else has moved it at the same time.
    ForeignModel
        If the directory is damaged.
    """
    opened = open_model(model)
    if name is None:
        if version is not None or expect is not None or reason or delete:
            raise JobError("to set or delete a tag, give its name")
        return _report(opened)
    check_tag_name(name)
    if delete:
        _delete(opened, name, version, expect, reason)
    else:
        _set(opened, name, version, expect, reason)
    return _report(opened, name)


def _set(
    opened: OpenModel, name: str, version: int | str | None, expect: int | str | None, reason: str
) -> None:
    if name == CURRENT and version is None:
        raise JobError(f"--version must say which version {CURRENT!r} is to name")
    entry = chosen(opened, version)
    expected = _expected(opened, name, expect)
    opened.ledger.tags.move_kept(name, entry.version, by="user", reason=reason, expect=expected)


def _delete(
    opened: OpenModel, name: str, version: int | str | None, expect: int | str | None, reason: str
) -> None:
    if version is not None:
        raise JobError("--delete takes no --version")
    tags = opened.ledger.tags
    found = tags.get(name)
    if found is None:
        raise JobError(f"the model in {opened.path!r} has no tag {name!r}")
    expected = _expected(opened, name, expect)
    tags.move(name, None, by="user", reason=reason, expect=found if expect is None else expected)


def _expected(opened: OpenModel, name: str, expect: int | str | None) -> Expected:
    """Return the entry that a tag must have.

    A tag is compared with it once more as it is moved, so nobody can move it in between.
    """
    found = opened.ledger.tags.get(name)
    if expect is None:
        return "any"
    wanted = None if str(expect) == NONE else chosen(opened, expect).version
    if (None if found is None else found.version) != wanted:
        is_at = "does not exist" if found is None else f"names version {found.version}"
        raise ModelConflict(
            f"expected the tag {name!r} to "
            + ("be free" if wanted is None else f"name version {wanted}")
            + f", but it {is_at}; nothing was changed"
        )
    return found


def _report(opened: OpenModel, name: str | None = None) -> TagReport:
    tags = opened.ledger.tags
    counting = {entry.version for entry in opened.ledger.history.learnt()}
    found = [
        _tagged(opened, one.name, one.version, one, counting)
        for one in tags.named().values()
        if one.version is not None
    ]
    current = current_version(opened.ledger)
    if tags.get(CURRENT) is None and current is not None:
        found.append(_tagged(opened, CURRENT, current, None, counting))
    return TagReport(
        model=opened.path,
        tags=sorted(found, key=lambda one: one.name),
        history=[one for one in tags.entries if name is None or one.name == name],
    )


def _tagged(
    opened: OpenModel, name: str, version: int, tag: TagEntry | None, counting: set[int]
) -> Tagged:
    entry = chosen(opened, version)
    newest = f"never set: the {NEWEST} version that counts"
    return Tagged(
        name=name,
        version=version,
        loss=_loss(entry),
        time=entry.time if tag is None else tag.time,
        by=None if tag is None else tag.by,
        reason=newest if tag is None else tag.reason,
        counts=version in counting,
        has_state=opened.ledger.has_state(entry),
    )


def _loss(entry: LearntEntry) -> float | None:
    if isinstance(entry, TrainEntry):
        return entry.loss
    # A choice from the path of penalties reads no rows.
    return entry.losses[-1] if entry.n_passes else None
